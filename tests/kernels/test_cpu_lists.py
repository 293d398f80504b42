"""The two compiled passes that list open blocks."""

import numpy as np
import pytest

from minigrad.kernels import specification
from minigrad.kernels.cpu import layout, lists


@pytest.mark.parametrize(("gates", "deviation"), [
    ([[0, 1, 1]], 0), ([[0, 0.5, 1]], 0.25), ([[-1, 0, 0]], 2), ([[2, 0, 1], [0, 3, 0]], 8),
    ([[np.inf, 0]], np.nan), ([[1, np.nan]], np.nan), ([[1e200, 0]], np.inf),
])
def test_how_far_gates_are_from_binary(gates, deviation):
    """Not finite where a gate is not; also where a gate is so large that its square is not, and is looked at again."""
    gates = np.array(gates, float)
    counts = np.full(gates.shape[1], -1, np.int32)
    n_open, found = lists.count_open(gates, counts)
    assert n_open == np.count_nonzero(gates)
    np.testing.assert_array_equal(counts, np.count_nonzero(gates, axis=0))
    np.testing.assert_array_equal(found, deviation)


@pytest.mark.parametrize("density", [0, 0.4, 1])
def test_lists_are_those_of_the_specification_and_nothing_else_is_written(density):
    gates = (np.random.default_rng(0).random((7, 9)) < density).astype(np.float32)
    counts = np.empty(9, np.int32)
    n_open, _ = lists.count_open(gates, counts)
    room = np.full(len(layout.buffer(gates.shape, n_open)) + 3, -7, np.int32)
    lists.list_open(gates, counts, n_open, room)
    indptr, block_indptr, positions, examples, indices = layout.sections(room, gates.shape, n_open)
    for got, expected in zip((indptr, indices[:-1], block_indptr, examples, positions),
                             specification.open_blocks(gates), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert (room[-3:] == -7).all()
