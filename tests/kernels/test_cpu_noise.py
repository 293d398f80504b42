"""Compiled normal and logistic numbers have the bits of those of NumPy."""

import numpy as np
import pytest

from minigrad.kernels import noise
from minigrad.kernels.cpu import noise as noise_cpu
from minigrad.kernels.cpu.philox import LANES


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["normals", "logistics"])
def test_numpy_and_compiled_numbers_are_the_same_bits(name, dtype):
    counter = 2**64 - 3, 2**32 - 1, 2**31, 2**32 - 100
    for shape in [(0, 3), (3, 0), (1, 1), (5, 10), (1, 4 * LANES), (2, 4 * LANES + 3), (LANES + 1, 6), (90, 999)]:
        compiled, numpy = np.empty(shape, dtype), np.empty(shape, dtype)
        getattr(noise_cpu, name)(np.uint64(counter[0]), *counter[1:], compiled)
        getattr(noise, name)(*counter, numpy)
        np.testing.assert_array_equal(compiled, numpy)


@pytest.mark.parametrize("name", ["normal", "logistic"])
def test_the_scalar_functions_too(name):
    """Kernels for a GPU call them. The words are at both ends, in the middle, and where the formulas change."""
    edges = 2.0**32 * (0.5 + noise.CENTRE * np.array([-1, 1]))
    near = (np.round(place).astype(np.int64) + np.arange(-20, 21) for place in (2.0**31, *edges))
    words = np.concatenate([np.arange(20), 2**32 - 1 - np.arange(20), *near, 2 ** np.arange(32)])
    u = (words + 0.5) * 2.0**-32
    found = [getattr(noise_cpu, name)(x) for x in u]
    np.testing.assert_array_equal(found, getattr(noise, name)(u))
