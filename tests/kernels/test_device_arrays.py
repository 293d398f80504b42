"""Which objects are arrays, and on which device they are."""

import numpy as np
import pytest

from minigrad.kernels import Packed, open_blocks
from minigrad.kernels.cuda.simulator import cupy as simulated_cupy
from minigrad.kernels.device import arrays


@pytest.fixture
def x():
    return simulated_cupy.array(np.arange(6.0).reshape(2, 3))


def test_a_registered_type_is_an_array(monkeypatch, x):
    assert not arrays.is_device(x)
    monkeypatch.setattr(arrays, "device_types", {simulated_cupy.ndarray})
    assert arrays.is_device(x)
    assert arrays.is_array(x)
    assert arrays.number(x[0, 1]) is not None
    assert arrays.is_array(np.ones(2))
    assert not arrays.is_array([1.0])
    assert arrays.number(np.float32(2)) == 2.0


def test_arrays_of_two_places_are_refused(monkeypatch, x):
    monkeypatch.setattr(arrays, "device_types", {simulated_cupy.ndarray})
    here = np.ones(2)
    packed = Packed.gather(np.eye(2), open_blocks(np.eye(2)), 1)
    for like in (here, packed, packed.blocks):
        arrays.check_device("x", here, like)
        assert not arrays.on_device(like)
        with pytest.raises(TypeError, match=r"x: expected an array on the host, .* got one on the device"):
            arrays.check_device("x", x, like)
        with pytest.raises(TypeError, match=r"x: expected an array on the device, .* got one on the host"):
            arrays.check_device("x", like, x)
    arrays.check_device("x", x, x)
