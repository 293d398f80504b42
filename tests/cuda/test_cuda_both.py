"""Products of packed inputs."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cuda import dispatch
from minigrad.kernels.device.arrays import device_library
from minigrad.kernels.device.transfer import to_device
from tests.cuda.product_checks import DENSITIES, assert_close, packed, problem


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [(9, 4, 2, 3, 3), (3, 2, 5, 34, 1), (34, 5, 1, 2, 2)])
def test_products_of_packed_inputs(shape, density, dtype):
    """Shape: examples, x blocks, x block, blocks, block."""
    examples, x_count, x_block, count, block = shape
    gates, x, weight, g = problem(examples, count, block, x_count * x_block, density, dtype)
    x_gates = problem(examples, x_count, 1, 1, density, dtype, seed=1)[0]
    x = x * specification.per_unit(x_gates, x_block)
    blocks, x_blocks = kernels.open_blocks(to_device(gates)), kernels.open_blocks(to_device(x_gates))
    x_values, values = to_device(packed(x, x_gates, x_block)), to_device(packed(g, gates, block))
    found = device_library().zeros(values.shape, values.dtype)
    dispatch.sdd_both(x_values, to_device(weight), blocks, x_blocks, found)
    assert_close(found, packed(specification.packed_linear_dh(x, weight.T, gates, block), gates, block))
    out = to_device(np.ones_like(weight))
    dispatch.dw_both(values, x_values, blocks, x_blocks, out, -0.5)
    assert_close(out, (1 - 0.5 * specification.gated_linear_dw(g, x, gates, block)).astype(dtype))
