"""The choice of kernels for an array: `cpu.driver`, `cuda.driver`, or without Numba `cpu.uncompiled`.

These three modules have the same functions. Each is imported when it is first needed, because Numba takes longer to
load than everything else here.
"""

import functools
import importlib
from typing import Any

from .compiler import serving
from .cpu.threads import on_worker
from .device.arrays import on_device


@functools.cache
def loaded(name: str) -> Any:
    """A module of this package that loads Numba. A worker imports it, since an interrupted import breaks Numba."""
    return on_worker(importlib.import_module, f"{__package__}.{name}")


@functools.cache
def device_kernels() -> Any:
    """The module with the functions for arrays on a GPU."""
    return loaded("cuda.driver")


@functools.cache
def host_kernels() -> Any:
    """The module with the functions for NumPy arrays."""
    return loaded("cpu.uncompiled" if serving() == "numpy" else "cpu.driver")


def kernels_for(x):
    """The module with the functions for x."""
    return device_kernels() if on_device(x) else host_kernels()
