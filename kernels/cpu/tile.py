"""The products of `plain` on vectors: the same names, arguments and results, with tiles of sums in registers.

Matrices are passed as (address, stride of a row in bytes, columns). So there is one compiled kernel per
dtype, for all arrays with contiguous rows. The loops here determine the order in which tiles read
memory. The arithmetic of a tile is in `vectors` and `vectors_both`.
"""

import numpy as np

from .jit import kernel
from .vectors import ROWS, UNITS, VECTOR_BYTES, VECTORS, WIDE, dot_tile, gradient_tile, update_tile
from .vectors_both import RUNS, packed_dot_tile, packed_gradient_tile, packed_update_tile


def prepared(array):
    """The array itself if its rows are contiguous and aligned, as these kernels need them, else a copy."""
    if (array.strides[1] == array.itemsize or array.shape[1] <= 1) and array.flags.aligned:
        return array
    return np.require(array, requirements="CA")


def operand(array):
    """A prepared matrix as (address, row stride, columns). The caller must keep the array alive."""
    return array.__array_interface__["data"][0], array.strides[0], array.shape[1]


@kernel
def compiled_operand(array):
    """`operand`, for compiled code."""
    return array.ctypes.data, array.strides[0], array.shape[1]


@kernel
def sdd(start, stop, block_indptr, examples, positions, x, weight, values):
    """See `plain.sdd`."""
    x_address, x_stride, columns = x
    w_address, w_stride, _ = weight
    zero = values.dtype.type(0)
    itemsize = values.itemsize
    block = values.shape[1]
    values_stride = block * itemsize
    values_address = values.ctypes.data
    examples_address = examples.ctypes.data
    positions_address = positions.ctypes.data
    for j in range(start, stop):
        first = block_indptr[j]
        n = block_indptr[j + 1] - first
        tiles = (n + ROWS - 1) // ROWS
        after = j + 1
        while after < stop and block_indptr[after] == block_indptr[after + 1]:
            after += 1
        for t in range(tiles):
            # n examples in tiles of nearly equal size, none above ROWS.
            low = first + t * n // tiles
            high = first + (t + 1) * n // tiles
            c = 0
            while c < block:
                units = UNITS if c + UNITS <= block else 1
                here = w_address + (j * block + c) * w_stride
                if c + units < block:
                    ahead = units * w_stride
                elif after < stop:
                    ahead = w_address + after * block * w_stride - here
                else:
                    ahead = 0
                dot_tile(zero, high - low, units, x_address, x_stride, examples_address + 4 * low, here,
                         w_stride, columns, ahead, values_address + c * itemsize, values_stride,
                         positions_address + 4 * low)
                c += units


@kernel
def dsd(start, stop, panel, block_indptr, examples, positions, values, weight, out):
    """See `plain.dsd`.

    A panel of the result is summed in a separate buffer, and then added to `out`. The reason: the distance
    between rows of `out` may be a power of two, and then only a few rows fit into a cache at the same time.
    """
    w_address, w_stride, columns = weight
    zero = values.dtype.type(0)
    itemsize = values.itemsize
    lanes = VECTOR_BYTES // itemsize
    block = values.shape[1]
    values_stride = block * itemsize
    values_address = values.ctypes.data
    examples_address = examples.ctypes.data
    positions_address = positions.ctypes.data
    n_examples = out.shape[0]
    buffer = np.empty(n_examples * panel + lanes, values.dtype)
    skip = -buffer.ctypes.data % VECTOR_BYTES // itemsize
    sums = buffer[skip:skip + n_examples * panel].reshape((n_examples, panel))
    sums_address = sums.ctypes.data
    sums_stride = panel * itemsize
    for p in range(start, stop):
        panel_start = p * panel
        panel_stop = min(panel_start + panel, columns)
        sums[:] = 0
        for j in range(len(block_indptr) - 1):
            first = block_indptr[j]
            n = block_indptr[j + 1] - first
            if n == 0:
                continue
            tiles = (n + ROWS - 1) // ROWS
            column = panel_start
            while column < panel_stop:
                width = min(VECTORS * lanes, panel_stop - column)
                used = 0
                if width < VECTORS * lanes:
                    width = used = min(width, lanes)
                here = w_address + j * block * w_stride + column * itemsize
                ahead = width * itemsize
                if column + width >= panel_stop:
                    ahead = block * w_stride - (column - panel_start) * itemsize
                for t in range(tiles):
                    low = first + t * n // tiles
                    high = first + (t + 1) * n // tiles
                    update_tile(zero, high - low, used, sums_address + (column - panel_start) * itemsize,
                                sums_stride, examples_address + 4 * low, values_address, values_stride,
                                positions_address + 4 * low, here, w_stride, block, ahead)
                column += width
        for i in range(n_examples):
            for d in range(panel_start, panel_stop):
                out[i, d] += sums[i, d - panel_start]


