"""Uniform numbers and gates: their arguments, and the comparison that turns numbers into gates."""

import numpy as np
import pytest

from minigrad.kernels import bernoulli_gates, philox, philox_uniforms
from minigrad.kernels.cpu import philox as philox_cpu


def test_a_split_batch_draws_what_the_whole_would():
    whole = philox_uniforms(9, 1, 2, 0, (10, 6))
    np.testing.assert_array_equal(whole[4:], philox_uniforms(9, 1, 2, 4, (6, 6)))


@pytest.mark.parametrize(("change", "error"), [
    ({"seed": -1}, ValueError), ({"seed": 2**64}, ValueError), ({"stream": 2**32}, ValueError),
    ({"draw": 1.0}, TypeError), ({"seed": True}, TypeError), ({"shape": (-1, 2)}, ValueError),
    ({"sample_offset": 2**32 - 1}, ValueError), ({"dtype": np.float16}, TypeError),
])
def test_bad_arguments(change, error):
    arguments = {"seed": 0, "stream": 0, "draw": 0, "sample_offset": 0, "shape": (2, 2), "dtype": np.float32}
    with pytest.raises(error):
        philox_uniforms(**{**arguments, **change})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_follow_the_sigmoid(dtype):
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(0, 4, 20000), [0, -0.0, 1e-30, 80, -80, 1e30, -1e30]]).astype(dtype)
    u = philox_uniforms(1, 0, 0, 0, (1, len(logits)))[0]
    gates = bernoulli_gates(logits, u)
    assert gates.dtype == dtype
    wide = np.clip(logits.astype(np.float64), -700, 700)
    sigmoid = np.where(wide >= 0, 1 / (1 + np.exp(-np.abs(wide))), np.exp(wide) / (1 + np.exp(wide)))
    clear = np.abs(u - sigmoid) > 1e-14
    assert clear.all()
    np.testing.assert_array_equal(gates, u < sigmoid)
    numpy = np.empty_like(logits)
    philox.bernoulli_gates(logits, u, numpy)
    compiled = np.empty_like(logits)
    philox_cpu.bernoulli_gates(logits, u, compiled)
    np.testing.assert_array_equal(numpy, compiled)


def test_extreme_logits_and_uniforms():
    smallest, largest = 0.5 * 2.0**-32, 1 - 0.5 * 2.0**-32
    logits = np.array([-80.0, 80.0, -1e308, 1e308])
    np.testing.assert_array_equal(bernoulli_gates(logits, np.full(4, smallest)), [0, 1, 0, 1])
    np.testing.assert_array_equal(bernoulli_gates(logits, np.full(4, largest)), [0, 1, 0, 1])


@pytest.mark.parametrize(("logits", "u", "error"), [
    (np.ones(2), np.ones(3), ValueError), (np.array([np.nan]), np.ones(1), ValueError),
    (np.array([np.inf]), np.ones(1), ValueError), (np.ones(1), np.ones(1, np.float32), TypeError),
    (np.ones(1, int), np.ones(1, int), TypeError),
])
def test_bad_logits(logits, u, error):
    with pytest.raises(error):
        bernoulli_gates(logits, u)
