"""The compiled step with momentum has the bits of the formula in NumPy.  `test_momentum` tests layouts."""

import numpy as np
import pytest

from minigrad.kernels.cpu import momentum


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("nesterov", [False, True])
def test_one_pass_is_the_formula_bit_for_bit(dtype, nesterov):
    """A multiply and an add that are fused, or a sum in double precision, round otherwise."""
    x, gradient, velocity = np.random.default_rng(0).standard_normal((3, 1000)).astype(dtype)
    rate, share = dtype(0.1), dtype(0.9)
    new = velocity * share - rate * gradient
    new_x = x + (share * new - rate * gradient if nesterov else new)
    given = gradient.copy()
    momentum.momentum_step(x, gradient, velocity, rate, share, nesterov)
    np.testing.assert_array_equal(velocity, new)
    np.testing.assert_array_equal(x, new_x)
    np.testing.assert_array_equal(gradient, given)


def test_rows_without_a_gradient_are_skipped():
    x, velocity = np.ones((4, 2)), np.ones((4, 2))
    momentum.momentum_rows(x, np.array([[0.0, 0.0], [0.0, 1.0]]), velocity, np.array([3, 1]), 0.5, 0.5, False)
    assert x.tolist() == [[1, 1], [1.5, 1], [1, 1], [1, 1]]
    assert velocity.tolist() == [[1, 1], [0.5, 0], [1, 1], [1, 1]]
