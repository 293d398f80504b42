"""Normal and logistic noise on the device, by the scalar functions of `cpu.noise`.

In Numba's simulator the CPU's versions run, and tests compare the bits with those of the CPU. For a GPU,
`tests/test_cuda_ptx.py` tests that the compiler fuses no product with a sum. Divisions and square roots in double
precision are rounded correctly on a GPU.
"""

import numpy as np
from numba import cuda

from ..cpu.noise import logistic, normal
from ..cpu.philox import four_words, unit_interval
from .jit import kernel


@kernel
def normals(key0, key1, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); one thread makes four units. See `draws.philox_normals`."""
    samples, units = out.shape
    groups = (units + 3) // 4
    for item in range(cuda.grid(1), samples * groups, cuda.gridsize(1)):
        s, group = item // groups, item % groups
        words = four_words(np.uint32(group), np.uint32(sample_offset + s), np.uint32(draw), np.uint32(stream),
                           np.uint32(key0), np.uint32(key1))
        for w in range(4):
            if 4 * group + w < units:
                out[s, 4 * group + w] = normal(unit_interval(words[w], True))


@kernel
def logistics(key0, key1, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units) in the same way; see `draws.philox_logistics`."""
    samples, units = out.shape
    groups = (units + 3) // 4
    for item in range(cuda.grid(1), samples * groups, cuda.gridsize(1)):
        s, group = item // groups, item % groups
        words = four_words(np.uint32(group), np.uint32(sample_offset + s), np.uint32(draw), np.uint32(stream),
                           np.uint32(key0), np.uint32(key1))
        for w in range(4):
            if 4 * group + w < units:
                out[s, 4 * group + w] = logistic(unit_interval(words[w], True))
