"""Reductions and rows of packed units."""

import tracemalloc

import numpy as np
import pytest

from minigrad.kernels import Packed, count_work, open_blocks


@pytest.fixture
def packed():
    rng = np.random.default_rng(1)
    blocks = open_blocks(rng.random((5, 4)) < 0.5)
    return Packed.gather(rng.uniform(-0.9, 0.9, (5, 12)), blocks, 3)


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
    """The largest number of bytes that a call uses at one time."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
