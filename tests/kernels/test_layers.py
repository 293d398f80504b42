"""Every product of the gated layers gives the results of the NumPy specification."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import backend, layers, specification
from minigrad.kernels.cpu import dispatch, driver, plain, uncompiled
from minigrad.kernels.cpu.vectors import VECTOR_BYTES
from tests.kernels.layer_checks import (
    GATES,
    arrays,
    assert_close,
    check_both_sides,
    check_consumer,
    check_gated_layer,
    make_gates,
)

# (examples, inputs, blocks, block): tails of every tile, single rows, units and columns, nothing.
SHAPES = [
    (0, 5, 3, 2),
    (1, 1, 1, 1),
    (1, 40, 5, 4),
    (2, 17, 1, 3),
    (7, 67, 3, 1),
    (13, 64, 4, 16),
    (31, 130, 5, 7),
    (64, 33, 6, 5),
    (40, 600, 2, 8),
]


@pytest.fixture(autouse=True, params=["plain", "vector", "chosen", "uncompiled"])
def tile(request, monkeypatch):
    """Run every test with the simple kernels, with the fast ones, with the default choice, and with those without
    Numba.
    """
    if request.param == "chosen":
        return
    if request.param == "uncompiled":
        monkeypatch.setattr(backend, "host_kernels", lambda: uncompiled)
        return
    if request.param == "vector" and not VECTOR_BYTES:
        pytest.skip("this processor has no wide vectors")
    if request.param == "plain":
        monkeypatch.setattr(dispatch, "tile", plain)
        monkeypatch.setattr(driver, "in_one_call", lambda *arrays: False)
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: False)


def layouts(array):
    """The same numbers with other strides, and at an address that is no multiple of the item size."""
    wide = np.zeros((array.shape[0] * 2, array.shape[1] + 3), array.dtype)
    sliced = wide[::2, 1:1 + array.shape[1]]
    sliced[...] = array
    reverse = array[::-1].copy()[::-1]
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    unaligned = buffer[1:].view(array.dtype).reshape(array.shape) if array.size else array
    unaligned[...] = array
    return {"transposed": np.asfortranarray(array), "sliced": sliced, "reverse": reverse,
            "unaligned": unaligned}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gated_layer(shape, kind, dtype):
    check_gated_layer(shape, kind, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["units first", "classes first"])
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_consumer(shape, kind, order, dtype):
    check_consumer(shape, kind, order, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("shape", [(0, 3, 2, 2, 1), (1, 4, 3, 5, 2), (9, 3, 1, 7, 4), (33, 4, 17, 5, 1),
                                   (30, 5, 16, 3, 16), (12, 2, 70, 2, 3)], ids=str)
def test_gated_on_both_sides(shape, kind, dtype):
    check_both_sides(shape, kind, dtype)


@pytest.mark.parametrize("name", ["transposed", "sliced", "reverse", "unaligned"])
def test_strides(name):
    rng = np.random.default_rng(3)
    dtype, examples, inputs, count, block = np.float32, 20, 37, 4, 3
    a = arrays(rng, dtype, x=(examples, inputs), weight=(count * block, inputs),
               g=(examples, count * block))
    gates = make_gates("real", (examples, count), dtype, rng)
    x, weight, g = (layouts(a[key])[name] for key in ("x", "weight", "g"))
    odd_gates = layouts(gates)[name]
    out = kernels.gated_linear(x, weight, None, odd_gates, block)
    assert_close(out, specification.gated_linear(x, weight, None, gates, block))
    blocks = out.blocks
    assert_close(kernels.gated_linear_dx(g, weight, odd_gates, blocks, block),
                 specification.gated_linear_dx(g, weight, gates, block))
    gradient = specification.gated_linear_dw(g, x, gates, block)
    target = layouts(np.ones_like(weight))[name]
    assert kernels.gated_linear_dw(g, x, odd_gates, blocks, block, target) is target
    assert_close(target, gradient)
    stepped = layouts(a["weight"])[name]
    kernels.gated_linear_sgd(g, x, odd_gates, blocks, stepped, None, 0.5)
    assert_close(stepped, a["weight"] - dtype(0.5) * gradient)


def test_read_only_arrays_are_never_written():
    x, weight, gates = np.ones((1, 3)), np.ones((4, 3)), np.ones((1, 2))
    out = kernels.gated_linear(x, weight, None, gates, 2)
    weight.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        kernels.gated_linear_sgd(out, x, gates, out.blocks, weight, None, 0.1)
    with pytest.raises(ValueError, match="read-only"):
        kernels.gated_linear_dw(out, x, gates, out.blocks, 2, out=weight)
    with pytest.raises(ValueError, match="read-only"):
        kernels.packed_linear_sgd(x, out, weight.T, None, 0.1)
    assert (weight == 1).all()


def test_bad_cotangents():
    gates = np.array([[1.0, 0.5]])
    x, weight = np.ones((1, 3)), np.ones((4, 3))
    out = kernels.gated_linear(x, weight, None, gates, 2)
    other = kernels.Packed.gather(np.ones((1, 4)), kernels.open_blocks(np.array([[0.0, 1.0]])), 2)
    with pytest.raises(ValueError, match="cotangent of the output"):
        kernels.gated_linear_dx(other, weight, gates, out.blocks, 2)
    with pytest.raises(TypeError, match="open_blocks"):
        kernels.gated_linear_dw(np.ones((1, 4)), x, gates, gates, 2)
    with pytest.raises(ValueError, match="shape"):
        kernels.gated_linear_dw(np.ones((1, 5)), x, gates, out.blocks, 2)
    with pytest.raises(ValueError, match="open blocks of x"):
        kernels.gated_linear_dx(out, weight, gates, out.blocks, 2, kernels.open_blocks(np.ones((1, 2))))
    with pytest.raises(TypeError, match="dense array"):
        kernels.gated_linear_dgates(out, x, weight, None, gates, out, "all")
    with pytest.raises(ValueError, match="which"):
        kernels.gated_linear_dgates(out, x, weight, None, gates, out, "none")
    with pytest.raises(TypeError, match="Packed"):
        kernels.packed_linear(np.ones((1, 4)), weight.T)
    with pytest.raises(ValueError, match="forward product"):
        kernels.packed_linear_dh(np.ones((1, 3)), np.ones((3, 5)), out.blocks, 2)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("opened", [[], [4], [0, 3], list(range(6))])
def test_weight_gradients_without_blocks_that_no_example_opens(opened, packed):
    rng = np.random.default_rng(0)
    gates = np.zeros((8, 6))
    gates[:, opened] = rng.random((8, len(opened)))         # real numbers, by which the cotangent is multiplied once
    blocks, units = kernels.open_blocks(gates), [3 * j + i for j in opened for i in range(3)]
    g = kernels.Packed.gather(rng.standard_normal((8, 18)), blocks, 3)
    x = rng.standard_normal((8, 5))
    if packed:
        x = kernels.Packed.gather(np.repeat(x, 2, axis=1), kernels.open_blocks(rng.random((8, 5)) < 0.5), 2)
    wanted = kernels.gated_linear_dw(g, x, gates, blocks, 3)
    numbers, rows = layers.gated_linear_dw_rows(g, x, gates, blocks, 3)
    assert numbers.tolist() == units
    np.testing.assert_allclose(rows, wanted[units], rtol=1e-12)
    assert not np.delete(wanted, units, axis=0).any()
    cotangent = rng.standard_normal((8, 4))
    wanted = kernels.packed_linear_dw(cotangent, g).T
    numbers, rows = layers.packed_linear_dw_rows(cotangent, g)
    assert numbers.tolist() == units
    np.testing.assert_allclose(rows, wanted[units], rtol=1e-12)
