"""The one decorator under which kernels are compiled.

Serial code that releases the GIL, kept on disk between processes. `reassoc` and `contract` allow
sums to be vectorised and multiply-adds to be fused; infinities and NaN keep their meaning.
Division by 0 gives them, as in NumPy: a check for it would keep loops from being vectorised.

The cache notices a change of the file a kernel is in, not of one that it calls into: after editing
`tile`, say, remove the cache or name a fresh folder in NUMBA_CACHE_DIR.
"""

import sys

import numba
from numba.core import event

from .cache import tolerant

_FAST = {"reassoc", "contract", "nsz"}


def kernel(function, fastmath=_FAST):
    """Compile `function` lazily, once per dtype, with a cache on disk where one is writable."""
    options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
        return compiled if numba.config.DISABLE_JIT else tolerant(compiled)
    except RuntimeError:  # no folder for the cache is writable
        return numba.njit(**options)(function)


def exact(function):
    """Like `kernel`, with IEEE arithmetic as written: no reordering, no fusing."""
    return kernel(function, fastmath=False)


class _Announce(event.Listener):
    """Say once on stderr that kernels of this package are compiled rather than read from the cache."""

    def on_start(self, compile_event):
        ours = compile_event.data["dispatcher"].py_func.__module__.startswith(__package__ + ".")
        if ours:
            event.unregister("numba:compile", self)
            print("minigrad: compiling kernels for this machine (first use only)", file=sys.stderr)

    def on_end(self, compile_event):
        pass


event.register("numba:compile", _Announce())
