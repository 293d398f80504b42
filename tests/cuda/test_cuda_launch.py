"""Views and launches: converted once, forgotten with their arrays, and never short of work."""

import gc

import numpy as np
import pytest

from minigrad.kernels.cuda import epilogue, launch, lists, views
from minigrad.kernels.cuda.driver import open_blocks
from minigrad.kernels.device.arrays import device_library
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


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("blocks", [1, 3])
def test_kernels_do_all_their_work_on_any_grid(monkeypatch, blocks, threads):
    monkeypatch.setattr(launch, "THREADS", threads)
    monkeypatch.setattr(launch, "resident", lambda: blocks)
    gates = np.ones((5, 4))
    lists_of = open_blocks(to_device(gates))
    values = device_library().zeros((20, 3), float)
    dense = np.arange(60.0).reshape(5, 12)
    launch.for_each(epilogue.gather, values.size, lists_of.lists, 5, 4, to_device(dense), values)
    np.testing.assert_array_equal(to_host(values).reshape(5, 12), dense)


def test_the_scan_has_as_many_threads_as_it_has_room_for():
    assert launch.SCAN <= lists.SCAN_THREADS
    assert launch.THREADS <= epilogue.TEAM
    assert not launch.SCAN & (launch.SCAN - 1)
