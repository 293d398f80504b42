"""Ctrl-C waits until a step is done, so that no step is done by half."""

import functools
from _signal import SIGINT, getsignal, signal
from _thread import get_ident
from threading import main_thread


def uninterrupted(function):
    """A decorator: each call of `function` runs to its end before Ctrl-C raises KeyboardInterrupt.

    This is for functions that change several arrays which belong together. They must not run long. Python interrupts
    only the main thread. While the function runs there, SIGINT is noted, and afterwards the handler that was set before
    is called. If that handler is not a function (the signal is ignored, or ends the process), nothing is changed.

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
