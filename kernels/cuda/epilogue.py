"""Short kernels on packed values: bias, gates and their gradients, and packing and unpacking of dense arrays."""

from numba import cuda

from . import layout
from .jit import kernel

TEAM = 256  # the most threads of a block of `sum_examples`


@kernel
def add_bias(lists, examples, blocks, bias, values):
    """values[position] += bias of its block."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices = layout.by_example(lists, examples, blocks)[0]
    block = values.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        values[p, c] += bias[indices[p] * block + c]


@kernel
def scale(lists, examples, blocks, gates, values, out):
    """out[position] = gate of the entry · values[position]."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    block = values.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        out[p, c] = gates[rows[p], indices[p]] * values[p, c]


@kernel
def gate_products(lists, examples, blocks, g, values, gates, out):
    """out[example, block] = g · values / gate, summed over the block, at open entries."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    block = values.shape[1]
    for p in range(cuda.grid(1), indptr[examples], cuda.gridsize(1)):
        total = values.dtype.type(0)
        for c in range(block):
            total += g[p, c] * values[p, c]
        i, j = rows[p], indices[p]
        out[i, j] = total / gates[i, j]


@kernel
def sum_examples(lists, examples, blocks, values, out, rate):
    """out[unit] += rate · the sum over examples of values.

    A block of threads takes a block of units. Neighbouring threads take neighbouring units. `lanes` threads work on
    one unit: each one sums every lanes-th example. Then these sums are added in pairs.
    """
    sums = cuda.shared.array(TEAM, values.dtype)
    block_indptr = layout.heads(lists, examples, blocks)[1]
    positions = layout.by_block(lists, examples, blocks)[1]
    block, thread = values.shape[1], cuda.threadIdx.x
    side = block if block < cuda.blockDim.x else cuda.blockDim.x
    lanes, lane = cuda.blockDim.x // side, thread // side
    for j in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        for first in range(0, block, side):
            c = first + thread % side
            total = values.dtype.type(0)
            if lane < lanes and c < block:
                for e in range(block_indptr[j] + lane, block_indptr[j + 1], lanes):
                    total += values[positions[e], c]
            sums[thread] = total
            cuda.syncthreads()
            left = lanes
            while left > 1:
                half = (left + 1) // 2
                if lane + half < left:
                    sums[thread] += sums[thread + half * side]
                cuda.syncthreads()
                left = half
            if lane == 0 and c < block:
                out[j * block + c] += rate * sums[thread]
            cuda.syncthreads()


@kernel
def gather(lists, examples, blocks, dense, values):
    """values[position] = the open block of dense, (examples, blocks · block)."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    block = values.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        values[p, c] = dense[rows[p], indices[p] * block + c]


@kernel
def scatter(lists, examples, blocks, values, dense):
    """dense = values at open blocks: the reverse of `gather`."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    block = values.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        dense[rows[p], indices[p] * block + c] = values[p, c]
