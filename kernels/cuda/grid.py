"""How many threads a kernel runs on.

Kernels loop with the stride of their grid, so they are right for any number of threads. The simulator, which starts
a thread of Python for each, can then use a few. And the host can launch a kernel without knowing how many blocks are
open.
"""

import functools
import warnings

from numba import config, cuda

from ..device.arrays import is_device
from .views import view

#: Threads of a block where the kernel does not say; a power of two.
THREADS = 8 if config.ENABLE_CUDASIM else 256

#: Threads of the single block that sums up lists; a power of two, at most `lists.SCAN_THREADS`.
SCAN = 4 if config.ENABLE_CUDASIM else 512


@functools.cache
def resident():
    """The blocks of a grid that fills the device: a few for each multiprocessor."""
    if config.ENABLE_CUDASIM:
        return 2
    return 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT


def launch(kernel, grid, threads, *arguments):
    """Queue kernel[grid, threads] on arrays of the device and numbers; arrays go as their views."""
    configured(kernel, grid, threads)(*[view(a) if is_device(a) else a for a in arguments])


def configured(kernel, grid, threads):
    """kernel[grid, threads], without Numba's warning that a small grid leaves the device idle: some are small."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[grid, threads]


if not config.ENABLE_CUDASIM:   # where all configurations of a kernel are one object
    configured = functools.cache(configured)


def for_each(kernel, items, *arguments):
    """Queue a kernel whose threads share `items` between them, at most as many as fill the device."""
    grid = -(-items // THREADS)
    launch(kernel, max(1, min(grid, resident())), THREADS, *arguments)
