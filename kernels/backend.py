"""Which kernels serve an array: those of `cpu`, or those of `cuda.driver`; without Numba those of `uncompiled`.

These modules offer the same functions. They load Numba, so each is imported when it is first needed.
"""

import functools
import importlib

import numpy as np

from .compiler import serving
from .cpu.threads import on_worker
from .device.arrays import is_device


def on_device(x):
    """Whether an array, a Packed or an OpenBlocks is on a device."""
    return type(x) is not np.ndarray and (getattr(x, "on_device", False) or is_device(x))


@functools.cache
def loaded(name):
    """A module of this package that loads Numba. An import that is interrupted breaks Numba, so a worker does it."""
    return on_worker(importlib.import_module, f"{__package__}.{name}")


def device_kernels():
    """The module whose functions take arrays of a device."""
    return loaded("cuda.driver")


def host_kernels():
    """The module whose functions take arrays of NumPy."""
    return loaded("cpu.uncompiled" if serving() == "numpy" else "cpu.driver")


def kernels_for(x):
    """The module whose functions take x."""
    return device_kernels() if on_device(x) else host_kernels()


def check_device(name, x, like):
    """Raise unless x is where `like` is: both on the host, or both on the device."""
    if on_device(x) != on_device(like):
        expected, got = ("device", "host") if on_device(like) else ("host", "device")
        raise TypeError(f"{name}: expected an array on the {expected}, as the other arrays, got one on the {got}; "
                        "bring all to one place")