@kernel
def dw(start, stop, panel, block_indptr, examples, positions, values, x, out, keep, rate):
    """See `plain.dw`."""
    x_address, x_stride, columns = x
    out_address, out_stride, _ = out
    itemsize = values.itemsize
    lanes = VECTOR_BYTES // itemsize
    block = values.shape[1]
    values_stride = block * itemsize
    values_address = values.ctypes.data
    examples_address = examples.ctypes.data
    positions_address = positions.ctypes.data
    for panel_start in range(0, columns, panel):
        panel_stop = min(panel_start + panel, columns)
        for j in range(start, stop):
            first = block_indptr[j]
            n = block_indptr[j + 1] - first
            if keep and n == 0:
                continue
            c = 0
            while c < block:
                units = UNITS if c + UNITS <= block else 1
                column = panel_start
                while column < panel_stop:
                    left = panel_stop - column
                    vectors = 2 * WIDE if units == 1 else WIDE
                    if left < vectors * lanes:
                        vectors = WIDE if left >= WIDE * lanes else 1
                    width = min(vectors * lanes, left)
                    gradient_tile(rate, units, vectors, width, x_address + column * itemsize, x_stride,
                                  examples_address + 4 * first, values_address + c * itemsize,
                                  values_stride, positions_address + 4 * first, n,
                                  out_address + (j * block + c) * out_stride + column * itemsize,
                                  out_stride, keep)
                    column += width
                c += units


@kernel
def sdd_both(start, stop, block_indptr, examples, positions, x_indptr, x_indices, x, weight, values):
    """See `plain.sdd_both`."""
    w_address, w_stride, _ = weight
    zero = values.dtype.type(0)
    itemsize = values.itemsize
    block, x_block = values.shape[1], x.shape[1]
    values_address = values.ctypes.data
    x_address = x.ctypes.data
    indices_address = x_indices.ctypes.data
    for j in range(start, stop):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            run = x_indptr[examples[e]]
            count = x_indptr[examples[e] + 1] - run
            c = 0
            while c < block:
                units = UNITS if c + UNITS <= block else 1
                packed_dot_tile(zero, units, x_address + run * x_block * itemsize, indices_address + 4 * run,
                                count, x_block, w_address + (j * block + c) * w_stride, w_stride,
                                values_address + (positions[e] * block + c) * itemsize)
                c += units


@kernel
def dsd_both(start, stop, block_indptr, examples, positions, x_indptr, x_indices, values, weight, out):
    """See `plain.dsd_both`."""
    w_address, w_stride, _ = weight
    zero = values.dtype.type(0)
    itemsize = values.itemsize
    block, x_block = values.shape[1], out.shape[1]
    values_address = values.ctypes.data
    out_address = out.ctypes.data
    indices_address = x_indices.ctypes.data
    for j in range(len(block_indptr) - 1):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            i = examples[e]
            if i < start or i >= stop:
                continue
            run = x_indptr[i]
            while run < x_indptr[i + 1]:
                runs = min(RUNS, x_indptr[i + 1] - run)
                packed_update_tile(zero, runs, out_address + run * x_block * itemsize,
                                   indices_address + 4 * run, x_block,
                                   values_address + positions[e] * block * itemsize,
                                   w_address + j * block * w_stride, w_stride, block)
                run += runs


@kernel
def dw_both(start, stop, block_indptr, examples, positions, values, x_indptr, x_indices, x, out, rate):
    """See `plain.dw_both`."""
    out_address, out_stride, _ = out
    itemsize = values.itemsize
    block, x_block = values.shape[1], x.shape[1]
    values_address = values.ctypes.data
    x_address = x.ctypes.data
    indices_address = x_indices.ctypes.data
    for j in range(start, stop):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            run = x_indptr[examples[e]]
            count = x_indptr[examples[e] + 1] - run
            c = 0
            while c < block:
                units = UNITS if c + UNITS <= block else 1
                packed_gradient_tile(rate, units, x_address + run * x_block * itemsize,
                                     indices_address + 4 * run, count, x_block,
                                     values_address + (positions[e] * block + c) * itemsize,
                                     out_address + (j * block + c) * out_stride, out_stride)
                c += units
