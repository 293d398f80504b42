"""The simple products. Those with packed inputs are tested in `test_cuda_layers`."""

import pytest

from minigrad.kernels.cuda import plain
from tests.cuda.product_checks import DENSITIES, check_products


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [(5, 3, 2, 6), (3, 34, 1, 4), (3, 2, 17, 4)])
def test_products(shape, density, dtype):
    check_products(plain, shape, density, dtype)
