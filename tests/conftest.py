"""What all tests share: a process that Ctrl-C can interrupt."""

import signal


def pytest_configure():
    """A shell starts background jobs with SIGINT ignored. The tests of interrupts need Python's own handler."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
