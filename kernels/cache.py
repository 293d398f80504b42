"""Handling of files in Numba's cache on disk that are damaged or cannot be written.

A full disk or a crash may leave files that are incomplete, empty or full of zeros. Then Numba fails at every start,
with an error of the module pickle, until these files are deleted.
"""

import contextlib
import functools
import sys


def tolerant(compiled):
    """Make a compiled function replace damaged files in its cache, and work if the cache cannot be written."""
    cache = compiled._cache
    load, save = cache.load_overload, cache.save_overload

    def load_overload(sig, target_context):
        try:
            return load(sig, target_context)
        except Exception:  # the error depends on which part of a file is damaged
            _say(f"removed damaged files from the cache of compiled kernels, {cache.cache_path}. Compiling again")
            with contextlib.suppress(OSError):
                cache.flush()  # replaces the list of files by an empty list
        return None

    def save_overload(sig, data):
        try:
            save(sig, data)
        except Exception as error:
            _say(f"cannot store compiled kernels in {cache.cache_path} ({error}), so every process compiles them. "
                 "Free some space there, or set NUMBA_CACHE_DIR to another folder")

    cache.load_overload, cache.save_overload = load_overload, save_overload
    return compiled


@functools.cache
def _say(text):
    """Print a line, once."""
    print(f"minigrad: {text}", file=sys.stderr)
