"""The products with the tile in shared memory that textbooks explain."""

import pytest

from minigrad.kernels.cuda import shared
from tests.cuda.product_checks import DENSITIES, check_products


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("shape", [(5, 3, 2, 6), (18, 2, 1, 9), (3, 2, 17, 4)])
def test_the_tile_of_textbooks(shape, density, dtype):
    check_products(shared, shape, density, dtype)
