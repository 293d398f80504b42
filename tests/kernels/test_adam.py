"""Adam's step in one pass gives the numbers of the specification, bit for bit, for any memory order."""

import numpy as np
import pytest

from minigrad.kernels import adam, specification

ORDERS = {"C": (0, 1, 2), "F": (2, 1, 0), "neither": (1, 0, 2)}


def laid_out(array, order):
    """A copy without gaps whose axes lie in memory in the given order, the slowest first."""
    axes = ORDERS[order]
    return array.transpose(axes).copy().transpose(np.argsort(axes))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("gradients", ORDERS)
@pytest.mark.parametrize("squares", ORDERS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (20, 30, 40)])       # in NumPy, and compiled
def test_a_step_is_that_of_the_specification(shape, squares, order, gradients, dtype):
    rng = np.random.default_rng(0)
    ours = [laid_out(rng.standard_normal(shape).astype(dtype), kind) for kind in (order, order, squares)]
    ours[2] **= 2
    wanted = [x.copy() for x in ours]
    for step in 1, 2, 3:
        gradient = rng.standard_normal(shape).astype(dtype)
        numbers = 0.01 / (1 - 0.9**step), (0.9, 0.999), (1 - 0.999**step) ** 0.5, 1e-8
        adam.adam_step(ours[0], laid_out(gradient, gradients), *ours[1:], *numbers)
        specification.adam_step(wanted[0], gradient, *wanted[1:], *numbers)
    for found, expected in zip(ours, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("size", [(30, 4), (30, 200), (6000,)])
def test_only_rows_with_a_gradient_change(size, given):
    rng = np.random.default_rng(0)
    before = rng.standard_normal((3, *size)).astype(np.float32)
    before[2] **= 2
    gradient = rng.standard_normal(size).astype(np.float32)
    gradient[1::3] = 0
    gradient[0] *= np.arange(gradient[0].size).reshape(gradient[0].shape) == gradient[0].size - 1   # its last entry
    rows = np.flatnonzero(np.arange(size[0]) % 3 != 1)[::-1] if given else None
    ours, wanted, numbers = before.copy(), before.copy(), (0.01, (0.9, 0.999), 0.1, 1e-8)
    adam.adam_rows(ours[0], gradient[rows] if given else gradient, *ours[1:], *numbers, rows)
    specification.adam_step(wanted[0], gradient, *wanted[1:], *numbers)
    np.testing.assert_array_equal(ours[:, 1::3], before[:, 1::3])
    for kept in 0, 2:
        np.testing.assert_array_equal(ours[:, kept::3], wanted[:, kept::3])
