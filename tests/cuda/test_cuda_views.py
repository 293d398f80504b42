"""Views of arrays for launches: made once, and deleted when their arrays are freed."""

import gc

import numpy as np

from minigrad.kernels.cuda import views
from minigrad.kernels.device.transfer import to_device, to_host


def test_a_view_is_made_once_and_forgotten_with_its_array():
    array = to_device(np.ones(3))
    assert views.view(array) is views.view(array)
    gc.collect()
    known = len(views._views)
    del array
    gc.collect()
    assert len(views._views) == known - 1


def test_a_new_array_never_gets_the_view_of_an_old_one():
    for n in range(50):     # their ids repeat
        array = to_device(np.full(2, float(n)))
        assert views.view(array).copy_to_host()[0] == n


def test_contiguous_arrays_are_used_as_they_lie():
    array = to_device(np.arange(6.0).reshape(2, 3))
    assert views.contiguous(array) is array
    copied = views.contiguous(array.T)
    assert copied.flags.c_contiguous
    np.testing.assert_array_equal(to_host(copied), np.arange(6.0).reshape(2, 3).T)
