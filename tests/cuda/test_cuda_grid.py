"""Launches do all work, for any number of threads."""


import numpy as np
import pytest

from minigrad.kernels.cuda import epilogue, grid, lists
from minigrad.kernels.cuda.driver import open_blocks
from minigrad.kernels.device.arrays import device_library
from minigrad.kernels.device.transfer import to_device, to_host


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("blocks", [1, 3])
def test_kernels_do_all_their_work_on_any_grid(monkeypatch, blocks, threads):
    monkeypatch.setattr(grid, "THREADS", threads)
    monkeypatch.setattr(grid, "resident", lambda: blocks)
    gates = np.ones((5, 4))
    lists_of = open_blocks(to_device(gates))
    values = device_library().zeros((20, 3), float)
    dense = np.arange(60.0).reshape(5, 12)
    grid.for_each(epilogue.gather, values.size, lists_of.lists, 5, 4, to_device(dense), values)
    np.testing.assert_array_equal(to_host(values).reshape(5, 12), dense)


def test_the_scan_has_as_many_threads_as_it_has_room_for():
    assert grid.SCAN <= lists.SCAN_THREADS
    assert grid.THREADS <= epilogue.TEAM
    assert not grid.SCAN & (grid.SCAN - 1)
