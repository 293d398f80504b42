"""The product for narrow blocks and few examples: several rounds, teams and lanes, and tiles that are not full."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import grid, pairs, wide
from minigrad.kernels.device.transfer import to_device, to_host
from tests.cuda.product_checks import packed


def check(tile, shape, density, dtype="float32", blocks_of_threads=2):
    """Numbers are integers, so every order of the sum gives the same. Rows after the open blocks must not change."""
    examples, count, block, width = shape
    units, depth, teams, lanes, each = tile
    rng = np.random.default_rng(sum(shape))
    gates = (rng.random((examples, count)) < density).astype(dtype)
    x, weight = (rng.integers(-4, 5, size).astype(dtype) for size in ((examples, width), (count * block, width)))
    there, weight_there, values = to_device(x), to_device(weight), to_device(np.full((gates.size, block), 99, dtype))
    vector = wide.fits(there, weight_there)
    assert vector == (width % (16 // np.dtype(dtype).itemsize) == 0)
    kernel = pairs.sdd(dtype, units, depth, teams, lanes, each, vector)
    blocks = kernels.open_blocks(to_device(gates))
    grid.launch(kernel, blocks_of_threads, teams * lanes, blocks.lists, blocks.masks, there, weight_there, values)
    wanted = packed(specification.sdd(x, weight, gates, block), gates, block)
    wanted[np.count_nonzero(gates):] = 99
    np.testing.assert_array_equal(to_host(values), wanted)


@pytest.mark.parametrize("tile", [
    (8, 8, 1, 1, 1),    # one thread, one pair at a time: a round for each pair
    (8, 8, 2, 3, 2),    # three lanes share two quads of columns
    (4, 4, 3, 1, 4),    # more room than pairs
    (5, 4, 1, 2, 2),    # a tile ends within a block
])
@pytest.mark.parametrize("shape", [(5, 3, 2, 6), (3, 4, 1, 4), (2, 2, 3, 9)])
def test_tiles_of_any_size(tile, shape):
    check(tile, shape, 0.6)


@pytest.mark.parametrize("density", [0, 1])
def test_all_closed_and_all_open(density):
    check((8, 8, 2, 2, 2), (4, 3, 2, 5), density)


def test_more_examples_than_a_word_has_bits():
    check((8, 8, 2, 2, 2), (35, 2, 1, 4), 0.5)


def test_whole_vectors_and_double_precision():
    check((8, 8, 2, 2, 2), (4, 3, 2, 8), 0.6, "float64")
    check((8, 8, 2, 2, 2), (4, 3, 2, 8), 0.6, "float32")


def test_one_block_of_threads_walks_all_tiles():
    check((4, 4, 2, 2, 2), (34, 6, 1, 4), 0.3, blocks_of_threads=1)
