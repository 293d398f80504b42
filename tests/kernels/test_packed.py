"""Packed activations under NumPy's protocols."""

import numpy as np
import pytest

from minigrad.kernels import OpenBlocks, Packed, open_blocks
from minigrad.kernels.cuda.simulator import cupy
from minigrad.kernels.device import arrays

LISTS = ("indptr", "indices", "block_indptr", "examples", "positions")


@pytest.fixture
def packed():
    rng = np.random.default_rng(1)
    blocks = open_blocks(rng.random((5, 4)) < 0.5)
    return Packed.gather(rng.uniform(-0.9, 0.9, (5, 12)), blocks, 3)


def test_gather_and_to_dense_are_inverse(packed):
    again = Packed.gather(packed.to_dense(), packed.blocks, 3)
    np.testing.assert_array_equal(again.values, packed.values)
    transposed = Packed.gather(np.asfortranarray(packed.to_dense()), packed.blocks, 3)
    np.testing.assert_array_equal(transposed.values, packed.values)


def test_array_attributes(packed):
    assert packed.shape == (5, 12)
    assert packed.ndim == 2
    assert packed.size == 60
    assert len(packed) == 5
    assert packed.nbytes == packed.values.nbytes
    assert packed.astype(np.float32).dtype == np.float32
    copied = packed.copy()
    copied.values[...] = 0
    assert packed.values.any()
    assert "density" in repr(packed)


@pytest.mark.parametrize("function", [
    np.negative, np.positive, np.abs, np.tanh, np.sin, np.arcsin, np.sqrt, np.square, np.expm1,
    np.log1p, np.sign, np.rint, np.isnan, lambda p: np.maximum(p, 0), lambda p: np.minimum(p, 0.5),
    lambda p: 3 * p, lambda p: p / 2, lambda p: p**2, lambda p: p > 0,
    lambda p: p + p, lambda p: p - 2 * p, lambda p: p * p, lambda p: np.maximum(p, -p),
])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_functions_that_keep_zero(packed, function):
    got = function(packed)
    wanted = function(packed.to_dense())
    assert isinstance(got, Packed)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got.to_dense(), wanted)


def test_product_with_a_dense_array_is_sampled(packed):
    for dense in (np.arange(60.0).reshape(5, 12), np.arange(12.0), np.ones((5, 1))):
        for product in (packed * dense, dense * packed):
            assert isinstance(product, Packed)
            np.testing.assert_array_equal(product.to_dense(), packed.to_dense() * dense)


def test_in_place(packed):
    wanted = packed.to_dense() * 3
    same = packed
    packed *= 2
    packed += same / 2
    assert packed is same
    np.testing.assert_allclose(packed.to_dense(), wanted)


@pytest.mark.parametrize("function", [
    np.exp, np.cos, lambda p: p + 1, lambda p: p + np.ones((5, 12)), lambda p: 1 / p, lambda p: p / 0,
    lambda p: p / p, lambda p: p > -1, lambda p: np.maximum(p, 1), lambda p: p == 0, lambda p: p * np.inf,
    np.add.reduce, np.modf, np.asarray, lambda p: np.add(p, p, out=np.ones((5, 12))),
    lambda p: np.add(p, p, where=np.ones((5, 12), bool)), lambda p: p.sum(dtype=float), lambda p: p.sum(axis=()),
    lambda p: p[0], lambda p: p[:, 0], lambda p: p[None], lambda p: p[1:2, 1:], lambda p: p[np.ones((5, 12), bool)],
    list,
])
def test_what_would_fill_closed_blocks_is_refused(packed, function):
    with pytest.raises(TypeError, match=r"to_dense|out="):
        function(packed)


def test_packed_on_other_blocks_is_refused(packed):
    other = Packed.gather(np.ones((5, 12)), open_blocks(np.ones((5, 4), bool)), 3)
    with pytest.raises(TypeError, match="same open blocks"):
        packed + other
    equal = Packed(packed.values, OpenBlocks(packed.blocks.shape, *(
        getattr(packed.blocks, name).copy() for name in LISTS), binary=True), 3)
    np.testing.assert_array_equal((packed + equal).values, 2 * packed.values)
    with pytest.raises(ValueError, match=r"Packed\.gather"):
        Packed(packed.values[1:], packed.blocks, 3)
    with pytest.raises(ValueError, match="one column per unit"):
        Packed.gather(np.ones((5, 11)), packed.blocks, 3)


def test_a_dense_array_of_another_device_is_refused(packed, monkeypatch):
    monkeypatch.setattr(arrays, "device_types", {cupy.ndarray})
    elsewhere = cupy.array(np.ones((5, 12)))
    with pytest.raises(TypeError, match="expected an array on the host"):
        packed * elsewhere
    with pytest.raises(TypeError, match="expected an array on the host"):
        Packed.gather(elsewhere, packed.blocks, 3)
