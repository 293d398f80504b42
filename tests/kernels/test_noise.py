"""Normal and logistic numbers in NumPy: the quantile of every word, and the moments of these quantiles."""

import numpy as np
import pytest
from scipy import special

from minigrad.kernels import noise, philox, philox_logistics, philox_normals


def words():
    """Words of all sizes: at both ends, in the middle, and where the formulas change."""
    numbers = np.random.default_rng(0)
    near = np.arange(-300, 301)
    places = (0, 2**31, 2**32, *np.round(2.0**32 * (0.5 + noise.CENTRE * np.array([-1, 1]))).astype(int))
    found = [numbers.integers(0, 2**32, 200_000), (2 ** numbers.uniform(0, 32, 50_000)).astype(np.int64)]
    found = np.concatenate([*found, *(place + near for place in places)])
    found = found[(found >= 0) & (found < 2**32)]
    return np.unique(np.concatenate([found, 2**32 - 1 - found]))


WORDS = words()
U = (WORDS + 0.5) * 2.0**-32


def test_the_logarithm():
    numbers = np.random.default_rng(1)
    powers = 2.0 ** np.arange(-40, 41)
    x = np.concatenate([powers, noise.ROOT_HALF * powers, np.nextafter(noise.ROOT_HALF, 0) * powers,
                        2.0 ** numbers.uniform(-40, 40, 50_000), 1 + numbers.normal(0, 1e-3, 50_000), U])
    np.testing.assert_allclose(noise.logarithm(x), np.log(x), rtol=6e-16, atol=0)
    assert noise.logarithm(np.ones(1)) == 0


def test_normal_numbers_are_the_quantiles():
    z = noise.normal(U)
    np.testing.assert_allclose(z, special.ndtri(U), rtol=1.5e-15, atol=0)
    assert (np.diff(z) > 0).all()
    np.testing.assert_array_equal(z, -z[::-1])          # the other sign for the word with all bits inverted
    assert 6.337 < z.max() < 6.339


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1, 1.4394, 1.4396, 2, 3, 4, 5, 5.5, 6, 6.2])
def test_of_all_words_as_many_are_in_a_tail_as_is_probable(threshold):
    """The number of words below -threshold, by bisection: the map is monotone. It is Φ 2³², rounded."""
    low, high = 0, 2**32
    while low < high:
        middle = (low + high) // 2
        below = noise.normal(np.array([(middle + 0.5) * 2.0**-32]))[0] < -threshold
        low, high = (middle + 1, high) if below else (low, middle)
    assert low == round(special.ndtr(-threshold) * 2.0**32)


@pytest.mark.parametrize(("power", "moment"), [(2, 1), (4, 3), (6, 15)])
def test_moments_of_all_words(power, moment):
    """By Gauss's rule on each octave of u, down to the smallest word. Odd moments are 0 by symmetry."""
    x, weights = np.polynomial.legendre.leggauss(30)
    edges = 2.0 ** -np.arange(1, 34)
    high, low = edges[:-1, None], edges[1:, None]
    z = noise.normal((high + low) / 2 + (high - low) / 2 * x)
    found = 2 * ((high - low) / 2 * weights * z**power).sum()
    missing = 2 * edges[-1] * special.ndtri(edges[-1]) ** power         # below the smallest word, but for a factor
    assert moment - 3 * missing < found < moment


def test_logistic_numbers_are_the_quantiles():
    z = noise.logistic(U)
    exact = np.log(U) - np.log1p(-U)
    np.testing.assert_allclose(z, exact, rtol=6e-16, atol=2.5e-16)
    assert (np.diff(z) > 0).all()


@pytest.mark.parametrize(("draw", "quantile"), [(philox_normals, noise.normal), (philox_logistics, noise.logistic)])
def test_a_number_is_that_of_its_uniform_number(draw, quantile):
    counter = 2**64 - 3, 1, 2, 3
    u = np.empty((5, 7))
    philox.uniforms(*counter, u)
    found = draw(*counter, (5, 7))
    np.testing.assert_array_equal(found, quantile(u))
    np.testing.assert_array_equal(found[2:, :6], draw(*counter[:3], 5, (3, 6)))
    narrow = draw(*counter, (5, 7), np.float32)
    assert narrow.dtype == np.float32
    np.testing.assert_array_equal(narrow, found.astype(np.float32))


@pytest.mark.parametrize("draw", [philox_normals, philox_logistics])
def test_bad_arguments(draw):
    with pytest.raises(ValueError, match="seed: expected"):
        draw(-1, 0, 0, 0, (2, 2))
    with pytest.raises(ValueError, match="another stream"):
        draw(0, 0, 0, 2**32 - 1, (2, 2))
    with pytest.raises(TypeError, match="float32 or float64"):
        draw(0, 0, 0, 0, (2, 2), np.float16)
