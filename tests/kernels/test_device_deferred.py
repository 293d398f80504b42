"""Conditions that wait for the next transfer, with the simulated CuPy as the device."""

import numpy as np
import pytest

from minigrad.kernels import count_work
from minigrad.kernels.cuda.simulator import cupy
from minigrad.kernels.device import arrays, deferred


@pytest.fixture(autouse=True)
def device(monkeypatch):
    monkeypatch.setattr(arrays, "device_types", {cupy.ndarray})
    monkeypatch.setattr(deferred, "waiting", [])
    monkeypatch.setattr(deferred, "marked", [])


def on_device(holds):
    return cupy.array(np.array(holds))


def error(name):
    return lambda: ValueError(name)


def test_on_the_host_a_condition_is_looked_at_at_once():
    deferred.require(True, error("first"))
    with pytest.raises(ValueError, match="second"):
        deferred.require(np.bool_(False), error("second"))
    assert deferred.waiting == []


def test_on_a_device_a_condition_waits_without_a_transfer_and_is_told_once():
    conditions = [on_device(holds) for holds in (True, False, False)]
    with count_work() as work:
        for name, holds in zip("abc", conditions, strict=True):
            deferred.require(holds, error(name))
    assert work.transfers == 0
    with pytest.raises(ValueError, match="b"):       # the first that does not hold
        deferred.settle()
    deferred.settle()


def test_all_conditions_take_one_transfer():
    for _ in range(5):
        deferred.require(on_device(True), error("never"))
    with count_work() as work:
        deferred.settle()
        deferred.settle()
    assert work.transfers == 1


def test_too_many_conditions_make_a_transfer_of_their_own(monkeypatch):
    monkeypatch.setattr(deferred, "MOST", 3)
    for _ in range(2):
        deferred.require(on_device(False), error("full"))
    with pytest.raises(ValueError, match="full"):
        deferred.require(on_device(True), error("last"))


def test_what_kernels_mark_is_told_if_no_condition_fails():
    def check():
        raise ValueError("marked")

    deferred.marked.append(check)
    with pytest.raises(ValueError, match="marked"):
        deferred.settle()
    deferred.require(on_device(False), error("condition"))
    with pytest.raises(ValueError, match="condition"):
        deferred.settle()
