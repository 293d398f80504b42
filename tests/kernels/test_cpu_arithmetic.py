"""Scalar arithmetic compiled: rounded as in NumPy, and numbers taken apart into their bits."""

import numpy as np

from minigrad.kernels import noise
from minigrad.kernels.cpu import arithmetic
from minigrad.kernels.cpu.jit import exact


@exact
def bits_of(x):
    return arithmetic.to_bits(x)


@exact
def number_of(bits):
    return arithmetic.from_bits(bits)


@exact
def product_and_sum(a, b, c):
    return arithmetic.product(a, b) + c


def test_bits_of_numbers():
    for x in (1.0, -0.0, 0.1, -1e300, 5e-324, np.inf):
        bits = np.float64(x).view(np.int64)
        assert bits_of(x) == bits
        assert np.float64(number_of(bits)).view(np.int64) == bits


def test_a_product_is_rounded_before_it_is_added():
    """(1 + 2⁻³⁰)² − 1 − 2⁻²⁹ is 2⁻⁶⁰, which the rounded product has lost."""
    x = 1 + 2.0**-30
    assert product_and_sum(x, x, -1 - 2.0**-29) == 0


def test_polynomials_have_the_bits_of_numpy():
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=1000)
    assert [arithmetic.polynomial(x, (2.0, 3.0, 5.0)) for x in (0.0, 1.0, 10.0)] == [5, 10, 235]
    for coefficients in (noise.CENTRE_TOP, noise.ATANH):
        found = [arithmetic.polynomial(value, coefficients) for value in x]
        np.testing.assert_array_equal(found, noise.polynomial(x, coefficients))
