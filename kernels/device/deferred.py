"""Conditions on values of the device, which are looked at when the host fetches something anyway.

To look at a value on a GPU, the host has to wait until the GPU has done all its work. A training step that looked
whether its gradients are finite would spend its time waiting. So a condition whose value is on the device is put in
a list. At the next transfer to the host, the printed loss for example, the conditions are looked at, and the first
one that does not hold raises its error. By then the device has computed further with values that are of no use.
"""

import numpy as np

from .arrays import is_device

#: So many conditions may wait. One more makes a transfer of its own.
MOST = 512

waiting = []

#: Functions that are called after each transfer. They raise what kernels have marked as wrong (``cuda.errors``).
marked = []


def require(holds, error):
    """Raise ``error()`` unless ``holds``: now, or for an array of the device at the next transfer to the host.

    Parameters
    ----------
    holds : bool, or an array without axes.
    error : function that returns the exception. It should not keep large arrays alive.

    >>> require(np.isfinite(1.0), lambda: ValueError("expected a finite number"))
    >>> require(np.isfinite(np.nan), lambda: ValueError("expected a finite number"))
    Traceback (most recent call last):
        ...
    ValueError: expected a finite number
    """
    if is_device(holds):
        waiting.append((holds, error))
        if len(waiting) >= MOST:
            settle()
    elif not holds:
        raise error()


def settle():
    """Raise the error of the first condition that does not hold. Takes one transfer if any condition waits.

    This is called after a transfer, when the host has waited already. One mistake is often noticed in several places;
    only the first one is raised.
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
    """Raise the error of the first waiting condition that does not hold."""
    if waiting:
        conditions, errors = zip(*waiting, strict=True)
        waiting.clear()
        held = np.stack(conditions).get()
        if not held.all():
            raise errors[held.argmin()]()
