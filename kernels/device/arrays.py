"""The types of arrays: NumPy's arrays on the host, and arrays on a device.

All other code calls NumPy's functions. NumPy passes the call on to the library that made the array
(``__array_ufunc__``, ``__array_function__``). So the same code serves both. Only this file tells the two kinds apart:
to which library does an array belong, and which library makes the arrays of the device? On a GPU this is CuPy. In
Numba's CUDA simulator it is ``cuda.simulator``, whose arrays raise the same errors as CuPy's.
"""

import functools
import importlib

import numpy as np

from ..compiler import serving

#: The types of arrays on a device. The first call of `device_library` adds one.
device_types = set()


@functools.cache
def simulated():
    """Whether the device is Numba's simulator (if NUMBA_ENABLE_CUDASIM=1 was set before Numba was imported)."""
    if serving() == "numpy":
        return False
    from numba import config

    return bool(config.ENABLE_CUDASIM)


@functools.cache
def device_library():
    """The module whose arrays are on the device: CuPy, or `cuda.simulator` in Numba's simulator."""
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


def on_device(x):
    """Whether an array, a Packed or an OpenBlocks is on a device."""
    return type(x) is not np.ndarray and (getattr(x, "on_device", False) or is_device(x))


def check_device(name, x, like):
    """Raise a TypeError unless x is where `like` is: both on the host, or both on the device."""
    if type(x) is type(like) is np.ndarray:     # the usual case, answered fast
        return
    if on_device(x) != on_device(like):
        expected, got = ("device", "host") if on_device(like) else ("host", "device")
        raise TypeError(f"{name}: expected an array on the {expected}, as the other arrays, got one on the {got}; "
                        "bring all to one place")


def number(x):
    """A number as a float. A number on the device is returned unchanged, because its transfer would have to wait."""
    return x if is_device(x) else float(x)
