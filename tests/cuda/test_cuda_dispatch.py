"""Every kernel of the products on the device gives the results of the specification, for random shapes.

`test_cuda_layers` tests whole layers. This file tests tiles, windows, tails, vectors and slices. So it calls the
kernels as `driver` calls them, and at the end it checks that every kernel has run.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import dispatch, grid, wide
from minigrad.kernels.device.arrays import device_library, simulated
from minigrad.kernels.device.transfer import to_device
from tests.cuda.product_checks import DENSITIES, assert_close, check_products, packed, problem

SCALE = 1 if simulated() else 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [
    (9, 5, 1, 8), (9, 5, 1, 7),         # single units, rows that are whole vectors, and not
    (35, 2, 1, 12), (3, 34, 1, 4),      # more examples, or more blocks, than a word has bits
    (10, 3, 8, 12), (10, 3, 8, 9),      # tiles in registers
    (9, 2, 10, 16), (17, 1, 16, 4),     # a block that is no multiple of the tile's units
    (9, 1, 40, 8),                      # a block wider than a window
    (1, 3, 8, 8), (1, 33, 2, 5),        # one example
    (8, 2, 3, 1), (2, 1, 1, 1),         # one input
])
def test_products(shape, density, dtype):
    check_products(dispatch, shape, density, dtype)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 40 * SCALE), st.integers(1, 5), st.integers(1, 12 * SCALE), st.integers(1, 20 * SCALE),
       st.floats(0, 1), st.sampled_from(["float32", "float64"]), st.integers(0, 2**32 - 1))
def test_products_of_any_shape(examples, count, block, width, density, dtype, seed):
    check_products(dispatch, (examples, count, block, width), density, dtype, seed)


@pytest.mark.parametrize("shape", [(0, 3, 2, 4), (0, 3, 8, 4), (3, 0, 2, 4), (3, 2, 2, 0), (9, 2, 8, 0)])
def test_nothing_to_compute(shape):
    check_products(dispatch, shape, 1, "float32")


def test_slices_are_used_where_tiles_are_few():
    assert dispatch.slices_for(1000 * grid.resident(), 1000) == 1
    assert dispatch.slices_for(1, 7) == 1
    assert simulated() or 1 < dispatch.slices_for(1, 1000) <= grid.resident()


@pytest.mark.parametrize("shape", [(9, 5, 1, 7), (12, 3, 8, 12)])
def test_one_block_of_threads_does_all_the_work(monkeypatch, shape):
    monkeypatch.setattr(dispatch, "resident", lambda: 1)
    check_products(dispatch, shape, 0.5, "float32")


@pytest.mark.parametrize("shape", [(9, 5, 1, 8), (12, 3, 8, 12)])
@pytest.mark.parametrize("off", [1, 2])
def test_arrays_that_begin_between_vectors(shape, off):
    """The array is contiguous and its rows are whole vectors, but it does not start at an address for vector loads."""
    gates, x, weight, g = problem(*shape, 0.5, "float32")
    block = shape[2]
    blocks = kernels.open_blocks(to_device(gates))

    def shifted(array):
        line = device_library().empty(array.size + 4, array.dtype)
        # Of the four places one more is a multiple of 16 bytes; `off` of them further on none is.
        start = next(n for n in range(4) if wide.fits(line[n:n + array.size].reshape(array.shape))) + off
        moved = line[start % 4:start % 4 + array.size].reshape(array.shape)
        moved[...] = to_device(array)
        assert not wide.fits(moved)
        return moved

    x_moved, weight_moved = shifted(x), shifted(weight)
    values = device_library().zeros((gates.size, block), x.dtype)
    dispatch.sdd(x_moved, weight_moved, blocks, values)
    assert_close(values, packed(specification.packed_linear_dh(x, weight.T, gates, block), gates, block))
    values, out = to_device(packed(g, gates, block)), shifted(np.zeros_like(x))
    dispatch.dsd(values, weight_moved, blocks, out)
    assert_close(out, specification.gated_linear_dx(g, weight, gates, block))
    out = shifted(np.zeros_like(weight))
    dispatch.dw(values, x_moved, blocks, out, 0, 1)
    assert_close(out, specification.gated_linear_dw(g, x, gates, block))


@pytest.mark.parametrize("block", [1, 8])
def test_a_step_leaves_closed_blocks_alone(block):
    """If no example opened a block, its numbers do not change, not even NaN."""
    gates, x, weight, g = problem(9, 4, block, 8, 1, "float32")
    gates[:, 2] = 0
    weight[2 * block:3 * block] = np.nan
    out = to_device(weight)
    blocks = kernels.open_blocks(to_device(gates))
    dispatch.dw(to_device(packed(g, gates, block)), to_device(x), blocks, out, 1, -0.5)
    wanted = weight - np.float32(0.5) * specification.gated_linear_dw(g, x, gates, block)
    assert_close(out, wanted)


@pytest.mark.parametrize("block", [1, 8])
def test_what_is_closed_is_not_read(block):
    """The weights of a closed block are not read, so they may be NaN. So may an example that opens no block."""
    gates, x, weight, g = problem(9, 4, block, 8, 0.6, "float32")
    gates[:, 1], gates[4] = 0, 0
    dx, dw = specification.gated_linear_dx(g, weight, gates, block), specification.gated_linear_dw(g, x, gates, block)
    values = packed(specification.packed_linear_dh(x, weight.T, gates, block), gates, block)
    weight[block:2 * block], x[4] = np.nan, np.nan
    blocks, packed_g = kernels.open_blocks(to_device(gates)), to_device(packed(g, gates, block))
    found = device_library().zeros(values.shape, values.dtype)
    dispatch.sdd(to_device(x), to_device(weight), blocks, found)
    assert_close(found, values)
    out = device_library().zeros(x.shape, x.dtype)
    dispatch.dsd(packed_g, to_device(weight), blocks, out)
    assert_close(out, dx)
    out = device_library().zeros(weight.shape, weight.dtype)
    dispatch.dw(packed_g, to_device(x), blocks, out, 0, 1)
    assert_close(out, dw)
