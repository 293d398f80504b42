"""Compiled softmax and cross-entropy for any shape and strides, and which arrays use the compiled code."""

import numpy as np
import pytest

from minigrad.kernels import probabilities
from minigrad.kernels.compiler import serving

numba = pytest.mark.skipif(serving() != "numba", reason="needs compiled kernels")


def test_what_is_compiled():
    large = np.ones((50, 6))
    assert probabilities.compiled(large) == (serving() == "numba")
    assert not probabilities.compiled(large[:40])
    assert not probabilities.compiled(large.astype(int))
    assert not probabilities.compiled(large.astype(">f8"))


@numba
@pytest.mark.parametrize("layout", ["C", "transposed", "broadcast"])
def test_shapes_and_strides(layout):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 20, 30, 10))
    labels, costs = rng.integers(0, 10, (20, 30)).astype(np.int8), rng.standard_normal((20, 30))
    if layout == "transposed":
        x, g, labels, costs = (np.asfortranarray(array) for array in (x, g, labels, costs))
    if layout == "broadcast":
        x, g = (np.broadcast_to(array[:1], array.shape) for array in (x, g))
        labels, costs = (np.broadcast_to(array[:, :1], array.shape) for array in (labels, costs))
    before = x.copy()
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    out = probabilities.softmax(x)
    np.testing.assert_allclose(out, p, rtol=1e-13)
    np.testing.assert_allclose(probabilities.softmax_gradient(g, out),
                               p * (g - (g * p).sum(axis=-1, keepdims=True)), rtol=1e-11, atol=1e-14)
    chosen = np.take_along_axis(p, labels[..., None].astype(int), axis=-1)[..., 0]
    np.testing.assert_allclose(probabilities.cross_entropy(x, labels), -np.log(chosen), rtol=1e-13)
    np.testing.assert_allclose(probabilities.cross_entropy_gradient(costs, x, labels),
                               costs[..., None] * (p - (np.arange(10) == labels[..., None])), rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(x, before)
