"""The compiled addition of rows: in order, with indices from both ends, and nothing changed for a wrong index."""

import numpy as np
import pytest

from minigrad.kernels.cpu import tables


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_added_in_order(dtype):
    """1 + 2⁻ᵏ is rounded to 1 and −1 + 1 is 0, so each other order gives another sum."""
    small = dtype(np.finfo(dtype).eps / 4)
    rows = np.array([[1], [small], [-1], [small]], dtype)
    table = np.zeros((3, 1), dtype)
    assert tables.add_at(table, np.array([1, 1, -2, 1]), rows)
    assert table.tolist() == [[0], [small], [0]]


@pytest.mark.parametrize("wrong", [3, -4])
def test_an_index_out_of_range_changes_nothing(wrong):
    table = np.zeros((3, 2))
    assert not tables.add_at(table, np.array([0, 2, wrong]), np.ones((3, 2)))
    assert not table.any()
    assert tables.add_at(table, np.array([-3, 2]), np.ones((2, 2)))
    assert table.tolist() == [[1, 1], [0, 0], [1, 1]]
