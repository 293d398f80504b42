"""What counts as an array here: NumPy's, and those of a GPU once there is one.

Everything else in this package and in the engine calls NumPy's functions, which NumPy hands on to the
library that an array belongs to (``__array_ufunc__``, ``__array_function__``).  So code is written once,
and this file holds the few questions whose answers differ: whose array is it, and how does it get across.
Arrays on a GPU are CuPy's; in Numba's CUDA simulator those of ``simulated_cupy``, which is stricter.
"""

import functools
import importlib

import numpy as np

from ..compiler import serving
from . import deferred, work

#: Types of arrays on a device; `device_library` enters one when the first array goes there.
device_types = set()


@functools.cache
def simulated():
    """Whether Numba's simulator is the device: NUMBA_ENABLE_CUDASIM=1 was set before Numba was imported."""
    if serving() == "numpy":
        return False
    from numba import config

    return bool(config.ENABLE_CUDASIM)


@functools.cache
def device_library():
    """The module whose arrays live on the device: CuPy, or in Numba's simulator the stand-in for it."""
    library = importlib.import_module("minigrad.kernels.cuda.simulator.cupy" if simulated() else "cupy")
    device_types.add(library.ndarray)
    return library


def is_device(x):
    """Whether x is an array on a device.

    >>> is_device(np.zeros(3))
    False
    """
    return type(x) in device_types


def is_array(x):
    """Whether x is an array, of NumPy or on a device."""
    return isinstance(x, np.ndarray) or type(x) in device_types


def number(x):
    """A number as Python's, or left on the device if it is there: to fetch it would be to wait for it."""
    return x if is_device(x) else float(x)


def to_device(array):
    """A NumPy array copied to the device, in the same memory order; counted as a transfer."""
    library = device_library()
    if not simulated():     # the stand-in counts for itself
        work.transferred()
    return library.array(array, order="K")


def to_host(array):
    """An array of the device copied to a NumPy array in the same memory order; counted as a transfer.

    What waited for one (``deferred``) is looked at, and raises before anything is returned.
    """
    if not simulated():
        work.transferred()
    found = array.get(order="A")
    deferred.settle()
    return found
