"""Numba's cache on disk, when a file is damaged or cannot be written.

A full disk or a crash may leave files that are cut off, empty or full of zeros. Numba then fails with an error of
the module pickle, at every start, until somebody deletes these files.
"""

import contextlib
import functools
import sys


def tolerant(compiled):
    """Let a compiled function replace damaged files of its cache, and work without a cache that cannot be written."""
    cache = compiled._cache
    load, save = cache.load_overload, cache.save_overload

    def load_overload(sig, target_context):
        try:
            return load(sig, target_context)
        except Exception:  # what unpickling raises depends on where a file is damaged
            _say(f"removed damaged files from the cache of compiled kernels, {cache.cache_path}, and compiles anew")
            with contextlib.suppress(OSError):
                cache.flush()  # an empty list of files in place of the damaged one
        return None

    def save_overload(sig, data):
        try:
            save(sig, data)
        except Exception as error:
            _say(f"cannot keep compiled kernels in {cache.cache_path} ({error}), so every process compiles its own; "
                 "make room there, or name another folder in NUMBA_CACHE_DIR")

    cache.load_overload, cache.save_overload = load_overload, save_overload
    return compiled


@functools.cache
def _say(text):
    """Print a line, once."""
    print(f"minigrad: {text}", file=sys.stderr)
