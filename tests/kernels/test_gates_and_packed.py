"""Lists of open blocks, and packed activations under NumPy's protocols."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minigrad.kernels import OpenBlocks, Packed, count_work, open_blocks, specification

LISTS = ("indptr", "indices", "block_indptr", "examples", "positions")


@settings(deadline=None)  # the first example compiles
@given(arrays.arrays(st.sampled_from([np.float32, np.float64, np.bool_]),
                     st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.sampled_from([0, 1])))
def test_lists_agree_with_the_specification(gates):
    blocks = open_blocks(gates)
    for name, wanted in zip(LISTS, specification.open_blocks(gates), strict=False):
        got = getattr(blocks, name)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, wanted, err_msg=name)
    assert blocks.binary
    assert blocks.n_open == np.count_nonzero(gates)


def test_lists_of_views():
    gates = np.random.default_rng(0).random((6, 8)) < 0.5
    for view in (gates[::2, 1:], gates.T, np.broadcast_to(gates[0], (4, 8))):
        for name, wanted in zip(LISTS, specification.open_blocks(view), strict=False):
            np.testing.assert_array_equal(getattr(open_blocks(view), name), wanted)


def test_real_gates_are_not_binary():
    assert not open_blocks(np.array([[0.0, 0.5]])).binary
    assert not open_blocks(np.array([[-1.0]])).binary


@pytest.mark.parametrize(("gates", "error", "words"), [
    ([[1.0]], TypeError, "asarray"),
    (np.ones((2, 2), np.float16), TypeError, "float16"),
    (np.ones(3), ValueError, "reshape"),
    (np.array([[1.0, np.inf]]), ValueError, r"inf at \(0, 1\)"),
    (np.broadcast_to(np.True_, (2**16, 2**15)), ValueError, "split the batch"),
])
def test_bad_gates(gates, error, words):
    with pytest.raises(error, match=words):
        open_blocks(gates)


@pytest.fixture
def packed():
    rng = np.random.default_rng(1)
    blocks = open_blocks(rng.random((5, 4)) < 0.5)
    return Packed.gather(rng.uniform(-0.9, 0.9, (5, 12)), blocks, 3)


def test_sample_and_dense_are_inverse(packed):
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


REDUCTIONS = [np.sum, np.mean, np.var, np.std, np.max, np.min, np.prod, np.any, np.all]


def with_every_kind_of_row():
    """Packed arrays with rows and blocks that are all open, partly open and all closed, with zeros inside as well."""
    rng = np.random.default_rng(2)
    gates = rng.random((6, 4)) < 0.5
    gates[0], gates[1], gates[:, 0], gates[:, 1] = True, False, True, False
    for shift in (0, 3, -3):                # of either sign, all positive, all negative
        dense = rng.uniform(-1, 1, (6, 8)) + shift
        dense[0, 0], dense[2, 1] = 0, 0
        yield Packed.gather(dense, open_blocks(gates), 2)
    for shape in ((0, 3), (3, 0), (1, 1)):
        yield Packed.gather(np.ones((shape[0], shape[1] * 2)), open_blocks(np.ones(shape, bool)), 2)
    yield Packed.gather(-np.ones((3, 4)), open_blocks(np.zeros((3, 2), bool)), 2)
    yield Packed.gather(-np.ones((3, 4)), open_blocks(np.ones((3, 2), bool)), 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", REDUCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_are_those_of_the_dense_array(function, dtype, axis, keepdims):
    for packed in with_every_kind_of_row():
        packed = packed.astype(dtype)
        try:
            wanted = function(packed.to_dense(), axis=axis, keepdims=keepdims)
        except ValueError as error:         # the largest of nothing
            with pytest.raises(ValueError, match=str(error)):
                function(packed, axis=axis, keepdims=keepdims)
            continue
        got = function(packed, axis=axis, keepdims=keepdims)
        assert (np.shape(got), got.dtype) == (np.shape(wanted), wanted.dtype)
        np.testing.assert_allclose(got, wanted, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-15)


def test_reductions_with_ddof_of_comparisons_and_of_axes_out_of_range(packed):
    np.testing.assert_allclose(np.var(packed, axis=1, ddof=2), np.var(packed.to_dense(), axis=1, ddof=2))
    assert np.sum(packed > 0) == np.sum(packed.to_dense() > 0)
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        np.sum(packed, axis=2)


@pytest.mark.parametrize("index", [
    slice(2, 5), slice(None, None, -2), [0, 3], [3, -1, 3], np.array([], int),
    np.array([True, False, True, True, False]), (slice(1, 3), slice(None)), ([4, 2], ...), slice(9, 9),
])
def test_rows_are_packed(packed, index):
    rows = packed[index]
    assert isinstance(rows, Packed)
    np.testing.assert_array_equal(rows.to_dense(), packed.to_dense()[index])
    gates = np.zeros(packed.blocks.shape, bool)
    gates[packed.blocks.rows, packed.blocks.indices] = True
    assert rows.blocks.same_as(open_blocks(gates[index[0] if isinstance(index, tuple) else index]))


def test_rows_out_of_range_are_refused(packed):
    with pytest.raises(IndexError):
        packed[[5]]
    with pytest.raises(IndexError):
        packed[np.ones(4, bool)]


def test_reductions_and_rows_touch_open_blocks_and_make_no_dense_array():
    gates = np.zeros((200, 50), bool)
    gates[::10, ::5] = True
    packed = Packed.gather(np.ones((200, 50 * 16)), open_blocks(gates), 16)
    for function in REDUCTIONS:
        for axis in (None, 0, 1):
            with count_work() as work:
                function(packed, axis=axis)
            assert 0 < work.blocks <= 5 * gates.sum()
            assert peak(lambda function=function, axis=axis: function(packed, axis=axis)) < packed.size * 8 / 4
    assert peak(lambda: packed[20:100]) < packed.size * 8 / 4


def peak(call):
    """The most bytes that a call holds at a time."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
