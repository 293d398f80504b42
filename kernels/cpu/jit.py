"""The one decorator under which kernels are compiled.

Kernels are serial code that releases the GIL. Compiled code is kept on disk between processes.
`reassoc` and `contract` allow LLVM to vectorise sums and to fuse multiply-adds. Infinities and NaN
keep their meaning, and division by 0 gives them, as in NumPy: a check for 0 would prevent
vectorised loops.

The cache notices when the file of a kernel changes, but not when a file changes from which the kernel
calls functions. After editing `vectors`, for example, remove the cache, or name a new folder in
NUMBA_CACHE_DIR.
"""

import atexit
import functools
import os
import sys

import numba
from numba.core import event
from numba.core.compiler_lock import global_compiler_lock

from ..cache import tolerant
from .threads import on_worker

_FAST = {"reassoc", "contract", "nsz"}


def kernel(function, fastmath=_FAST, **options):
    """Compile `function` lazily, once per dtype, with a cache on disk where one is writable."""
    options |= {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
        return compiled if numba.config.DISABLE_JIT else compiled_on_worker(tolerant(compiled))
    except RuntimeError:  # no folder for the cache is writable
        return compiled_on_worker(numba.njit(**options)(function))


def exact(function):
    """Like `kernel`, with IEEE arithmetic as written: no reordering, no fusing."""
    return kernel(function, fastmath=False)


def inlined(function):
    """Like `exact`, for a function whose body is put where it is called.

    There the compiler knows the arrays, and that they do not overlap. A loop over many arrays is then much faster.
    """
    return kernel(function, fastmath=False, inline="always")


def compiled_on_worker(dispatcher):
    """Let a worker (`threads`) do what Numba does at the first call with some types: compile, or load.

    An interrupt during compilation would leave a lock of Numba's held, or crash the process.
    """
    if here := getattr(dispatcher, "_compile_for_args", None):      # a plain function under NUMBA_DISABLE_JIT
        dispatcher._compile_for_args = functools.partial(on_worker, here)
    return dispatcher


@atexit.register
def _finish():
    """Wait for a compilation that goes on after an interrupt, since it needs LLVM to the end."""
    with global_compiler_lock:
        pass


if hasattr(os, "register_at_fork"):     # a child that is forked during a compilation would wait for ever
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release,
                        after_in_child=global_compiler_lock.release)


class _Announce(event.Listener):
    """Say once on stderr that kernels of this package are compiled rather than read from the cache."""

    def on_start(self, compile_event):
        ours = compile_event.data["dispatcher"].py_func.__module__.startswith(__package__.rpartition(".")[0] + ".")
        if ours:
            event.unregister("numba:compile", self)
            print("minigrad: compiling kernels for this machine (first use only)", file=sys.stderr)

    def on_end(self, compile_event):
        pass


event.register("numba:compile", _Announce())
