"""Lists of open blocks, and packing with them."""

import numpy as np
import pytest

from minigrad.kernels import OpenBlocks, count_work, open_blocks, specification


@pytest.fixture
def gates():
    return np.random.default_rng(1).random((5, 4)) < 0.5


@pytest.mark.parametrize("order", ["C", "F"])
def test_gather_and_scatter_are_the_open_blocks_and_their_place(gates, order):
    blocks = open_blocks(gates)
    dense = np.random.default_rng(2).standard_normal((5, 12)).copy(order=order)
    values = blocks.gather(dense, 3)
    for position, (i, j) in enumerate(zip(*np.nonzero(gates), strict=True)):
        np.testing.assert_array_equal(values[position], dense[i, 3 * j:3 * j + 3])
    np.testing.assert_array_equal(blocks.scatter(values), dense * specification.per_unit(gates, 3))


def test_what_packing_costs_is_counted(gates):
    blocks = open_blocks(gates)
    blocks.rows  # noqa: B018 (made once, and counted then)
    with count_work() as work:
        values = blocks.gather(np.ones((5, 12)), 3)
    assert (work.bytes, work.blocks) == (values.nbytes, gates.sum())
    with count_work() as work:
        room = blocks.empty(3, np.dtype(np.float32))
        blocks.touch()
    assert (work.bytes, work.blocks) == (room.nbytes, gates.sum())
    assert room.shape == values.shape


def test_which_lists_are_the_same(gates):
    blocks, again = open_blocks(gates), open_blocks(gates)
    assert blocks.same_as(again)
    other = gates.copy()
    other[0, 0] ^= True
    assert not blocks.same_as(open_blocks(other))
    moved = np.array([[True, False]]), np.array([[False, True]])
    assert not open_blocks(moved[0]).same_as(open_blocks(moved[1]))     # as many, but others
    assert not open_blocks(np.zeros((2, 3))).same_as(open_blocks(np.zeros((2, 4))))


def test_sizes_of_lists(gates):
    blocks = open_blocks(gates)
    assert blocks.n_open == blocks.capacity == gates.sum()
    assert blocks.density == gates.mean()
    lists = [getattr(blocks, name).nbytes for name in ("indptr", "indices", "block_indptr", "examples", "positions")]
    assert blocks.nbytes == sum(lists)
    np.testing.assert_array_equal(blocks.rows, np.nonzero(gates)[0])
    assert OpenBlocks((0, 3), *specification.open_blocks(np.zeros((0, 3))), True).density == 0


@pytest.mark.parametrize("kind", ["compiled", "specification"])
def test_blocks_that_no_example_opens_are_left_out(kind):
    gates = np.array([[0, 1, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]], bool)
    blocks = open_blocks(gates)
    if kind == "specification":
        blocks = OpenBlocks(gates.shape, *specification.open_blocks(gates), True)
    part, numbers = blocks.of_some_example()
    assert numbers.tolist() == [1, 3, 4]
    wanted = open_blocks(gates[:, numbers])
    assert part.same_as(wanted)
    for name in "block_indptr", "examples", "positions":
        assert getattr(part, name).tolist() == getattr(wanted, name).tolist()
    assert part.of_some_example()[0] is part
    nothing, numbers = open_blocks(np.zeros((3, 5), bool)).of_some_example()
    assert nothing.shape == (3, 0)
    assert numbers.tolist() == []
