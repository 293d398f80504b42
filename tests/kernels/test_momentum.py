"""A step with momentum in one pass gives the numbers of the specification, bit for bit, for any memory order."""

import numpy as np
import pytest
from test_adam import ORDERS, laid_out

from minigrad.kernels import momentum, specification


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("memory", ORDERS)
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4), (20, 30, 40)])       # in NumPy, and compiled
def test_a_step_is_that_of_the_specification(shape, nesterov, memory, order, dtype):
    rng = np.random.default_rng(0)
    ours = [laid_out(rng.standard_normal(shape).astype(dtype), kind) for kind in (order, memory)]
    wanted = [x.copy() for x in ours]
    for _ in range(3):
        gradient = rng.standard_normal(shape).astype(dtype)
        momentum.momentum_step(ours[0], gradient, ours[1], 0.1, 0.9, nesterov)
        specification.momentum_step(wanted[0], gradient, wanted[1], 0.1, 0.9, nesterov)
    for found, expected in zip(ours, wanted, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("size", [(30, 4), (30, 200), (6000,)])
def test_only_rows_with_a_gradient_change(size, given):
    rng = np.random.default_rng(0)
    x, gradient, velocity = rng.standard_normal((3, *size)).astype(np.float32)
    gradient[1::3] = 0
    rows = np.flatnonzero(np.arange(len(x)) % 3 != 1)[::-1] if given else None
    ours, wanted = [x.copy(), velocity.copy()], [x.copy(), velocity.copy()]
    momentum.momentum_rows(ours[0], gradient[rows] if given else gradient, ours[1], 0.1, 0.9, True, rows)
    specification.momentum_step(wanted[0], gradient, wanted[1], 0.1, 0.9, True)
    for found, step, before in zip(ours, wanted, (x, velocity), strict=True):
        np.testing.assert_array_equal(found[1::3], before[1::3])
        for kept in 0, 2:
            np.testing.assert_array_equal(found[kept::3], step[kept::3])
