"""Errors that kernels find. The host raises them after its next transfer.

The host cannot ask a kernel whether it has read a NaN without waiting for it. So the kernel sets a word in the host's
memory that the device can write. `check` reads the word after a transfer, when the host has waited anyway.
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
    """One word for each message. It is 1 if a kernel has found this error."""
    words = cuda.mapped_array(len(_MESSAGES), np.int32)
    for what in _MESSAGES:
        words[what] = 0
    return words


def check():
    """Raise a ValueError if a kernel has found an error since the last call."""
    noticed = [what for what in _MESSAGES if marks()[what]]
    for what in noticed:
        marks()[what] = 0
    if noticed:
        messages = " and ".join(_MESSAGES[what] for what in noticed)
        raise ValueError(f"{messages}, on the device since the transfer before this one; look for an overflow above")


deferred.marked.append(check)
