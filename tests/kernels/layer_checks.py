"""Checks of the products of gated layers: the same code for the CPU, the simulator and a GPU.

`put` brings a NumPy array to where the kernels are tested, `get` brings one back; for the CPU both do nothing.
"""

import zlib

import numpy as np

from minigrad import kernels
from minigrad.kernels import specification

GATES = ["closed", "sparse", "half", "open", "real"]


def here(array):
    return array


def make_gates(kind, shape, dtype, rng):
    density = {"closed": 0, "sparse": 0.1, "half": 0.5, "open": 1, "real": 0.4}[kind]
    gates = (rng.random(shape) < density).astype(dtype)
    if kind == "real":
        gates *= rng.uniform(-2, 2, shape).astype(dtype)
    return gates


def generator(*case):
    return np.random.default_rng(zlib.crc32(repr(case).encode()))


def arrays(rng, dtype, **shapes):
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def assert_close(got, wanted, get=here):
    got = get(got.to_dense() if isinstance(got, kernels.Packed) else got)
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    # Sums in another order: a few roundings of the largest term, per term.
    scale = np.abs(wanted).max(initial=1)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=200 * np.finfo(wanted.dtype).eps * scale)


def check_gated_layer(shape, kind, dtype, put=here, get=here):
    """A gated layer with dense inputs, forward and backward; shape (examples, inputs, blocks, block)."""
    examples, inputs, count, block = shape
    rng = generator(shape, kind)
    host = arrays(rng, dtype, x=(examples, inputs), weight=(count * block, inputs), bias=count * block,
                  g=(examples, count * block))
    x, weight, bias, g = host.values()
    gates = make_gates(kind, (examples, count), dtype, rng)
    every = specification.gated_linear_dgates(g, x, weight, bias, block)
    wanted = {
        "out": specification.gated_linear(x, weight, bias, gates, block),
        "without bias": specification.gated_linear(x, weight, None, gates, block),
        "dx": specification.gated_linear_dx(g, weight, gates, block),
        "dw": specification.gated_linear_dw(g, x, gates, block),
        "db": specification.gated_linear_db(g, gates, block),
    }
    rate = dtype(0.25)
    stepped, stepped_bias = put(weight.copy()), put(bias.copy())
    x, weight, bias, g, opened = map(put, (x, weight, bias, g, gates))

    out = kernels.gated_linear(x, weight, bias, opened, block)
    blocks = out.blocks
    assert_close(out, wanted["out"], get)
    assert_close(kernels.gated_linear(x, weight, None, opened, block, blocks), wanted["without bias"], get)
    for cotangent in (g, kernels.Packed.gather(g, blocks, block)):
        assert_close(kernels.gated_linear_dx(cotangent, weight, opened, blocks, block), wanted["dx"], get)
        assert_close(kernels.gated_linear_dw(cotangent, x, opened, blocks, block), wanted["dw"], get)
        assert_close(kernels.gated_linear_db(cotangent, opened, blocks, block), wanted["db"], get)
        assert_close(kernels.gated_linear_dgates(cotangent, x, weight, bias, opened, out, "open"),
                     every * (gates != 0), get)
    assert_close(kernels.gated_linear_dgates(g, x, weight, bias, opened, out, "all"), every, get)
    kernels.gated_linear_sgd(g, x, opened, blocks, stepped, stepped_bias, 0.25)
    assert_close(stepped, host["weight"] - rate * wanted["dw"], get)
    assert_close(stepped_bias, host["bias"] - rate * wanted["db"], get)


def check_consumer(shape, kind, order, dtype, put=here, get=here):
    """The layer that consumes gated units; shape (examples, classes, blocks, block)."""
    examples, classes, count, block = shape
    rng = generator(shape, kind)
    host = arrays(rng, dtype, h=(examples, count * block), weight=(classes, count * block), bias=classes,
                  g=(examples, classes))
    gates = make_gates(kind, (examples, count), dtype, rng)
    if order == "units first":
        host["weight"] = np.asfortranarray(host["weight"])
    dense = host["h"] * specification.per_unit(gates != 0, block)
    g, weight, bias = (put(host[name]) for name in ("g", "weight", "bias"))
    stepped, stepped_bias = put(host["weight"].copy(order="K")), put(host["bias"].copy())
    blocks = kernels.open_blocks(put(gates))
    h = kernels.Packed.gather(put(host["h"]), blocks, block)

    assert_close(h, dense, get)
    assert_close(kernels.packed_linear(h, weight, bias),
                 specification.packed_linear(dense, host["weight"], host["bias"]), get)
    assert_close(kernels.packed_linear(h, weight), specification.packed_linear(dense, host["weight"], None), get)
    assert_close(kernels.packed_linear_dh(g, weight, blocks, block),
                 specification.packed_linear_dh(host["g"], host["weight"], gates, block), get)
    gradient = kernels.packed_linear_dw(g, h)
    assert gradient.T.flags.c_contiguous
    wanted = specification.packed_linear_dw(host["g"], dense)
    assert_close(gradient, wanted, get)
    assert_close(kernels.packed_linear_db(g), host["g"].sum(axis=0), get)
    kernels.packed_linear_sgd(g, h, stepped, stepped_bias, 0.5)
    assert_close(stepped, host["weight"] - dtype(0.5) * wanted, get)
    assert_close(stepped_bias, host["bias"] - dtype(0.5) * host["g"].sum(axis=0), get)


def check_both_sides(shape, kind, dtype, put=here, get=here):
    """A gated layer on packed inputs; shape (examples, x blocks, x block, blocks, block)."""
    examples, x_count, x_block, count, block = shape
    rng = generator(shape, kind)
    host = arrays(rng, dtype, x=(examples, x_count * x_block), weight=(count * block, x_count * x_block),
                  bias=count * block, g=(examples, count * block))
    x_gates = make_gates(kind, (examples, x_count), dtype, rng)
    gates = make_gates(kind, (examples, count), dtype, rng)
    dense = host["x"] * specification.per_unit(x_gates != 0, x_block)
    dx = specification.gated_linear_dx(host["g"], host["weight"], gates, block)
    dw = specification.gated_linear_dw(host["g"], dense, gates, block)
    x = kernels.Packed.gather(put(host["x"]), kernels.open_blocks(put(x_gates)), x_block)
    weight, bias, g, opened = map(put, (host["weight"], host["bias"], host["g"], gates))
    stepped, target = put(host["weight"].copy()), put(np.full_like(host["weight"], 7))

    out = kernels.gated_linear(x, weight, bias, opened, block)
    blocks = out.blocks
    assert_close(out, specification.gated_linear(dense, host["weight"], host["bias"], gates, block), get)
    assert_close(kernels.gated_linear_dx(g, weight, opened, blocks, block), dx, get)
    assert_close(kernels.gated_linear_dx(g, weight, opened, blocks, block, x.blocks),
                 dx * specification.per_unit(x_gates != 0, x_block), get)
    assert_close(kernels.gated_linear_dw(g, x, opened, blocks, block), dw, get)
    assert kernels.gated_linear_dw(g, x, opened, blocks, block, target) is target
    assert_close(target, dw, get)
    assert_close(kernels.gated_linear_dgates(g, x, weight, bias, opened, out, "all"),
                 specification.gated_linear_dgates(host["g"], dense, host["weight"], host["bias"], block), get)
    kernels.gated_linear_sgd(g, x, opened, blocks, stepped, None, 0.5)
    assert_close(stepped, host["weight"] - dtype(0.5) * dw, get)
