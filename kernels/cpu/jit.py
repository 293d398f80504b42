"""The decorators that compile kernels.

Kernels are serial code that releases the GIL. Compiled code is kept on disk between processes.
`reassoc` and `contract` allow LLVM to vectorise sums and to fuse multiply-adds. Infinities and NaN
have their usual meaning. Division by 0 gives infinity or NaN, as in NumPy, because a check for 0
would prevent vectorised loops.

If the file of a kernel changes, the kernel is compiled again. If the kernel calls functions of another
file and that file changes, it is not compiled again. So after you edit `vectors`, for example, remove
the cache, or set NUMBA_CACHE_DIR to a new folder.
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
    """Compile `function` at its first call with each dtype. Compiled code is cached on disk if a folder is writable."""
    options |= {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
        return compiled if numba.config.DISABLE_JIT else compiled_on_worker(tolerant(compiled))
    except RuntimeError:  # no folder for the cache is writable
        return compiled_on_worker(numba.njit(**options)(function))


def exact(function):
    """Like `kernel`, but operations are neither reordered nor fused, so rounding follows the code exactly."""
    return kernel(function, fastmath=False)


def inlined(function):
    """Like `exact`, but the body of the function is copied into its caller.

    In the caller, the compiler knows that the arrays do not overlap. This makes a loop over many arrays much faster.
    """
    return kernel(function, fastmath=False, inline="always")


def compiled_on_worker(dispatcher):
    """Let a worker thread (`threads`) compile the function or load it from the cache, at the first call with new types.

    Ctrl-C interrupts only the main thread. An interrupt during compilation could crash the process, or leave a lock
    of Numba locked.
    """
    if here := getattr(dispatcher, "_compile_for_args", None):      # a plain function under NUMBA_DISABLE_JIT
        dispatcher._compile_for_args = functools.partial(on_worker, here)
    return dispatcher


@atexit.register
def _finish():
    """At exit, wait for a compilation that still runs after an interrupt: it needs LLVM until it is done."""
    with global_compiler_lock:
        pass


if hasattr(os, "register_at_fork"):     # else a child forked during a compilation would wait for the lock for ever
    os.register_at_fork(before=global_compiler_lock.acquire, after_in_parent=global_compiler_lock.release,
                        after_in_child=global_compiler_lock.release)


class _Announce(event.Listener):
    """Print one line on stderr when the first kernel of this package is compiled, and not read from the cache."""

    def on_start(self, compile_event):
        ours = compile_event.data["dispatcher"].py_func.__module__.startswith(__package__.rpartition(".")[0] + ".")
        if ours:
            event.unregister("numba:compile", self)
            print("minigrad: compiling kernels for this machine (first use only)", file=sys.stderr)

    def on_end(self, compile_event):
        pass


event.register("numba:compile", _Announce())
