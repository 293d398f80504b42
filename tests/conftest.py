"""Set up all tests: Ctrl-C can interrupt their process."""

import signal


def pytest_configure():
    """A shell starts background jobs with SIGINT ignored. The tests of interrupts need Python's own handler."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
