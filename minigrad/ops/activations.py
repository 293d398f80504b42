"""Activations, and the costs that are made of them."""

import numpy as np

from minigrad.kernels.deferred import require
from minigrad.ops.alternatives import by_example, elementwise, over_axes
from minigrad.ops.elementwise import exp
from minigrad.ops.errors import misfit
from minigrad.ops.indexing import one_hot
from minigrad.ops.primitive import primitive, where_not_zero
from minigrad.ops.reductions import largest, sum
from minigrad.ops.shaping import expand_dims

__all__ = [
    "binary_cross_entropy", "cross_entropy", "log_sigmoid", "log_softmax", "relu", "sigmoid", "softmax",
    "softplus",
]


@primitive(integers=True)
def relu(x):
    """The rectifier, max(x, 0), whose derivative at 0 is taken to be 0."""
    return np.maximum(x, 0)


relu.vjps(lambda g, out, x: g * (x > 0))
relu.demand = where_not_zero


@primitive
def sigmoid(x):
    """The logistic function σ(x) = 1 / (1 + exp(-x)), exact at both ends."""
    small = np.exp(-np.abs(x))              # never overflows
    return np.where(np.greater_equal(x, 0), 1, small) / (1 + small)


sigmoid.vjps(lambda g, out, x: g * out * (1 - out))


@primitive
def softplus(x):
    """log(1 + exp(x)), which is close to max(x, 0)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


softplus.vjps(lambda g, out, x: g * sigmoid(x))


@primitive
def log_sigmoid(x):
    """log σ(x) = -log(1 + exp(-x)): the log-probability of a 1 with logit x."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


log_sigmoid.vjps(lambda g, out, x: g * sigmoid(-x))


@primitive
def softmax(x, axis=-1):
    """exp(x) / Σ exp(x) over ``axis``, an int or a tuple."""
    small = np.exp(x - largest(x, axis))
    return small / np.sum(small, axis=axis, keepdims=True)


softmax.vjps(lambda g, out, x, axis=-1: out * (g - sum(g * out, axis=axis, keepdims=True)))


@primitive
def log_softmax(x, axis=-1):
    """x - log Σ exp(x) over ``axis``, an int or a tuple: the log-probabilities of classes with scores x."""
    x = x - largest(x, axis)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


log_softmax.vjps(lambda g, out, x, axis=-1: g - exp(out) * sum(g, axis=axis, keepdims=True))


@primitive
def cross_entropy(scores, labels):
    """-log softmax(scores)[label], one cost per example.

    Parameters
    ----------
    scores : (..., classes), real.
    labels : (...), integers from 0 to classes - 1.

    Raises
    ------
    TypeError
        Labels that are not an array of integers.
    ValueError
        Shapes that do not fit, or a label out of range.

    >>> cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    array([6.93147181e-01, 1.00000000e+03])
    """
    if getattr(labels, "dtype", np.dtype(object)).kind not in "iu":
        raise TypeError("cross_entropy: expected labels as an array of integers, got "
                        f"{getattr(labels, 'dtype', type(labels).__name__)}. Use np.array(labels, dtype=int)")
    if scores.ndim == 0 or labels.shape != scores.shape[:-1]:
        raise misfit("cross_entropy", "scores (..., classes) and labels (...), one for each example",
                     "The classes are the last axis.", scores=scores, labels=labels)
    classes = scores.shape[-1]
    if labels.size:
        low, high = labels.min(), labels.max()
        require((low >= 0) & (high < classes), lambda: ValueError(
            f"cross_entropy: expected labels from 0 to {classes - 1}, got {low} to {high}. "
            f"scores has {classes} columns, one per class"))
    scores = scores - largest(scores, -1)
    chosen = np.take_along_axis(scores, np.expand_dims(labels, -1), axis=-1)
    return np.log(np.sum(np.exp(scores), axis=-1)) - np.squeeze(chosen, -1)


def slope_of_cross_entropy(g, out, scores, labels):
    """g · (softmax(scores) - one_hot(labels))."""
    correct = one_hot(labels, classes=scores.shape[-1], dtype=scores.dtype)
    return expand_dims(g, -1) * (softmax(scores) - correct)


cross_entropy.vjps(slope_of_cross_entropy, None)
cross_entropy.carries = by_example


@primitive
def binary_cross_entropy(logits, targets):
    """-targets · log σ(logits) - (1 - targets) · log(1 - σ(logits)), entry by entry.

    ``targets`` are probabilities, mostly 0 or 1.

    Raises
    ------
    ValueError
        Targets outside [0, 1].
    """
    if np.size(targets):
        low, high = np.min(targets), np.max(targets)
        require((low >= 0) & (high <= 1), lambda: ValueError(
            f"binary_cross_entropy: expected targets in [0, 1], got {low} to {high}. Divide pixels by 255"))
    return np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))


binary_cross_entropy.vjps(lambda g, out, logits, targets: g * (sigmoid(logits) - targets),
                          lambda g, out, logits, targets: -g * logits)


for function in (relu, sigmoid, softplus, log_sigmoid, binary_cross_entropy):
    function.carries = elementwise
for function in (softmax, log_softmax):
    function.carries = over_axes
