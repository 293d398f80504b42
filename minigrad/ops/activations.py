"""Activation functions and loss functions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import described
from minigrad.kernels import Packed, probabilities
from minigrad.kernels.device.arrays import is_array
from minigrad.kernels.device.deferred import require
from minigrad.ops.alternatives import by_example
from minigrad.ops.arithmetic import as_scalar, astype, exp, square, subtract
from minigrad.ops.errors import shape_error
from minigrad.ops.indexing import one_hot
from minigrad.ops.logic import equal, where
from minigrad.ops.packed import where_not_zero
from minigrad.ops.primitives import along_axes, elementwise, primitive
from minigrad.ops.reductions import largest, mean, sum
from minigrad.ops.shaping import expand_dims
from minigrad.ops.special import ndtr

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = [
    "binary_cross_entropy", "cross_entropy", "elu", "gelu", "leaky_relu", "log_sigmoid", "log_softmax", "logaddexp",
    "mse", "relu", "sigmoid", "silu", "softmax", "softplus",
]


@elementwise(integers=True, demand=where_not_zero)
def relu(x: Operand) -> Result:
    """The rectifier, max(x, 0).  Its derivative at 0 is defined as 0."""
    return np.maximum(x, 0)


relu.vjps(lambda g, out, x: g * (x > 0))


@elementwise
def leaky_relu(x: Operand, slope: float = 0.01) -> Result:
    """x where it is positive, and slope · x elsewhere, for a number ``slope``.  The derivative at 0 is ``slope``.

    Source: Maas, Hannun & Ng (2013).
    """
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


leaky_relu.vjps(lambda g, out, x, slope=0.01: where(x > 0, g, slope * g))


@elementwise
def elu(x: Operand, alpha: float = 1.0) -> Result:
    """x where it is positive, and alpha · (exp(x) - 1) elsewhere, for a number ``alpha``.

    At 0 the derivatives are those of the left side.

    Source: Clevert, Unterthiner & Hochreiter (2016).
    """
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))


elu.vjps(lambda g, out, x, alpha=1.0: where(x > 0, g, alpha * g * exp(where(x > 0, 0, x))))


@elementwise
def silu(x: Operand) -> Result:
    """x · σ(x), also called swish.

    Source: Hendrycks & Gimpel (2016); Elfwing, Uchibe & Doya (2018).
    """
    return x.map(silu.forward) if isinstance(x, Packed) else x * sigmoid(x)


def silu_vjp(g, out, x):
    share = sigmoid(x)
    return g * share * (1 + x * (1 - share))


silu.vjps(silu_vjp)


@elementwise
def gelu(x: Operand, approximate: str = "none") -> Result:
    """x · Φ(x), with Φ the distribution function of the standard normal.

    Parameters
    ----------
    approximate : "none" for the exact function.  "tanh" for x · (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2, an
        approximation that many published networks use.

    Source: Hendrycks & Gimpel (2016).

    >>> gelu(np.array([-1.0, 1.0])), gelu(np.array([-1.0, 1.0]), approximate="tanh")
    (array([-0.15865525,  0.84134475]), array([-0.15880801,  0.84119199]))
    """
    if isinstance(x, Packed):
        return x.map(lambda values: gelu.forward(values, approximate))
    return x * gelu_factor(x, approximate)[0]


def gelu_factor(x, approximate):
    """The factor of x in ``gelu``, and its derivative."""
    if approximate == "none":
        return ndtr(x), exp(-square(x) / 2) / math.sqrt(2 * math.pi)
    if approximate == "tanh":
        # (1 + tanh u) / 2 = σ(2u), which is exact in the left tail
        scale = 2 * math.sqrt(2 / math.pi)
        out = sigmoid(scale * (x + 0.044715 * x * square(x)))
        return out, out * (1 - out) * (scale * (1 + 3 * 0.044715 * square(x)))
    raise ValueError(f"gelu: expected approximate='none' or 'tanh', got {approximate!r}")


def gelu_vjp(g, out, x, approximate="none"):
    factor, slope = gelu_factor(x, approximate)
    return g * (factor + x * slope)


gelu.vjps(gelu_vjp)


@elementwise
def sigmoid(x: Operand) -> Result:
    """The logistic function σ(x) = 1 / (1 + exp(-x)), accurate for large positive and negative x."""
    small = np.exp(-np.abs(x))              # never overflows
    return np.where(np.greater_equal(x, 0), 1, small) / (1 + small)


sigmoid.vjps(lambda g, out, x: g * out * (1 - out))


@elementwise
def softplus(x: Operand) -> Result:
    """log(1 + exp(x)), a smooth version of max(x, 0)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


softplus.vjps(lambda g, out, x: g * sigmoid(x))


@elementwise
def logaddexp(x: Operand, y: Operand) -> Result:
    """log(exp(x) + exp(y)), computed without overflow.  Where x and y are both -inf, the derivatives are 0.

    >>> logaddexp(np.array([1000.0, 0.0]), np.array([1000.0, -np.inf]))
    array([1000.69314718,    0.        ])
    """
    return np.logaddexp(x, y)


def logaddexp_vjp(g, out, x, y):
    """g · exp(x) / (exp(x) + exp(y))."""
    return g * sigmoid(x - where(equal(out, -np.inf), 0, as_scalar(y, g.dtype)))


logaddexp.vjps(logaddexp_vjp, lambda g, out, x, y: logaddexp_vjp(g, out, y, x))


@elementwise
def log_sigmoid(x: Operand) -> Result:
    """log σ(x) = -log(1 + exp(-x)): the log-probability of a 1 if the logit is x."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


log_sigmoid.vjps(lambda g, out, x: g * sigmoid(-x))


@along_axes
def softmax(x: Operand, axis: int | tuple[int, ...] = -1) -> Result:
    """exp(x) / Σ exp(x).  The sum is over ``axis``, an int or a tuple."""
    if probabilities.compiled(x) and axis in (-1, x.ndim - 1):
        return probabilities.softmax(x)
    small = np.exp(x - largest(x, axis))
    return small / small.sum(axis=axis, keepdims=True)


def softmax_vjp(g, out, x, axis=-1):
    if type(g) is not np.ndarray:
        return out * (g - sum(g * out, axis=axis, keepdims=True))
    if probabilities.compiled(out) and axis in (-1, out.ndim - 1):
        return probabilities.softmax_gradient(g, out)
    return out * (g - (g * out).sum(axis=axis, keepdims=True))


softmax.vjps(softmax_vjp)


@along_axes
def log_softmax(x: Operand, axis: int | tuple[int, ...] = -1) -> Result:
    """x - log Σ exp(x): log-probabilities of classes with scores x.  The sum is over ``axis``, an int or a tuple."""
    x = x - largest(x, axis)
    return x - np.log(np.sum(np.exp(x), axis=axis, keepdims=True))


log_softmax.vjps(lambda g, out, x, axis=-1: g - exp(out) * sum(g, axis=axis, keepdims=True))


@primitive(batching=by_example)
def cross_entropy(scores: Operand, labels: Operand) -> Result:
    """-log softmax(scores)[label], one cost per example.

    Parameters
    ----------
    scores : (..., classes), real.
    labels : (...), integers from 0 to classes - 1.

    Raises
    ------
    TypeError
        ``labels`` is not an array of integers.
    ValueError
        The shapes do not fit, or a label is out of range.

    >>> cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))
    array([6.93147181e-01, 1.00000000e+03])
    """
    if not is_array(labels) or labels.dtype.kind not in "iu":
        got = getattr(labels, "dtype", None) if is_array(labels) else described(labels)
        remedy = ("labels.argmax(axis=-1) if they are one-hot, else np.array(labels, dtype=int)"
                  if labels_are_scores(scores, labels) else "np.array(labels, dtype=int)")
        raise TypeError(f"cross_entropy: expected labels as an array of integers, got {got}. Use {remedy}")
    if labels_are_scores(scores, labels):
        raise ValueError(f"cross_entropy: expected one label for each example, got labels of the shape of the scores "
                         f"{scores.shape}. Use labels.argmax(axis=-1) if they are one-hot")
    if scores.ndim == 0 or labels.shape != scores.shape[:-1]:
        raise shape_error("cross_entropy", "scores (..., classes) and labels (...), one for each example",
                          "The classes are the last axis.", scores=scores, labels=labels)
    classes = scores.shape[-1]
    if labels.size:
        low, high = labels.min(), labels.max()
        require((low >= 0) & (high < classes), lambda: ValueError(
            f"cross_entropy: expected labels from 0 to {classes - 1}, got {low} to {high}. "
            f"scores has {classes} columns, one per class"))
    if probabilities.compiled(scores):
        return probabilities.cross_entropy(scores, labels)
    scores = scores - largest(scores, -1)
    chosen = np.take_along_axis(scores, np.expand_dims(labels, -1), axis=-1)
    return np.log(np.sum(np.exp(scores), axis=-1)) - np.squeeze(chosen, -1)


def labels_are_scores(scores, labels):
    """Whether labels have the shape of the scores, as one-hot labels have."""
    shape = getattr(labels, "shape", None)
    return shape is not None and len(shape) > 0 and tuple(shape) == tuple(getattr(scores, "shape", ()))


def cross_entropy_vjp(g, out, scores, labels):
    """g · (softmax(scores) - one_hot(labels))."""
    if type(g) is np.ndarray and probabilities.compiled(scores):
        return probabilities.cross_entropy_gradient(g, scores, labels)
    correct = one_hot(labels, classes=scores.shape[-1], dtype=scores.dtype)
    return expand_dims(g, -1) * (softmax(scores) - correct)


cross_entropy.vjps(cross_entropy_vjp, None)


@elementwise
def binary_cross_entropy(logits: Operand, targets: Operand) -> Result:
    """-targets · log σ(logits) - (1 - targets) · log(1 - σ(logits)), entry by entry.

    ``targets`` are probabilities.  They are often 0 or 1.

    Raises
    ------
    ValueError
        A target is outside [0, 1], or the targets do not broadcast to the shape of the logits.
    """
    if np.ndim(targets) and np.broadcast_shapes(np.shape(logits), np.shape(targets)) != np.shape(logits):
        raise shape_error("binary_cross_entropy", "targets of the shape of the logits, or that broadcast to it",
                          "Reshape them. Note that (n, 1) and (n,) broadcast to (n, n).", logits=logits,
                          targets=targets)
    if np.size(targets):
        low, high = np.min(targets), np.max(targets)
        require((low >= 0) & (high <= 1), lambda: ValueError(
            f"binary_cross_entropy: expected targets in [0, 1], got {low} to {high}. Divide pixels by 255"))
    return np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))


binary_cross_entropy.vjps(lambda g, out, logits, targets: g * (sigmoid(logits) - targets),
                          lambda g, out, logits, targets: -g * logits)


def mse(x: Operand, targets: Operand, axis: int | tuple[int, ...] | None = None) -> Result:
    """Mean of (x - targets)² over ``axis``.

    For one cost per example, use axis=-1, for example.

    Parameters
    ----------
    x : real.
    targets : an array of the same shape as x.  Other shapes raise an error, even if they broadcast: (B, 1) and (B,)
        would give (B, B) differences.
    axis : int, tuple of ints, or None for all axes.

    >>> mse(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [3.0, 4.0]]), axis=-1)
    array([2., 0.])
    """
    if x.shape != targets.shape:
        raise shape_error("mse", "x and targets of one shape",
                          "Reshape one of them, or broadcast it with mg.broadcast_to.", x=x, targets=targets)
    if x.dtype.kind != "f" and targets.dtype.kind != "f":       # differences of small integers can overflow
        x = astype(x, np.float64)
    return mean(square(subtract(x, targets)), axis=axis)
