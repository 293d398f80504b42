"""Normal and logistic numbers on the device are those of the CPU, bit for bit."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.device.arrays import simulated
from minigrad.kernels.device.transfer import to_host

SHAPES = [(0, 3), (3, 0), (1, 1), (3, 9), (20, 35)]
if not simulated():
    SHAPES += [(80, 3333)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("draw", [kernels.philox_normals, kernels.philox_logistics])
def test_the_same_bits_as_on_the_cpu(draw, shape, dtype):
    counter = 2**64 - 3, 2**32 - 1, 2**31, 2**32 - 80
    found = to_host(draw(*counter, shape, dtype, device=True))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, draw(*counter, shape, dtype))
