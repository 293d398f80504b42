"""One example in one compiled call."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.compiler import serving
from minigrad.kernels.cpu import dispatch, threads


@pytest.mark.parametrize("bias", [None, np.linspace(-1, 1, 24)])
def test_one_example_in_one_call_gives_the_same_bits(bias):
    rng = np.random.default_rng(4)
    x, weight = rng.standard_normal((1, 50)), rng.standard_normal((24, 50))
    gates = rng.random((1, 6)) * (rng.random((1, 6)) < 0.5)
    one = kernels.gated_linear(x, weight, bias, gates, 4)
    steps = kernels.gated_linear(x, weight, bias, gates, 4, kernels.open_blocks(gates))
    assert one.blocks.same_as(steps.blocks)
    np.testing.assert_array_equal(one.values, steps.values)


def test_which_arrays_are_taken_as_they_are(monkeypatch):
    x, weight, gates = np.ones((1, 50)), np.ones((24, 50)), np.ones((1, 6))
    assert dispatch.in_one_call(x, weight, None, gates) == (serving() == "numba")
    assert not dispatch.in_one_call(x, weight, None, gates != 0)
    assert not dispatch.in_one_call(x, np.asfortranarray(weight), None, gates)
    assert not dispatch.in_one_call(x, weight.astype(np.float32), None, gates)
    assert not dispatch.in_one_call(x, weight, np.ones(48)[::2], gates)
    monkeypatch.setattr(threads, "worth_sharing", lambda work: True)
    assert not dispatch.in_one_call(x, weight, None, gates)
