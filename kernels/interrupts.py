"""Ctrl-C that waits until a step is done."""

import functools
from _signal import SIGINT, getsignal, signal
from _thread import get_ident
from threading import main_thread


def uninterrupted(function):
    """Have every call of `function` run to its end before Ctrl-C raises KeyboardInterrupt.

    For functions that change several arrays, which fit together only before the first change and after the last.
    What they compute must not take long. While the function runs in the main thread, which alone is ever
    interrupted, SIGINT is only noted; afterwards the handler that was there before is called. Where that is not
    a function (the signal is ignored, or ends the process), nothing changes.

    >>> import signal
    >>> @uninterrupted
    ... def two_changes(entries):
    ...     entries.append(1)
    ...     signal.raise_signal(signal.SIGINT)
    ...     entries.append(2)
    >>> entries = []
    >>> try:
    ...     two_changes(entries)
    ... except KeyboardInterrupt:
    ...     print(entries)
    [1, 2]
    """
    @functools.wraps(function)
    def whole(*args, **options):
        handler = getsignal(SIGINT)
        if get_ident() != main_thread().ident or not callable(handler):
            return function(*args, **options)
        noted = []
        try:
            signal(SIGINT, lambda number, frame: noted.append(number))
            return function(*args, **options)
        finally:
            signal(SIGINT, handler)     # first of all, and one call in C: nothing can come before it
            if noted:
                handler(SIGINT, None)
    return whole
