"""The kernels of `cpu.plain`, range by range. (`test_layers` has those for packed inputs, and all layouts.)"""

import numpy as np
import pytest

from minigrad.kernels.cpu import plain
from tests.kernels.product_checks import SHAPES, check_a_range_touches_its_blocks_alone, check_products


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products(shape, dtype):
    check_products(plain, shape, dtype)


def test_a_range_touches_its_blocks_alone():
    check_a_range_touches_its_blocks_alone(plain)
