"""Random bits, gates, and gates that are listed while they are drawn, by the CPU's scalar functions.

Numba compiles `philox_cpu`'s functions for the GPU when a kernel calls them; in the simulator the CPU's own run.
"""

import math

import numpy as np
from numba import cuda

from ..cpu.philox import four_words, gate, unit_interval
from . import layout
from .errors import LOGITS
from .jit import kernel


@kernel
def uniforms(key0, key1, stream, draw, sample_offset, out):
    """Fill out (samples, units), a thread for four neighbouring units; see `draws.philox_uniforms`."""
    samples, units = out.shape
    groups = (units + 3) // 4
    double = out.itemsize == 8
    for item in range(cuda.grid(1), samples * groups, cuda.gridsize(1)):
        s, group = item // groups, item % groups
        words = four_words(np.uint32(group), np.uint32(sample_offset + s), np.uint32(draw), np.uint32(stream),
                           np.uint32(key0), np.uint32(key1))
        for w in range(4):
            if 4 * group + w < units:
                out[s, 4 * group + w] = unit_interval(words[w], double)


@kernel
def gates(logits, u, out, marks):
    """out = 1[u < sigmoid(logits)]; one-dimensional arrays. Logits that are not finite are marked, their gates 0."""
    for i in range(cuda.grid(1), len(out), cuda.gridsize(1)):
        if math.isfinite(logits[i]):
            out[i] = gate(logits[i], u[i])
        else:
            out[i] = 0
            marks[LOGITS] = 1


@kernel
def masked_gates(key0, key1, stream, draw, sample_offset, logits, out, masks, marks):
    """`uniforms`, `gates` and `lists.mask_gates` in one, without writing the uniforms.

    A block of 32 threads for each square of 32 by 32 gates, a thread for each of its rows.
    """
    rows_of_square = cuda.shared.array(32, np.uint32)
    examples, blocks = logits.shape
    rows, block_masks = layout.bits(masks, examples, blocks)
    lane = cuda.threadIdx.x
    v = cuda.blockIdx.x % ((examples + 31) // 32)
    w = cuda.blockIdx.x // ((examples + 31) // 32)
    row = np.uint32(0)
    i = 32 * v + lane
    if i < examples:
        for group in range(8 * w, 8 * w + 8):
            if 4 * group < blocks:
                words = four_words(np.uint32(group), np.uint32(sample_offset + i), np.uint32(draw), np.uint32(stream),
                                   np.uint32(key0), np.uint32(key1))
                for k in range(4):
                    j = 4 * group + k
                    if j < blocks:
                        logit = logits[i, j]
                        if not math.isfinite(logit):
                            out[i, j] = 0
                            marks[LOGITS] = 1
                        elif gate(logit, unit_interval(words[k], True)):
                            out[i, j] = 1
                            row |= np.uint32(1) << np.uint32(j % 32)
                        else:
                            out[i, j] = 0
        rows[w * examples + i] = row
    rows_of_square[lane] = row
    cuda.syncthreads()
    j = 32 * w + lane
    if j < blocks:
        block_masks[v * blocks + j] = layout.across(rows_of_square, lane)
