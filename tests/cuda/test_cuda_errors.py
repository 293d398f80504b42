"""Errors that kernels find are raised at the next transfer."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.device.transfer import to_device, to_host


def random_gates(shape, density=0.4, dtype=np.float32):
    return (np.random.default_rng(sum(shape)).random(shape) < density).astype(dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gates_that_are_not_finite_are_told_at_the_next_transfer(bad):
    gates = random_gates((3, 4))
    gates[1, 2] = bad
    x, weight = to_device(np.ones((3, 2), np.float32)), to_device(np.ones((4, 2), np.float32))
    out = kernels.gated_linear(x, weight, None, to_device(gates), 1)
    with pytest.raises(ValueError, match=r"gates: expected finite"):
        to_host(out.values)
    to_host(out.values)     # told once


def test_two_mistakes_are_told_together_and_once():
    bad = np.full((1, 2), np.nan)
    logits, gates, noise = to_device(bad), to_device(bad), to_device(np.full((1, 2), 0.5))
    kernels.open_blocks(gates)
    samples = kernels.bernoulli_gates(logits, noise)
    with pytest.raises(ValueError, match=r"gates: expected finite.* and logits: expected finite"):
        to_host(samples)
    assert not to_host(samples).any()
