"""Random bits and gates on the device, by the scalar functions of `cpu.philox`.

Numba compiles these functions for the GPU when a kernel calls them. In the simulator the CPU's versions run.
"""

import math

import numpy as np
from numba import cuda

from ..cpu.philox import four_words, gate, unit_interval
from .errors import LOGITS
from .jit import kernel


@kernel
def uniforms(key0, key1, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); one thread makes four units. See `draws.philox_uniforms`."""
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
def bernoulli_gates(logits, u, out, marks):
    """out = 1[u < sigmoid(logits)], for one-dimensional arrays. A logit that is not finite sets an error and gate 0."""
    for i in range(cuda.grid(1), len(out), cuda.gridsize(1)):
        if math.isfinite(logits[i]):
            out[i] = gate(logits[i], u[i])
        else:
            out[i] = 0
            marks[LOGITS] = 1
