"""Conditions on values of the device. They are tested later, at the next transfer to the host.

To read a value on a GPU, the host has to wait until the GPU has done all its work. If a training step tested whether
its gradients are finite, it would spend its time waiting. So a condition on a value of the device is put into a list.
The next transfer to the host, for example to print the loss, tests all conditions of the list. The first condition
that does not hold raises its error. Until then the device has computed more results, which must not be used.
"""

import numpy as np

from .arrays import is_device

#: The largest number of conditions in the list. One more causes a transfer.
MOST = 512

waiting = []

#: Functions that are called after each transfer. They raise the errors that kernels have found (``cuda.errors``).
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
    """Raise the error of the first condition that does not hold. This takes one transfer if the list is not empty.

    It is called after a transfer, when the host has waited already. One mistake often breaks several conditions;
    only the first error is raised.
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
