"""Rows that are added to a table give the bits of np.add.at, for all shapes, dtypes and strides."""

import numpy as np
import pytest

from minigrad.kernels import tables

SIZES = [(7, 3), (4000, 5)]         # in NumPy, and compiled: numbers of indices, and of features


def both(table, indices, rows):
    """A table after the addition by ``tables``, and after np.add.at."""
    ours, wanted = table.copy(), table.copy()
    tables.add_at(ours, indices, rows)
    np.add.at(wanted, indices, rows)
    return ours, wanted


@pytest.mark.parametrize(("count", "features"), SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int8, np.uint16, np.uint64])
def test_the_bits_are_those_of_numpy(count, features, dtype, kind):
    rng = np.random.default_rng(0)
    low = 0 if np.dtype(kind).kind == "u" else -50
    indices = rng.integers(low, 50, count).astype(kind)
    rows = rng.standard_normal((count, features)).astype(dtype)
    ours, wanted = both(rng.standard_normal((50, features)).astype(dtype), indices, rows)
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("case", ["two axes of indices", "columns", "rows that broadcast", "strided", "vector", "F"])
def test_every_form_is_that_of_numpy(case):
    rng = np.random.default_rng(1)
    table, indices = rng.standard_normal((9, 4, 2)), rng.integers(-9, 9, 1200)
    rows = rng.standard_normal((1200, 4, 2))
    if case == "two axes of indices":
        indices, rows = indices.reshape(30, 40), rows.reshape(30, 40, 4, 2)
    if case == "columns":
        indices, rows = np.repeat(indices, 2)[::2], rows.transpose(0, 2, 1).copy().transpose(0, 2, 1)
    if case == "rows that broadcast":
        rows = rng.standard_normal((1200, 1, 2)).repeat(3, axis=1)[:, :1]
    if case == "strided":
        rows = rows.repeat(2, axis=2)[:, :, ::2]
    if case == "vector":
        table, indices, rows = table[:, 0, 0].copy(), rng.integers(-9, 9, 5000), rng.standard_normal(5000)
    if case == "F":
        table = np.asfortranarray(table)
    ours, wanted = both(table, indices, rows)
    np.testing.assert_array_equal(ours, wanted)


def test_no_indices_add_nothing():
    ours, wanted = both(np.ones((3, 2)), np.zeros(0, int), np.zeros((0, 2)))
    np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize(("count", "features"), SIZES)
def test_an_index_out_of_range_is_an_error_of_numpy(count, features):
    with pytest.raises(IndexError, match="index 50 is out of bounds for axis 0 with size 50"):
        tables.add_at(np.zeros((50, features)), np.full(count, 50), np.ones((count, features)))


@pytest.mark.parametrize(("count", "features"), SIZES)
def test_sums_of_rows_are_those_that_add_at_adds(count, features):
    rng = np.random.default_rng(0)
    indices, rows = 3 * rng.integers(-20, 20, count), rng.standard_normal((count, features))
    table = np.zeros((60, features))
    wanted = table.copy()
    tables.add_at(wanted, indices, rows)
    numbers, sums = tables.sum_rows(indices, rows, len(table))
    assert numbers.tolist() == sorted(set((indices % 60).tolist()))
    table[numbers] = sums
    np.testing.assert_array_equal(table, wanted)


def test_sums_of_no_rows():
    numbers, sums = tables.sum_rows(np.zeros(0, int), np.zeros((0, 2)), 3)
    assert numbers.tolist() == []
    assert sums.shape == (0, 2)
