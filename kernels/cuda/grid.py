"""The number of threads of a kernel.

Kernels are grid-stride loops, so they are right for any number of threads. The simulator starts a Python thread for
each of them, so it uses only a few. And the host can launch a kernel without knowing how many blocks are open.
"""

import functools
import warnings

from numba import config, cuda

from ..device.arrays import is_device
from .views import view

#: Threads of a block, if the kernel does not set their number; a power of two.
THREADS = 8 if config.ENABLE_CUDASIM else 256

#: Threads of the single block that sums lists; a power of two, at most `lists.SCAN_THREADS`.
SCAN = 4 if config.ENABLE_CUDASIM else 512


@functools.cache
def resident():
    """The number of blocks of a grid that fills the device: a few for each multiprocessor."""
    if config.ENABLE_CUDASIM:
        return 2
    return 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT


def launch(kernel, grid, threads, *arguments):
    """Queue kernel[grid, threads]. The arguments are numbers and arrays of the device, which become views (`views`)."""
    configured(kernel, grid, threads)(*[view(a) if is_device(a) else a for a in arguments])


def configured(kernel, grid, threads):
    """kernel[grid, threads], without Numba's warning about small grids, because some grids are small on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[grid, threads]


if not config.ENABLE_CUDASIM:   # in the simulator, all configurations of a kernel are the same object
    configured = functools.cache(configured)


def for_each(kernel, items, *arguments):
    """Queue a kernel whose threads divide `items` among them. At most as many threads start as fill the device."""
    grid = -(-items // THREADS)
    launch(kernel, max(1, min(grid, resident())), THREADS, *arguments)
