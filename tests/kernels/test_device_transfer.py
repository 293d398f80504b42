"""Copies between host and device, with the simulated CuPy as the device."""

import numpy as np
import pytest

from minigrad.kernels import count_work
from minigrad.kernels.cuda.simulator import cupy
from minigrad.kernels.device import arrays, deferred, transfer


@pytest.fixture(autouse=True)
def device(monkeypatch):
    monkeypatch.setattr(arrays, "device_types", {cupy.ndarray})
    monkeypatch.setattr(arrays, "device_library", lambda: cupy)
    monkeypatch.setattr(arrays, "simulated", lambda: True)
    monkeypatch.setattr(deferred, "waiting", [])
    monkeypatch.setattr(deferred, "marked", [])


@pytest.mark.parametrize("order", ["C", "F"])
def test_there_and_back_is_a_copy_in_the_same_order_of_memory(order):
    array = np.arange(6.0).reshape(2, 3).copy(order=order)
    with count_work() as work:
        there = transfer.to_device(array)
        back = transfer.to_host(there)
    assert work.transfers == 2
    assert arrays.is_device(there)
    assert back.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(back, array)
    array[0, 0] = 9
    assert transfer.to_host(there)[0, 0] == 0


def test_a_real_device_does_not_count_for_itself(monkeypatch):
    """CuPy's arrays count no transfers, so the functions here do."""
    monkeypatch.setattr(arrays, "simulated", lambda: False)
    with count_work() as work:
        transfer.to_host(transfer.to_device(np.ones(2)))
    assert work.transfers == 4          # two by these functions, two by the stand-in


def test_a_condition_that_does_not_hold_is_raised_by_the_copy_to_the_host():
    there = transfer.to_device(np.ones(2))
    deferred.require(np.isfinite(transfer.to_device(np.array(np.nan))), lambda: ValueError("not finite"))
    transfer.to_device(np.ones(2))      # does not wait for the device
    with pytest.raises(ValueError, match="not finite"):
        transfer.to_host(there)
    np.testing.assert_array_equal(transfer.to_host(there), [1, 1])
