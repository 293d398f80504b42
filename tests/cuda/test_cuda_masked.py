"""The product over windows of groups."""

import pytest

from minigrad.kernels.cuda import dispatch, masked
from tests.cuda.product_checks import check_products


def test_windows():
    for block in range(1, 70):
        pitch, groups = masked.window(block)
        assert groups & (groups - 1) == 0, "windows must not run across words"
        assert pitch * groups <= 32
        assert pitch >= min(block, 32)
        assert pitch < 3 or pitch % 4 == 0


@pytest.mark.parametrize("slices", [2, 3, 7])
@pytest.mark.parametrize("shape", [(9, 35, 1, 8), (5, 6, 8, 5), (2, 1, 40, 4)])
def test_slices_of_a_tile(monkeypatch, shape, slices):
    """One case has more blocks of threads per tile than windows."""
    monkeypatch.setattr(dispatch, "slices_for", lambda tiles, windows: slices)
    check_products(dispatch, shape, 0.4, "float64")
