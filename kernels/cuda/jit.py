"""The decorators that compile kernels for the GPU.

Two rules for such kernels. Python's `min` and `max` do not compile (Numba 0.68 expects an iterable), so use a
conditional expression. A device function that uses the name `cuda` must be in the same file as the kernel that calls
it, because the simulator replaces this name in one file at a time.
"""

from numba import config, cuda

from ..cache import tolerant

if config.ENABLE_CUDASIM:
    from .simulator import shared_memory  # noqa: F401 (repairs the simulator)


def kernel(function):
    """Compile `function` at its first call with new types. Compiled code is cached on disk if a folder is writable."""
    try:
        compiled = cuda.jit(cache=True)(function)
        return compiled if config.ENABLE_CUDASIM else tolerant(compiled)
    except RuntimeError:  # no folder for the cache is writable
        return cuda.jit(function)


#: A function that kernels call.
device = cuda.jit(device=True)
