"""The compiled step of Adam has the bits of the formula in NumPy.  `test_adam` tests shapes and layouts."""

import numpy as np
import pytest

from minigrad.kernels.cpu import adam


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_pass_is_the_formula_bit_for_bit(dtype):
    """A multiply and an add that are fused, or a sum in double precision, round otherwise."""
    rng = np.random.default_rng(0)
    x, gradient, mean, square = rng.standard_normal((4, 1000)).astype(dtype)
    square **= 2
    rate, beta1, rest1, beta2, rest2, correction, epsilon = map(dtype, (0.1, 0.9, 0.1, 0.99, 0.01, 0.3, 0.05))
    new_mean = mean * beta1 + rest1 * gradient
    new_square = square * beta2 + rest2 * (gradient * gradient)
    new_x = x - rate * new_mean / (np.sqrt(new_square) / correction + epsilon)
    given = gradient.copy()
    adam.adam_step(x, gradient, mean, square, rate, beta1, rest1, beta2, rest2, correction, epsilon)
    np.testing.assert_array_equal(mean, new_mean)
    np.testing.assert_array_equal(square, new_square)
    np.testing.assert_array_equal(x, new_x)
    np.testing.assert_array_equal(gradient, given)


def test_a_gradient_of_zero_moves_nothing():
    x, mean, square = np.array([3.0, -2.0]), np.zeros(2), np.zeros(2)
    adam.adam_step(x, np.zeros(2), mean, square, 0.1, 0.9, 0.1, 0.99, 0.01, 0.3, 1e-8)
    assert x.tolist() == [3, -2]
    assert mean.tolist() == square.tolist() == [0, 0]


def test_rows_without_a_gradient_are_skipped():
    x, mean, square = np.ones((4, 2)), np.ones((4, 2)), np.ones((4, 2))
    gradient, numbers = np.array([[0.0, 0.0], [0.0, 1.0]]), (0.5, 0.5, 0.5, 0.75, 0.25, 1.0, 1.0)
    adam.adam_rows(x, gradient, mean, square, np.array([3, 1]), *numbers)
    assert x[[0, 2, 3]].tolist() == mean[[0, 2, 3]].tolist() == square[[0, 2, 3]].tolist() == [[1, 1]] * 3
    assert mean[1].tolist() == [0.5, 1]
    assert square[1].tolist() == [0.75, 1]
    assert x[1].tolist() == [1 - 0.25 / (0.75**0.5 + 1), 0.75]
