"""The changes that a check makes while it runs.  They are undone at the end, also after an error or Ctrl-C."""

from _signal import SIGINT, getsignal, signal
from _thread import get_ident
from threading import main_thread


class Session:
    """Changes that are undone at the end, also after errors and Ctrl-C.

    The constructor must not change anything.  ``start`` may be interrupted at any point, and ``restore`` must then
    undo the part that was done.
    """

    closing = False
    interrupted = False

    def start(self):
        """Make the changes."""

    def restore(self):
        """Undo the changes, also those of a ``start`` that did not finish."""


def within(session, work):
    """The result of ``work()`` in a session.  While the session is being restored, Ctrl-C waits."""
    handler = getsignal(SIGINT)
    guarded = get_ident() == main_thread().ident and callable(handler)
    noted = []

    def interrupted(number, frame):
        if session.closing:
            noted.append(number)
        else:
            session.interrupted = True
            handler(number, frame)

    try:
        if guarded:
            signal(SIGINT, interrupted)
        session.start()
        result = work()
    except Exception as error:
        if session.interrupted:     # compiled code of a framework may turn the interrupt into another error
            raise KeyboardInterrupt from error
        raise
    finally:
        # Python tests for signals when a function is called.  After this attribute is set, no signal interrupts.
        session.closing = True
        try:
            session.restore()
        finally:
            if guarded:
                signal(SIGINT, handler)
        if noted:
            handler(SIGINT, None)
    if session.interrupted:         # the framework may even have ignored the interrupt
        raise KeyboardInterrupt
    return result
