"""Random bits, gates and their lists on the device are those of the CPU, bit for bit."""

import numpy as np
import pytest
import tails

from minigrad import kernels
from minigrad.kernels.device.arrays import simulated
from minigrad.kernels.device.transfer import to_device, to_host

COUNTERS = [(0, 0, 0, 0), (2**64 - 3, 2**32 - 1, 2**31, 2**32 - 80)]
SHAPES = [(0, 3), (3, 0), (1, 1), (3, 9), (40, 35)]
if not simulated():
    SHAPES += [(80, 3333)]
DTYPES = np.float32, np.float64


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("counter", COUNTERS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_bits_as_on_the_cpu(shape, counter, dtype):
    u = kernels.philox_uniforms(*counter, shape, dtype)
    on_device = kernels.philox_uniforms(*counter, shape, dtype, device=True)
    np.testing.assert_array_equal(to_host(on_device), u)
    logits = np.random.default_rng(0).normal(0, 3, shape).astype(dtype)
    u = kernels.philox_uniforms(*counter, shape)
    gates = kernels.bernoulli_gates(logits, u)
    found = to_host(kernels.bernoulli_gates(to_device(logits), to_device(u)))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, gates)


def test_gates_of_any_shape_and_strides():
    logits, u = np.random.default_rng(2).normal(size=(4, 3, 6)), kernels.philox_uniforms(0, 0, 0, 0, (12, 6))
    u = u.reshape(4, 3, 6)
    wanted = kernels.bernoulli_gates(logits, u)
    np.testing.assert_array_equal(to_host(kernels.bernoulli_gates(to_device(logits), to_device(u))), wanted)
    found = kernels.bernoulli_gates(to_device(logits)[:, :, ::2], to_device(u)[:, :, ::2])
    np.testing.assert_array_equal(to_host(found), wanted[:, :, ::2])


def test_extreme_logits():
    u = np.array([0.5 * 2.0**-32, 1 - 0.5 * 2.0**-32])
    for logit, gates in ((-1e308, [0, 0]), (-80.0, [0, 0]), (80.0, [1, 1]), (1e308, [1, 1]), (0.0, [1, 0]),
                         (-0.0, [1, 0])):
        found = kernels.bernoulli_gates(to_device(np.full(2, logit)), to_device(u))
        np.testing.assert_array_equal(to_host(found), gates)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_told_at_the_next_transfer(bad):
    logits = np.zeros((2, 3))
    logits[0, 1] = bad
    gates = kernels.bernoulli_gates(to_device(logits), to_device(np.full((2, 3), 0.25)))
    with pytest.raises(ValueError, match="logits: expected finite"):
        to_host(gates)
    np.testing.assert_array_equal(to_host(gates), [[1, 0, 1], [1, 1, 1]])       # raised once


def test_bad_arguments():
    logits = to_device(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="u: expected an array on the device"):
        kernels.bernoulli_gates(logits, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="shape of the logits"):
        kernels.bernoulli_gates(logits, to_device(np.zeros((2, 2))))
    with pytest.raises(TypeError, match="u: expected float64"):
        kernels.bernoulli_gates(logits, to_device(np.zeros((2, 3), np.float32)))
    with pytest.raises(ValueError, match="seed"):
        kernels.philox_uniforms(-1, 0, 0, 0, (2, 3), device=True)
    with pytest.raises(ValueError, match="another stream"):
        kernels.philox_uniforms(0, 0, 0, 2**32 - 1, (2, 3), device=True)
    with pytest.raises(TypeError, match="float32 or float64"):
        kernels.bernoulli_gates(to_device(np.zeros((2, 3), int)), to_device(np.zeros((2, 3))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_words_that_open_gates_on_the_device(dtype):
    logits = to_device(tails.LOGITS.astype(dtype))
    tails.check(lambda words: to_host(kernels.bernoulli_gates(logits, to_device((words + 0.5) * 2.0**-32))))
