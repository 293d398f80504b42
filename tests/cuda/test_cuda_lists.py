"""Lists of open blocks that the device makes, for any number of threads, and when the host reads them."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import grid, lists
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
    monkeypatch.setattr(grid, "THREADS", threads)
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


@pytest.mark.parametrize(("gates", "error", "words"), [
    (np.ones((2, 2), np.float16), TypeError, "float16"),
    (np.ones((2, 2), int), TypeError, "int64"),
    (np.ones(3), ValueError, "reshape"),
])
def test_bad_gates(gates, error, words):
    with pytest.raises(error, match=words):
        kernels.open_blocks(to_device(gates))
