"""The decorators of kernels: compiled code is cached if a folder is writable, and kernels can call each other."""

import numpy as np
import pytest
from numba import cuda

from minigrad.kernels.cuda import grid, jit
from minigrad.kernels.device.transfer import to_device, to_host


@jit.device
def plus_one(x):
    return x + 1


def doubled_plus_one(array):
    for i in range(cuda.grid(1), len(array), cuda.gridsize(1)):
        array[i] = plus_one(2 * array[i])


def launched(kernel):
    array = to_device(np.arange(5.0))
    grid.launch(kernel, 2, 2, array)
    return to_host(array).tolist()


def test_a_kernel_calls_a_device_function():
    assert launched(jit.kernel(doubled_plus_one)) == [1, 3, 5, 7, 9]


def test_without_a_writable_folder_a_kernel_is_compiled_all_the_same(monkeypatch):
    real, asked = cuda.jit, []

    def refusing(*arguments, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*arguments, **options)

    monkeypatch.setattr(cuda, "jit", refusing)
    kernel = jit.kernel(doubled_plus_one)
    monkeypatch.undo()
    assert asked == [True, False]
    assert launched(kernel) == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("simulated", [False, True])
def test_damaged_files_of_the_cache_are_replaced_where_there_are_files(monkeypatch, simulated):
    """The simulator compiles nothing, so its kernels have no cache to repair."""
    monkeypatch.setattr(jit.config, "ENABLE_CUDASIM", simulated)
    monkeypatch.setattr(jit.cuda, "jit", lambda cache: lambda function: ("compiled", function))
    monkeypatch.setattr(jit, "tolerant", lambda compiled: ("tolerant", *compiled))
    wanted = ("compiled", plus_one) if simulated else ("tolerant", "compiled", plus_one)
    assert jit.kernel(plus_one) == wanted
