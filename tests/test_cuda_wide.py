"""The instructions that move four numbers at once.  Numba can also compile them for the CPU, so they run here."""

import numba
import numpy as np
import pytest
from numba import config

if config.ENABLE_CUDASIM:
    pytest.skip("the simulator has these four by four, not as instructions", allow_module_level=True)

from minigrad.kernels.cuda.wide import load4, store4


@numba.njit
def compiled_load(array, row, column):
    return load4(array, row, column)


@numba.njit
def compiled_store(array, row, column, numbers):
    store4(array, row, column, numbers)


@pytest.fixture(params=["float32", "float64"])
def array(request):
    """A part of a larger array: rows of 12 numbers, 16 apart, from a multiple of 16 bytes on."""
    line = np.arange(5 * 16 + 4, dtype=request.param)
    start = next(n for n in range(4) if line[n:].ctypes.data % 16 == 0)
    return line[start:start + 80].reshape(5, 16)[1:, 4:]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 8), (2, 4), (3, 8)])
def test_load(array, row, column):
    assert compiled_load(array, row, column) == tuple(array[row, column:column + 4])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 8), (2, 4), (3, 8)])
def test_store(array, row, column):
    wanted = array.base.copy()
    before = array.copy()
    compiled_store(array, row, column, tuple(array.dtype.type(n) for n in (-1, -2, -3, -4)))
    before[row, column:column + 4] = -1, -2, -3, -4
    np.testing.assert_array_equal(array, before)
    assert (array.base != wanted).sum() == 4
