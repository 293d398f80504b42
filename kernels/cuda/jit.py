"""The decorators under which kernels for the GPU are compiled.

Python's `min` and `max` do not compile there (Numba 0.68 expects an iterable); use a conditional expression. A device
function that uses `cuda` must be in the file of the kernel that calls it, because the simulator replaces that name in
one file at a time.
"""

from numba import config, cuda

from ..cache import tolerant

if config.ENABLE_CUDASIM:
    from .simulator import shared_memory  # noqa: F401 (repairs the simulator)


def kernel(function):
    """Compile `function` lazily, once per type of its arguments, with a cache on disk where one is writable."""
    try:
        compiled = cuda.jit(cache=True)(function)
        return compiled if config.ENABLE_CUDASIM else tolerant(compiled)
    except RuntimeError:  # no folder for the cache is writable
        return cuda.jit(function)


#: A function that kernels call.
device = cuda.jit(device=True)
