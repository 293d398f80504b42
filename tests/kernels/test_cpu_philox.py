"""Compiled random bits, many lanes at a time, are those of NumPy, and those of Philox counter by counter."""

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


EDGE = philox_cpu.LANES


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("samples", "units"), [
    (1, 4 * EDGE - 1), (1, 4 * EDGE), (1, 4 * EDGE + 1), (2, 4 * EDGE - 4), (2, 4 * EDGE + 4), (3, 2 * EDGE + 2),
    (EDGE - 1, 3), (EDGE, 4), (EDGE + 1, 1), (EDGE // 2, 8), (EDGE // 2 + 1, 7),
], ids=str)
def test_lanes_are_counters_of_plain_philox(samples, units, dtype):
    """Lanes end inside a sample, at its end, and after the last one, with and without an incomplete group."""
    seed, stream, draw, offset = 2**63 + 5, 3, 2**32 - 1, 2**32 - 100
    unit, sample = np.arange(units), offset + np.arange(samples)
    words = np.stack(philox.philox4x32((unit // 4, sample[:, None], draw, stream), (seed % 2**32, seed >> 32)))
    word = words[unit % 4, :, unit].T
    wanted = (word + 0.5) * 2.0**-32 if dtype == np.float64 else ((word >> 9) + 0.5) * 2.0**-23
    found = np.full((samples + 2, units), 7, dtype)
    philox_cpu.uniforms(np.uint64(seed), stream, draw, offset, found[1:-1])
    np.testing.assert_array_equal(found[1:-1], wanted)
    assert (found[[0, -1]] == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, philox_cpu.GATES - 1, philox_cpu.GATES, 2 * philox_cpu.GATES + 1])
def test_numpy_and_compiled_gates_are_the_same(size, dtype):
    """With u within a few units in the last place of the sigmoid, where the last bit of the exponential counts.

    Every second logit is near a place where the power of two in the exponential changes.
    """
    numbers = np.random.default_rng(size)
    logits = numbers.normal(0, 8, size).astype(dtype)
    logits[::2] = ((np.round(logits[::2]) + 0.5) * np.log(2)) * (1 + numbers.normal(0, 1e-5, len(logits[::2])))
    e = np.exp(-np.abs(logits.astype(float)))
    u = np.where(logits < 0, e, 1) / (1 + e) * (1 + numbers.integers(-3, 4, size) * 2.0**-53)
    compiled, scalar, numpy = (np.full(size + 2, 7, dtype) for _ in range(3))
    philox_cpu.bernoulli_gates(logits, u, compiled[1:-1])
    philox.bernoulli_gates(logits, u, numpy[1:-1])
    scalar[1:-1] = [philox_cpu.gate(*pair) for pair in zip(logits, u, strict=True)]
    np.testing.assert_array_equal(compiled, numpy)
    np.testing.assert_array_equal(scalar, numpy)
    assert size < 100 or 0.1 < numpy[1:-1].mean() < 0.9


def test_open_interval_at_the_extreme_words():
    for dtype in (np.float32, np.float64):
        for word in (0, 2**32 - 1):
            value = dtype(philox_cpu.unit_interval(np.uint32(word), dtype == np.float64))
            assert 0 < value < 1
    u = philox_uniforms(3, 0, 0, 0, (1000, 200), np.float32)
    assert u.min() > 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * (1 / 12 / u.size) ** 0.5
