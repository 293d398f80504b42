"""The three tiles for a packed input give the results of NumPy, and write nothing else.

The numbers of an example's open input blocks ("runs") follow one another in memory.  The tests have runs that are
shorter and longer than a vector, and all sizes of a tile.
"""

import numpy as np
import pytest

from minigrad.kernels.cpu.jit import kernel
from minigrad.kernels.cpu.vectors import UNITS, VECTOR_BYTES

if not VECTOR_BYTES:
    pytest.skip("this processor has no wide vectors", allow_module_level=True)

from minigrad.kernels.cpu.vectors_both import RUNS, packed_dot_tile, packed_gradient_tile, packed_update_tile

WIDTHS = [1, 3, 8, 19]          # numbers of an input block
OPEN = np.array([4, 0, 3], np.int32)        # the open input blocks, of 6
DTYPES = [np.float32, np.float64]


@kernel
def dot(zero, units, x, indices, count, x_block, weight, values):
    packed_dot_tile(zero, units, x.ctypes.data, indices.ctypes.data, count, x_block, weight.ctypes.data,
                    weight.strides[0], values.ctypes.data)


@kernel
def update(zero, runs, out, indices, x_block, values, weight, units):
    packed_update_tile(zero, runs, out.ctypes.data, indices.ctypes.data, x_block, values.ctypes.data,
                       weight.ctypes.data, weight.strides[0], units)


@kernel
def gradient(rate, units, x, indices, count, x_block, values, out):
    packed_gradient_tile(rate, units, x.ctypes.data, indices.ctypes.data, count, x_block, values.ctypes.data,
                         out.ctypes.data, out.strides[0])


def whole(*shape, dtype):
    """Small whole numbers, so that every sum is exact in any order."""
    return np.random.default_rng(sum(shape)).integers(-4, 5, shape).astype(dtype)


def columns(x_block, indices=OPEN):
    """The columns of the weight that lie under the open input blocks."""
    return np.concatenate([np.arange(i * x_block, (i + 1) * x_block) for i in indices])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x_block", WIDTHS)
@pytest.mark.parametrize("units", [UNITS, 1])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_dot(count, units, x_block, dtype):
    x, weight = whole(3, x_block, dtype=dtype), whole(UNITS, 6 * x_block + 1, dtype=dtype)
    values = np.full(UNITS + 2, 99, dtype)
    dot(dtype(0), units, x, OPEN, count, x_block, weight, values)
    read = columns(x_block, OPEN[:count]) if count else []
    np.testing.assert_array_equal(values[:units], weight[:units, read] @ x[:count].ravel())
    assert (values[units:] == 99).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x_block", WIDTHS)
@pytest.mark.parametrize("runs", range(1, RUNS + 1))
@pytest.mark.parametrize("units", [0, 1, 5])
def test_update(units, runs, x_block, dtype):
    indices = np.array([4, 0, 3, 1], np.int32)[:runs]
    values, weight = whole(5, dtype=dtype), whole(5, 6 * x_block + 1, dtype=dtype)
    out = whole(RUNS + 1, x_block, dtype=dtype)
    wanted = out.copy()
    wanted[:runs] += (values[:units] @ weight[:units, columns(x_block, indices)]).reshape(runs, x_block)
    update(dtype(0), runs, out, indices, x_block, values, weight, units)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x_block", WIDTHS)
@pytest.mark.parametrize("units", [UNITS, 1])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_gradient(count, units, x_block, dtype):
    x, values = whole(3, x_block, dtype=dtype), whole(UNITS, dtype=dtype)
    out = whole(UNITS + 1, 6 * x_block + 1, dtype=dtype)
    wanted = out.copy()
    if count:
        wanted[:units, columns(x_block, OPEN[:count])] += -0.5 * np.outer(values[:units], x[:count].ravel())
    gradient(dtype(-0.5), units, x, OPEN, count, x_block, values, out)
    np.testing.assert_array_equal(out, wanted)
