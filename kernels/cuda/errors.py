"""What kernels found wrong, told to the host at its next transfer.

Asking whether a kernel has found a NaN would mean to wait for it. So a kernel marks it in a word of the host's
memory that the device can write, and `check` reads the word where the host has waited anyway: after a transfer.
"""

import functools

import numpy as np
from numba import cuda

from ..device import deferred

GATES, LOGITS = 0, 1
_MESSAGES = {
    GATES: "gates: expected finite values, got NaN or infinity",
    LOGITS: "logits: expected finite values, got NaN or infinity",
}


@functools.cache
def marks():
    """The words, 1 where something was found."""
    found = cuda.mapped_array(len(_MESSAGES), np.int32)
    for what in _MESSAGES:
        found[what] = 0
    return found


def check():
    """Raise for what was found since the last call."""
    found = [what for what in _MESSAGES if marks()[what]]
    for what in found:
        marks()[what] = 0
    if found:
        messages = " and ".join(_MESSAGES[what] for what in found)
        raise ValueError(f"{messages}, on the device since the transfer before this one; look for an overflow above")


deferred.marked.append(check)
