"""Which kernels serve an array: `cpu.driver`, `cuda.driver`, or without Numba `cpu.uncompiled`.

These three modules offer the same functions. They load Numba, which takes longer than loading everything else here,
so each is imported when it is first needed.
"""

import functools
import importlib

from .compiler import serving
from .cpu.threads import on_worker
from .device.arrays import on_device


@functools.cache
def loaded(name):
    """A module of this package that loads Numba. A worker imports it, since an interrupted import breaks Numba."""
    return on_worker(importlib.import_module, f"{__package__}.{name}")


@functools.cache
def device_kernels():
    """The module whose functions take arrays of a device."""
    return loaded("cuda.driver")


@functools.cache
def host_kernels():
    """The module whose functions take arrays of NumPy."""
    return loaded("cpu.uncompiled" if serving() == "numpy" else "cpu.driver")


def kernels_for(x):
    """The module whose functions take x."""
    return device_kernels() if on_device(x) else host_kernels()
