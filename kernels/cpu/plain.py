"""The products as simple loops that are easy to read. Numba compiles them, and LLVM vectorises some of them.

`tile` has the same functions on vectors. On processors without wide vectors, the functions of this file are used.

    sdd   values[open] = x weightᵀ     sparse = dense · dense, computed at open blocks only
    dsd   out += values weight         dense = sparse · dense
    dw    out = valuesᵀ x              gradient of a weight, one block of rows at a time

`*_both` are the same products for a packed x. `block_indptr`, `examples` and `positions` are the lists by
block of `blocks.OpenBlocks`. Arrays have contiguous rows.
"""

import numpy as np

from .jit import kernel


def prepared(array):
    """The array itself if it is contiguous and aligned, as these kernels need it, else a copy that is."""
    return np.require(array, requirements="CA")


def operand(array):
    """The argument that these kernels take for a prepared array: the array itself."""
    return array


@kernel
def compiled_operand(array):
    """`operand`, for compiled code."""
    return array


@kernel
def _dots(a, row, b, first, count, out, position, column):
    """out[position, column + u] = a[row] · b[first + u] for u < count, four units at a time."""
    zero = out.dtype.type(0)
    u = 0
    while u + 4 <= count:
        s0 = s1 = s2 = s3 = zero
        for d in range(a.shape[1]):
            v = a[row, d]
            s0 += v * b[first + u, d]
            s1 += v * b[first + u + 1, d]
            s2 += v * b[first + u + 2, d]
            s3 += v * b[first + u + 3, d]
        out[position, column + u] = s0
        out[position, column + u + 1] = s1
        out[position, column + u + 2] = s2
        out[position, column + u + 3] = s3
        u += 4
    while u < count:
        s0 = zero
        for d in range(a.shape[1]):
            s0 += a[row, d] * b[first + u, d]
        out[position, column + u] = s0
        u += 1


@kernel
def sdd(start, stop, block_indptr, examples, positions, x, weight, values):
    """values[position] = x[example] · weight[unit] for the units of blocks start..stop."""
    block = values.shape[1]
    for j in range(start, stop):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            _dots(x, examples[e], weight, j * block, block, values, positions[e], 0)


@kernel
def dsd(start, stop, panel, block_indptr, examples, positions, values, weight, out):
    """out[example] += the sum over its open units of values · weight[unit].

    It is computed for columns panel·start to panel·stop, one panel of columns at a time, so that a panel of `out`
    stays in the cache during the loop over all blocks.
    """
    block = values.shape[1]
    for p in range(start, stop):
        low = p * panel
        high = min(low + panel, out.shape[1])
        for j in range(len(block_indptr) - 1):
            for e in range(block_indptr[j], block_indptr[j + 1]):
                sums = out[examples[e], low:high]
                for c in range(block):
                    value = values[positions[e], c]
                    row = weight[j * block + c, low:high]
                    for d in range(len(sums)):
                        sums[d] += value * row[d]


@kernel
def dw(start, stop, panel, block_indptr, examples, positions, values, x, out, keep, rate):
    """out[unit] = keep · out[unit] + rate · the sum over examples of value · x[example].

    This is for blocks start..stop. With keep 0 and rate 1, `out` becomes the gradient. With keep 1 and rate -lr,
    this is a step of SGD in place, which does not change closed blocks. One panel of columns is computed at a
    time, so that a panel of x stays in the cache during the loop over all blocks.
    """
    block = values.shape[1]
    for low in range(0, x.shape[1], panel):
        high = min(low + panel, x.shape[1])
        sums = np.empty(high - low, x.dtype)
        for j in range(start, stop):
            if keep and block_indptr[j] == block_indptr[j + 1]:
                continue
            for c in range(block):
                sums[:] = 0
                for e in range(block_indptr[j], block_indptr[j + 1]):
                    value = values[positions[e], c]
                    row = x[examples[e], low:high]
                    for d in range(len(sums)):
                        sums[d] += value * row[d]
                unit = out[j * block + c, low:high]
                for d in range(len(sums)):
                    unit[d] = unit[d] + rate * sums[d] if keep else sums[d]


@kernel
def sdd_both(start, stop, block_indptr, examples, positions, x_indptr, x_indices, x, weight, values):
    """Like sdd, for a packed x: the sums only have terms for the open blocks of x."""
    block, x_block = values.shape[1], x.shape[1]
    for j in range(start, stop):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            i = examples[e]
            for c in range(block):
                total = values.dtype.type(0)
                for p in range(x_indptr[i], x_indptr[i + 1]):
                    column = x_indices[p] * x_block
                    row = weight[j * block + c, column:column + x_block]
                    for d in range(x_block):
                        total += x[p, d] * row[d]
                values[positions[e], c] = total


@kernel
def dsd_both(start, stop, block_indptr, examples, positions, x_indptr, x_indices, values, weight, out):
    """Like dsd at the open blocks of a packed x, for examples start..stop: out[x position] += ..."""
    block, x_block = values.shape[1], out.shape[1]
    for j in range(len(block_indptr) - 1):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            i = examples[e]
            if i < start or i >= stop:
                continue
            for p in range(x_indptr[i], x_indptr[i + 1]):
                column = x_indices[p] * x_block
                sums = out[p]
                for c in range(block):
                    value = values[positions[e], c]
                    row = weight[j * block + c, column:column + x_block]
                    for d in range(x_block):
                        sums[d] += value * row[d]


@kernel
def dw_both(start, stop, block_indptr, examples, positions, values, x_indptr, x_indices, x, out, rate):
    """out[unit] += rate · value · x[example] at the open blocks of a packed x."""
    block, x_block = values.shape[1], x.shape[1]
    for j in range(start, stop):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            i = examples[e]
            for c in range(block):
                value = rate * values[positions[e], c]
                for p in range(x_indptr[i], x_indptr[i + 1]):
                    column = x_indices[p] * x_block
                    row = out[j * block + c, column:column + x_block]
                    for d in range(x_block):
                        row[d] += value * x[p, d]
