"""Lists of open blocks made on the device, for any number of threads, and what they tell the host when."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import launch, layout, lists
from minigrad.kernels.device.arrays import simulated
from minigrad.kernels.device.transfer import to_device, to_host

LISTS = ("indptr", "indices", "block_indptr", "examples", "positions")
SHAPES = [(0, 3), (3, 0), (1, 1), (5, 7), (32, 32), (33, 31), (3, 70), (70, 3)]
if not simulated():
    SHAPES += [(1000, 3), (513, 1030), (4, 100_000)]


def random_gates(shape, density=0.4, dtype=np.float32):
    return (np.random.default_rng(sum(shape)).random(shape) < density).astype(dtype)


def assert_lists_of(blocks, gates):
    wanted = specification.open_blocks(gates)
    for name, array in zip(LISTS, wanted, strict=True):
        got = getattr(blocks, name)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(to_host(got)[:len(array)], array, err_msg=name)
    np.testing.assert_array_equal(to_host(blocks.rows)[:len(wanted[1])], np.nonzero(gates)[0])
    assert blocks.n_open == np.count_nonzero(gates)
    assert blocks.capacity == gates.size


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lists_agree_with_the_specification(shape, dtype):
    gates = random_gates(shape, dtype=dtype)
    blocks = kernels.open_blocks(to_device(gates))
    assert_lists_of(blocks, gates)
    assert blocks.binary == (dtype == np.bool_)


@pytest.mark.parametrize("density", [0, 0.02, 1])
def test_extreme_densities(density):
    gates = random_gates((35, 40), density)
    assert_lists_of(kernels.open_blocks(to_device(gates)), gates)


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_any_number_of_threads(monkeypatch, threads):
    monkeypatch.setattr(lists, "SCAN", threads)
    monkeypatch.setattr(launch, "THREADS", threads)
    gates = random_gates((37, 34))
    blocks = kernels.open_blocks(to_device(gates))
    assert_lists_of(blocks, gates)
    assert_tiles_of(blocks, gates, 4)


def assert_tiles_of(blocks, gates, rows):
    tiles, starts = to_host(blocks.tiles(rows)), specification.open_blocks(gates)[2]
    wanted = [(j, first, min(first + rows, starts[j + 1])) for j in range(gates.shape[1])
              for first in range(starts[j], starts[j + 1], rows)]
    assert tiles[0, 0] == len(wanted)
    assert [tuple(tile) for tile in tiles[1:1 + len(wanted)]] == wanted


@pytest.mark.parametrize("rows", [1, 3, 8, 64])
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (9, 5), (40, 2)], ids=str)
def test_tiles_are_runs_of_entries_of_one_block(shape, rows):
    gates = random_gates(shape)
    blocks = kernels.open_blocks(to_device(gates))
    assert_tiles_of(blocks, gates, rows)
    assert blocks.tiles(rows) is blocks.tiles(rows)


def test_any_strides():
    gates = random_gates((12, 10))
    assert_lists_of(kernels.open_blocks(to_device(gates)[::3, 1:]), gates[::3, 1:])
    assert_lists_of(kernels.open_blocks(to_device(gates).T), gates.T)


def test_bits_tell_whether_and_where_an_entry_is():
    gates = random_gates((35, 40))
    blocks = kernels.open_blocks(to_device(gates))
    masks = layout.bits.py_func(to_host(blocks.masks), *gates.shape)[0]
    starts = layout.starts.py_func(to_host(blocks.lists), *gates.shape)[0]
    positions = np.cumsum(gates.ravel()) - 1
    for (i, j), gate in np.ndenumerate(gates):
        word, bit = masks[j // 32 * 35 + i], np.uint32(j % 32)
        assert (word >> bit) & np.uint32(1) == gate
        if gate:
            below = int(word) & ((1 << int(bit)) - 1)
            assert starts[j // 32 * 35 + i] + below.bit_count() == positions[i * 40 + j]


def test_only_questions_take_transfers():
    gates = to_device(random_gates((6, 5)))
    with kernels.count_work() as work:
        blocks = kernels.open_blocks(gates)
        blocks.tiles(4)
        assert work.transfers == 0
        assert work.bytes == blocks.nbytes + blocks.tiles(4).nbytes + 4 * (5 + 1)
        n_open = blocks.n_open
        assert work.transfers == 1
        assert "density" in repr(blocks)
        assert blocks.density == n_open / 30
        assert work.transfers == 1
        assert blocks.same_as(blocks)
        assert work.transfers == 1
        assert blocks.same_as(kernels.open_blocks(gates))
        assert not blocks.same_as(kernels.open_blocks(gates * 0))
        assert work.transfers == 5
    assert not blocks.same_as(kernels.open_blocks(to_host(gates)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gates_that_are_not_finite_are_told_at_the_next_transfer(bad):
    gates = random_gates((3, 4))
    gates[1, 2] = bad
    x, weight = to_device(np.ones((3, 2), np.float32)), to_device(np.ones((4, 2), np.float32))
    out = kernels.gated_linear(x, weight, None, to_device(gates), 1)
    with pytest.raises(ValueError, match="gates: expected finite"):
        to_host(out.values)
    to_host(out.values)     # told once


@pytest.mark.parametrize(("gates", "error", "words"), [
    (np.ones((2, 2), np.float16), TypeError, "float16"),
    (np.ones((2, 2), int), TypeError, "int64"),
    (np.ones(3), ValueError, "reshape"),
])
def test_bad_gates(gates, error, words):
    with pytest.raises(error, match=words):
        kernels.open_blocks(to_device(gates))
