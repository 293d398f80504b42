"""The products with tiles of results in registers: several tiles per block, and tiles that are not full."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import grid, tile, wide
from minigrad.kernels.device.transfer import to_device, to_host
from tests.cuda.product_checks import packed


def problem(shape, density, dtype):
    """Arrays of integers, so that every order of a sum gives the same."""
    examples, count, block, width = shape
    rng = np.random.default_rng(sum(shape))
    gates = (rng.random((examples, count)) < density).astype(dtype)
    return gates, kernels.open_blocks(to_device(gates)), *(rng.integers(-4, 5, size).astype(dtype) for size in (
        (examples, width), (count * block, width), (examples, count * block)))


def check_sdd(sizes, shape, density=0.6, dtype="float32", blocks_of_threads=2):
    rows, units, depth, r, u = sizes
    gates, blocks, x, weight, _ = problem(shape, density, dtype)
    x_there, weight_there = to_device(x), to_device(weight)
    values = to_device(np.full((gates.size, shape[2]), 99, dtype))
    kernel = tile.sdd(dtype, rows, units, depth, r, u, wide.fits(x_there, weight_there))
    grid.launch(kernel, blocks_of_threads, rows // r * (units // u), blocks.lists, blocks.tiles(rows), x_there,
                weight_there, values)
    wanted = packed(specification.sdd(x, weight, gates, shape[2]), gates, shape[2])
    wanted[np.count_nonzero(gates):] = 99
    np.testing.assert_array_equal(to_host(values), wanted)


@pytest.mark.parametrize("sizes", [(4, 4, 4, 4, 4), (8, 4, 8, 4, 4), (4, 8, 4, 4, 4), (8, 8, 4, 8, 8)])
@pytest.mark.parametrize("shape", [(5, 2, 4, 4), (9, 2, 5, 7), (3, 3, 9, 8)])
def test_sdd(sizes, shape):
    check_sdd(sizes, shape)


@pytest.mark.parametrize("density", [0, 1])
def test_sdd_all_closed_and_all_open(density):
    check_sdd((4, 4, 4, 4, 4), (6, 2, 5, 5), density)


def test_sdd_in_double_precision_by_one_block_of_threads():
    check_sdd((4, 4, 4, 4, 4), (9, 3, 5, 6), dtype="float64", blocks_of_threads=1)


def check_dw(sizes, shape, keep, rate, density=0.6, dtype="float32", blocks_of_threads=2):
    """A block that no example opened is set to 0. With `keep` it must not change, not even NaN."""
    units, columns, depth, r = sizes
    gates, _, x, weight, g = problem(shape, density, dtype)
    block = shape[2]
    gates[:, 0] = 0
    blocks = kernels.open_blocks(to_device(gates))
    h = g * specification.per_unit(gates, block)
    weight[:block] = np.nan
    values, x_there, out = to_device(packed(h, gates, block)), to_device(x), to_device(weight)
    kernel = tile.dw(dtype, units, columns, depth, r, wide.fits(values, x_there, out))
    grid.launch(kernel, blocks_of_threads, units // r * (columns // 4), blocks.lists, values, x_there, out, keep,
                np.dtype(dtype).type(rate))
    wanted = rate * specification.dw(h, x)
    wanted = weight + wanted if keep else wanted
    np.testing.assert_array_equal(to_host(out), wanted)


@pytest.mark.parametrize(("keep", "rate"), [(0, 1), (1, -0.5)])
@pytest.mark.parametrize("sizes", [(4, 4, 4, 4), (8, 8, 4, 4), (4, 8, 8, 4), (8, 4, 4, 8)])
@pytest.mark.parametrize("shape", [(5, 2, 4, 4), (9, 2, 5, 7), (3, 3, 9, 8)])
def test_dw(sizes, shape, keep, rate):
    check_dw(sizes, shape, keep, rate)


def test_dw_in_double_precision_by_one_block_of_threads():
    check_dw((4, 4, 4, 4), (9, 3, 5, 6), 1, -0.5, dtype="float64", blocks_of_threads=1)


def test_dw_all_open_but_one():
    check_dw((4, 4, 4, 4), (6, 2, 5, 5), 0, 1, density=1)
