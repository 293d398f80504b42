"""Random bits compiled: those of NumPy."""

import numpy as np
import pytest

from minigrad.kernels import philox, philox_uniforms
from minigrad.kernels.cpu import philox as philox_cpu


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_compiled_uniforms_are_the_same_bits(dtype):
    for shape in [(0, 3), (3, 0), (5, 1), (7, 13), (70, 64)]:
        arguments = 2**64 - 3, 2**32 - 1, 2**31, 2**32 - 70
        compiled, numpy = np.empty(shape, dtype), np.empty(shape, dtype)
        philox_cpu.uniforms(np.uint64(arguments[0]), *arguments[1:], compiled)
        philox.uniforms(*arguments, numpy)
        np.testing.assert_array_equal(compiled, numpy)
        np.testing.assert_array_equal(compiled, philox_uniforms(*arguments, shape, dtype))


def test_open_interval_at_the_extreme_words():
    for dtype in (np.float32, np.float64):
        for word in (0, 2**32 - 1):
            value = dtype(philox_cpu.unit_interval(np.uint32(word), dtype == np.float64))
            assert 0 < value < 1
    u = philox_uniforms(3, 0, 0, 0, (1000, 200), np.float32)
    assert u.min() > 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * (1 / 12 / u.size) ** 0.5
