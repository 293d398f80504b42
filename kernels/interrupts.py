"""Delaying Ctrl-C until a step is complete."""

import functools
from _signal import SIGINT, getsignal, signal
from _thread import get_ident
from threading import main_thread


def uninterrupted(function):
    """A decorator: each call of `function` runs to its end before Ctrl-C raises KeyboardInterrupt.

    Use it for short functions that change several arrays which belong together. Python interrupts only the main thread.
    While the function runs there, a SIGINT is stored. Afterwards the previous handler is called. If the previous
    handler is not a function (the signal is ignored, or ends the process), the decorator does nothing.

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
        received = []
        try:
            signal(SIGINT, lambda number, frame: received.append(number))
            return function(*args, **options)
        finally:
            signal(SIGINT, handler)     # first, and one call in C, so nothing can interrupt before it
            if received:
                handler(SIGINT, None)
    return whole
