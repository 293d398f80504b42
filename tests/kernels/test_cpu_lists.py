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
    """The deviation is not finite if a gate is not finite, or if its square overflows. Then it is tested again."""
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
    indptr, block_indptr, indices = layout.sections(room, gates.shape, n_open)
    by_block = np.full((2, n_open + 1), -7, np.int32)
    examples, positions = by_block[0, :n_open], by_block[1, :n_open]
    lists.list_by_block(indptr, indices[:-1], block_indptr, examples, positions)
    for got, expected in zip((indptr, indices[:-1], block_indptr, examples, positions),
                             specification.open_blocks(gates), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert (room[-3:] == -7).all()
    assert (by_block[:, -1] == -7).all()


def test_blocks_are_listed_in_groups():
    """More blocks than a group has: some examples have entries in every group, some in one, some in none."""
    gates = np.random.default_rng(1).random((5, 300)) < 0.3
    gates[1, 64:] = gates[2] = False
    gates[3, :200] = False
    counts = np.empty(300, np.int32)
    n_open, _ = lists.count_open(gates.view(np.uint8), counts)
    indptr, indices, block_indptr, *expected = specification.open_blocks(gates)
    examples, positions = np.empty((2, n_open), np.int32)
    lists.list_by_block(indptr, indices, block_indptr, examples, positions)
    np.testing.assert_array_equal([examples, positions], expected)


@pytest.mark.parametrize("block", [1, 3])
def test_packing_and_unpacking(block):
    gates = np.random.default_rng(2).random((4, 7)) < 0.5
    indptr, indices, *_ = specification.open_blocks(gates)
    dense = np.random.default_rng(3).standard_normal((4, 7 * block))
    values = np.full((gates.sum(), block), np.nan)
    lists.gather(indptr, indices, dense, values)
    np.testing.assert_array_equal(values, dense.reshape(4, 7, block)[gates])
    back = np.full_like(dense, -1)
    lists.scatter(indptr, indices, values, back)
    np.testing.assert_array_equal(back, np.where(np.repeat(gates, block, axis=1), dense, -1))
