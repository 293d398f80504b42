"""What a check changes while it runs, and how it is put back, whatever interrupts it."""

from _signal import SIGINT, getsignal, signal
from _thread import get_ident
from threading import main_thread


class Session:
    """Changes that are undone at the end, also after errors and Ctrl-C.

    Making a session must not change anything.  ``restore`` may find any part of what ``start`` does.
    """

    closing = False
    interrupted = False

    def start(self):
        """Make the changes."""

    def restore(self):
        """Undo them, those of a ``start`` that was broken off too."""


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
        if session.interrupted:     # compiled code of a framework may turn the interrupt into an error of its own
            raise KeyboardInterrupt from error
        raise
    finally:
        # Python looks for signals when a function is called: after this attribute is set, none gets through.
        session.closing = True
        try:
            session.restore()
        finally:
            if guarded:
                signal(SIGINT, handler)
        if noted:
            handler(SIGINT, None)
    if session.interrupted:         # it may even swallow it
        raise KeyboardInterrupt
    return result
