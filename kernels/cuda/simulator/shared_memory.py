"""One repair of Numba's simulator: threads that ask for a shared array at the same time all get the same.

Numba looks an array up and makes it if it is not there, and a thread that is interrupted between the two gets one
of its own. Here both are one step. New arrays are full of NaN or of a large number, as a GPU's may be, so that
nobody relies on zeros.
"""

import sys

import numpy as np
from numba.cuda.simulator.kernelapi import FakeCUDAShared


def array(self, shape, dtype):
    """cuda.shared.array: one for each line that asks."""
    frame = sys._getframe(1)
    rubbish = np.nan if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max
    return self._allocations.setdefault((frame.f_code.co_filename, frame.f_lineno), np.full(shape, rubbish, dtype))


FakeCUDAShared.array = array
