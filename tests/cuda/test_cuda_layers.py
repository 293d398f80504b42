"""Gated layers on the device: the same checks as on the CPU, and checks that only concern a device."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cpu import dispatch as cpu_dispatch
from minigrad.kernels.cuda import driver, plain
from minigrad.kernels.device.arrays import simulated
from minigrad.kernels.device.transfer import to_device, to_host
from tests.kernels.layer_checks import GATES, check_both_sides, check_consumer, check_gated_layer, make_gates

DTYPES = np.float32, np.float64

# Nothing, single things, tails of every tile, several words of bits. A simulated thread is slow, so all is small,
# and not every kind of gates meets every shape.
SHAPES = {(0, 5, 3, 2): ["real"], (1, 1, 1, 1): ["open"], (2, 9, 1, 3): ["real"], (7, 11, 3, 1): GATES,
          (5, 6, 34, 1): ["sparse", "real"], (35, 3, 2, 2): ["half", "open"], (9, 18, 2, 5): GATES,
          (12, 7, 2, 9): ["half", "real"]}
BOTH = {(0, 3, 2, 2, 1): ["real"], (1, 4, 3, 5, 2): ["half"], (9, 3, 1, 7, 2): GATES, (34, 2, 2, 2, 1): ["real"],
        (4, 2, 5, 2, 3): GATES, (3, 34, 1, 33, 1): ["sparse"]}
if not simulated():
    SHAPES = dict.fromkeys([*SHAPES, (64, 33, 6, 5), (40, 600, 2, 8), (300, 784, 64, 16), (128, 512, 512, 1)], GATES)
    BOTH = dict.fromkeys([*BOTH, (33, 4, 17, 5, 1), (30, 5, 16, 3, 16), (200, 64, 16, 32, 32)], GATES)


def cases(shapes):
    """The shapes with their kinds of gates, alternately in single and double precision."""
    pairs = [(shape, kind) for shape, kinds in shapes.items() for kind in kinds]
    return [pytest.param(*pair, DTYPES[n % 2], id=f"{pair[0]}-{pair[1]}-{DTYPES[n % 2].__name__}")
            for n, pair in enumerate(pairs)]


@pytest.fixture(params=["dispatch", "plain"])
def products(request, monkeypatch):
    """Run a test twice: with the fast products, and with the simple ones."""
    if request.param == "plain":
        monkeypatch.setattr(driver, "dispatch", plain)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("shape", "kind", "dtype"), cases(SHAPES))
def test_gated_layer(shape, kind, dtype):
    check_gated_layer(shape, kind, dtype, to_device, to_host)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("shape", "kind", "dtype"), cases(SHAPES))
def test_consumer(shape, kind, dtype):
    order = "classes first" if kind == "real" else "units first"
    check_consumer(shape, kind, order, dtype, to_device, to_host)


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize(("shape", "kind", "dtype"), cases(BOTH))
def test_gated_on_both_sides(shape, kind, dtype):
    check_both_sides(shape, kind, dtype, to_device, to_host)


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("block", [1, 3, 5, 20])
def test_sums_over_examples_by_any_team(monkeypatch, block, threads):
    """Several threads per unit, or several units per thread. Some of these numbers are odd."""
    monkeypatch.setattr(driver, "THREADS", threads)
    rng = np.random.default_rng(4)
    gates, g = make_gates("half", (13, 2), np.float64, rng), rng.standard_normal((13, 2 * block))
    opened = to_device(gates)
    found = kernels.gated_linear_db(to_device(g), opened, kernels.open_blocks(opened), block)
    np.testing.assert_allclose(to_host(found), specification.gated_linear_db(g, gates, block), rtol=1e-12)


def test_strides():
    rng = np.random.default_rng(3)
    x, weight, g = rng.standard_normal((12, 9)), rng.standard_normal((6, 18)), rng.standard_normal((6, 6))
    gates = make_gates("real", (12, 6), np.float64, rng)
    views = [to_device(x)[::2], to_device(weight)[:, ::2], to_device(g.T).T, to_device(gates)[::2, ::2]]
    x, weight, gates = x[::2], weight[:, ::2], gates[::2, ::2]
    out = kernels.gated_linear(*views[:2], None, views[3], 2)
    wanted = specification.gated_linear(x, weight, None, gates, 2)
    np.testing.assert_allclose(to_host(out.to_dense()), wanted, rtol=1e-12)
    dx = kernels.gated_linear_dx(views[2], views[1], views[3], out.blocks, 2)
    np.testing.assert_allclose(to_host(dx), specification.gated_linear_dx(g, weight, gates, 2), rtol=1e-12)
    kernels.gated_linear_sgd(views[2], views[0], views[3], out.blocks, views[1], None, 0.5)
    np.testing.assert_allclose(to_host(views[1].copy()),
                               weight - 0.5 * specification.gated_linear_dw(g, x, gates, 2), rtol=1e-12)


def everything(x, weight, bias, gates, g, block):
    """A forward and a backward pass of two gated layers; the results as bytes."""
    out = kernels.gated_linear(x, weight, bias, gates, block)
    above = kernels.gated_linear(out, weight @ weight.T, None, gates, block)
    found = [out.values, above.values, kernels.gated_linear_dx(g, weight, gates, out.blocks, block),
             kernels.gated_linear_dx(above, weight @ weight.T, gates, above.blocks, block, out.blocks).values,
             kernels.gated_linear_dw(g, x, gates, out.blocks, block), kernels.gated_linear_dw(above, out, gates,
                                                                                            above.blocks, block),
             kernels.gated_linear_db(g, gates, out.blocks, block), kernels.packed_linear(out, weight.T)]
    return [to_host(array).tobytes() for array in found]


def test_the_same_bits_every_time():
    rng = np.random.default_rng(5)
    examples, inputs, count, block = (40, 6, 3, 2) if simulated() else (500, 300, 40, 16)
    arrays = [to_device(rng.standard_normal(shape).astype(np.float32)) for shape in (
        (examples, inputs), (count * block, inputs), count * block)]
    gates = to_device(make_gates("real", (examples, count), np.float32, rng))
    g = to_device(rng.standard_normal((examples, count * block)).astype(np.float32))
    assert everything(*arrays, gates, g, block) == everything(*arrays, gates, g, block)


def test_a_step_makes_no_transfer_and_touches_what_it_does_on_the_cpu(monkeypatch):
    monkeypatch.setattr(cpu_dispatch, "dense_is_faster", lambda *case: False)
    rng = np.random.default_rng(6)
    host = [rng.standard_normal(shape) for shape in ((5, 4), (6, 4), 6, (5, 6), (5, 3), (4, 6))]

    def step(arrays, device):
        x, weight, bias, g, logits, consumer = arrays
        with kernels.count_work() as work:
            u = kernels.philox_uniforms(1, 2, 3, 4, (5, 3), device=device)
            gates = kernels.bernoulli_gates(logits, u)
            out = kernels.gated_linear(x, weight, bias, gates, 2)
            hidden = np.maximum(out, 0) * 2
            above = kernels.gated_linear(hidden, g.T @ g, None, gates, 2)
            kernels.packed_linear(above, consumer)
            dh = kernels.packed_linear_dh(x, consumer, above.blocks, 2)
            kernels.packed_linear_sgd(x, above, consumer, None, 0.1)
            dh = kernels.gated_linear_dx(dh, g.T @ g, gates, above.blocks, 2, out.blocks) * (out > 0) * g
            kernels.gated_linear_dw(dh, hidden, gates, out.blocks, 2)
            kernels.gated_linear_dgates(g, x, weight, bias, gates, out, "all")
            kernels.gated_linear_sgd(dh, x, gates, out.blocks, weight, bias, 0.1)
        return work, gates

    work, gates = step([to_device(array) for array in host], True)
    assert work.transfers == 0
    on_cpu, same_gates = step(host, False)
    np.testing.assert_array_equal(to_host(gates), same_gates)
    assert work.blocks == on_cpu.blocks > 0


def test_zeros_stay_behind_the_open_blocks():
    """So a sum over all values, or a test for NaN, gives the same as over the open blocks."""
    rng = np.random.default_rng(7)
    gates = to_device(make_gates("sparse", (6, 5), np.float64, rng))
    x, weight, bias = (to_device(rng.standard_normal(shape)) for shape in ((6, 4), (10, 4), 10))
    h = kernels.gated_linear(x, weight, bias, gates, 2)
    other = kernels.Packed.gather(to_device(np.full((6, 10), np.inf)), h.blocks, 2)
    for packed in (h, np.tanh(h), h * 3, h + h, h / 2, h * h, h * to_device(rng.standard_normal(10)), other,
                   kernels.gated_linear_dx(h, to_device(rng.standard_normal((10, 10))), gates, h.blocks, 2, h.blocks)):
        values = to_host(packed.values)
        assert packed.values.shape == (30, 2)
        assert not values[h.blocks.n_open:].any()
        assert values[:h.blocks.n_open].all()


@pytest.mark.parametrize("function", [
    lambda p: np.maximum(p, 0), np.tanh, lambda p: -p, lambda p: p / 2, lambda p: p > 0, lambda p: p + p,
    lambda p: p * p, lambda p: p * np.sum(p.values),
])
def test_functions_of_packed_values(function):
    rng = np.random.default_rng(8)
    gates, dense = make_gates("half", (4, 3), np.float64, rng), rng.standard_normal((4, 6))
    host = kernels.Packed.gather(dense, kernels.open_blocks(gates), 2)
    device = kernels.Packed.gather(to_device(dense), kernels.open_blocks(to_device(gates)), 2)
    np.testing.assert_allclose(to_host(function(device).to_dense()), function(host).to_dense(), rtol=1e-12)


@pytest.mark.parametrize("function", [np.exp, lambda p: p + 1, lambda p: p + p.to_dense(), lambda p: p / p,
                                      lambda p: p / np.sum(p.values), np.asarray])
def test_what_would_fill_closed_blocks_is_refused(function):
    blocks = kernels.open_blocks(to_device(np.eye(3)))
    with pytest.raises(TypeError, match="to_dense"):
        function(kernels.Packed.gather(to_device(np.ones((3, 6))), blocks, 2))


def test_packed_on_other_blocks_is_refused():
    first, second = (kernels.Packed.gather(to_device(np.ones((3, 3))), kernels.open_blocks(to_device(gates)), 1)
                     for gates in (np.eye(3), np.ones((3, 3))))
    with pytest.raises(TypeError, match="same open blocks"):
        first + second
    again = kernels.Packed.gather(to_device(np.ones((3, 3))), kernels.open_blocks(to_device(np.eye(3))), 1)
    np.testing.assert_array_equal(to_host((first + again).to_dense()), 2 * np.eye(3))


@pytest.mark.parametrize("name", ["x", "weight", "bias", "gates", "blocks", "g"])
def test_arrays_of_two_places_are_refused(name):
    rng = np.random.default_rng(9)
    host = {"x": rng.standard_normal((3, 4)), "weight": rng.standard_normal((4, 4)), "bias": np.ones(4),
            "gates": np.full((3, 2), 2.0), "g": np.ones((3, 4))}
    device = {key: to_device(value) for key, value in host.items()}
    host["blocks"], device["blocks"] = (kernels.open_blocks(arrays["gates"]) for arrays in (host, device))
    for most, one in ((device, host), (host, device)):
        a = {**most, name: one[name]}
        out = kernels.gated_linear(*(most[key] for key in ("x", "weight", "bias", "gates")), 2, most["blocks"])
        before = np.array(to_host(device["weight"])), host["weight"].copy()
        if name != "g":
            with pytest.raises(TypeError, match="on the"):
                kernels.gated_linear(a["x"], a["weight"], a["bias"], a["gates"], 2, a["blocks"])
        if name != "bias":
            with pytest.raises(TypeError, match="on the"):
                kernels.gated_linear_dx(a["g"], a["weight"], a["gates"], a["blocks"], 2) if name != "x" else (
                    kernels.gated_linear_dw(a["g"], a["x"], a["gates"], a["blocks"], 2))
        with pytest.raises(TypeError, match="on the"):
            kernels.gated_linear_sgd(a["g"], a["x"], a["gates"], a["blocks"], a["weight"], a["bias"], 0.1)
        if name in ("g", "weight"):
            with pytest.raises(TypeError, match="on the"):
                kernels.packed_linear_dh(a["g"], a["weight"].T, a["blocks"], 2)
        if name == "weight":
            with pytest.raises(TypeError, match="on the"):
                kernels.packed_linear(out, a["weight"].T)
        np.testing.assert_array_equal(to_host(device["weight"]), before[0])
        np.testing.assert_array_equal(host["weight"], before[1])
