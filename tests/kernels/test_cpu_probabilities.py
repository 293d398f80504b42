"""The compiled loops of softmax and cross-entropy, compared with the formulas in double precision."""

import numpy as np
import pytest

from minigrad.kernels.cpu import probabilities


def example(dtype, rows=9, classes=21):
    rng = np.random.default_rng(0)
    scores = (20 * rng.standard_normal((rows, classes))).astype(dtype)
    scores[0] += 1000
    scores[1] -= 1000
    return scores, rng.integers(0, classes, rows), rng.standard_normal((rows, classes)).astype(dtype)


def exact(scores):
    """Probabilities and their logarithms in double precision."""
    logs = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    return np.exp(logs), logs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 10, 21, 64])
def test_softmax_and_its_gradient(dtype, classes):
    scores, _, g = example(dtype, classes=classes)
    p, _ = exact(scores)
    out, dx = np.empty_like(scores), np.empty_like(scores)
    probabilities.softmax(scores, out)
    close = {"rtol": 300 * np.finfo(dtype).eps, "atol": 1e-30}
    np.testing.assert_allclose(out, p, **close)
    probabilities.softmax_gradient(g, out, dx)
    np.testing.assert_allclose(dx, p * (g - (g * p).sum(axis=1, keepdims=True)), rtol=1e-3, atol=2 * close["rtol"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 10, 21, 64])
def test_cross_entropy_and_its_gradient(dtype, classes):
    scores, labels, g = example(dtype, classes=classes)
    p, logs = exact(scores)
    rows = np.arange(len(scores))
    out, gradient = np.empty(len(scores), dtype), np.empty_like(scores)
    probabilities.cross_entropy(scores, labels, out)
    np.testing.assert_allclose(out, -logs[rows, labels], rtol=4 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)
    p[rows, labels] -= 1
    probabilities.cross_entropy_gradient(g[:, 0], scores, labels, gradient)
    np.testing.assert_allclose(gradient, g[:, :1] * p, rtol=1e-3, atol=300 * np.finfo(dtype).eps)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_nan_and_the_others_are_not(bad):
    scores, labels, _ = example(np.float32)
    scores[4, 3] = bad
    out, costs = np.empty_like(scores), np.empty(len(scores), np.float32)
    probabilities.softmax(scores, out)
    probabilities.cross_entropy(scores, labels, costs)
    assert np.isnan(out).all(axis=1).tolist() == np.isnan(costs).tolist() == [i == 4 for i in range(len(scores))]
    assert not np.isnan(np.delete(out, 4, axis=0)).any()


def test_a_class_with_a_score_of_minus_infinity_has_probability_0():
    scores = np.array([[0.0, -np.inf, 0.0]])
    out = np.empty_like(scores)
    probabilities.softmax(scores, out)
    assert out.tolist() == [[0.5, 0.0, 0.5]]
