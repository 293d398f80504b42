"""Conditions on values of a device, looked at when something comes to the host anyway.

To look at a value on a GPU is to wait for it, and for all that was asked of the GPU before.  A training step
that looked whether its gradients are finite would spend its time waiting.  So a condition that is known to
the device only waits in a list, and the error is raised, with all its words, at the next transfer to the
host: the loss that is printed, say.  By then later work has been done on values that are no use.
"""

import numpy as np

from . import arrays

#: So many conditions wait at most, until they cause a transfer themselves.
MOST = 512

waiting = []

#: Functions called after each transfer, that raise what kernels have found and marked (``cuda.errors``).
marked = []


def require(holds, error):
    """Raise ``error()`` unless ``holds``: now, or for an array of the device at the next transfer to the host.

    Parameters
    ----------
    holds : bool, or an array of no axes.
    error : function that makes the exception; it must not keep large arrays alive.

    >>> require(np.isfinite(1.0), lambda: ValueError("expected a finite number"))
    >>> require(np.isfinite(np.nan), lambda: ValueError("expected a finite number"))
    Traceback (most recent call last):
        ...
    ValueError: expected a finite number
    """
    if arrays.is_device(holds):
        waiting.append((holds, error))
        if len(waiting) >= MOST:
            settle()
    elif not holds:
        raise error()


def settle():
    """Raise the error of the first condition that did not hold; costs one transfer if any waits.

    Called after a transfer, so that the host has waited already. One mistake is often noticed in several
    places: the first one speaks for all.
    """
    errors = []
    for check in (look, *marked):
        try:
            check()
        except (ValueError, IndexError) as error:
            errors.append(error)
    if errors:
        raise errors[0]


def look():
    """Raise for the first condition that did not hold."""
    if waiting:
        conditions, errors = zip(*waiting, strict=True)
        waiting.clear()
        held = np.stack(conditions).get()
        if not held.all():
            raise errors[held.argmin()]()
