"""Adam's step in one pass: the numbers of the specification, bit for bit, in any order of memory."""

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
@pytest.mark.parametrize("shape", [(2, 3, 4), (20, 30, 40)])       # in NumPy, and compiled
def test_a_step_is_that_of_the_specification(shape, order, gradients, dtype):
    rng = np.random.default_rng(0)
    ours = [laid_out(rng.standard_normal(shape).astype(dtype), order) for _ in range(3)]
    ours[2] **= 2
    wanted = [x.copy() for x in ours]
    for step in 1, 2, 3:
        gradient = rng.standard_normal(shape).astype(dtype)
        numbers = 0.01 / (1 - 0.9**step), (0.9, 0.999), (1 - 0.999**step) ** 0.5, 1e-8
        adam.adam_step(ours[0], laid_out(gradient, gradients), *ours[1:], *numbers)
        specification.adam_step(wanted[0], gradient, *wanted[1:], *numbers)
    for found, expected in zip(ours, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)
