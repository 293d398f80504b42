"""Softmax and cross-entropy over the last axis, forward and backward, in one pass; `kernels.probabilities` calls them.

A row stays in the first cache while the loops go over it, and LLVM vectorises the loops. The functions of `elementary`
have neither calls nor branches, which vectorised loops may not contain.
"""

import math

from .elementary import exp, largest
from .jit import exact, kernel


@exact
def _cost(log_total, score, top):
    """The cost, in this order: log_total + top would lose the digits of log_total where top is large."""
    return log_total - (score - top)


@kernel
def softmax(x, out):
    """out[i] = exp(x[i]) / Σ exp(x[i]), for x (B, C) with C > 0."""
    for i in range(len(x)):
        top = largest(x[i])
        total = x.dtype.type(0)
        for c in range(x.shape[1]):
            out[i, c] = exp(x[i, c] - top)
            total += out[i, c]
        share = x.dtype.type(1) / total
        for c in range(x.shape[1]):
            out[i, c] *= share


@kernel
def softmax_gradient(g, out, dx):
    """dx[i] = out[i] · (g[i] − Σ g[i] · out[i]), for the result ``out`` of `softmax`."""
    for i in range(len(g)):
        total = g.dtype.type(0)
        for c in range(g.shape[1]):
            total += g[i, c] * out[i, c]
        for c in range(g.shape[1]):
            dx[i, c] = out[i, c] * (g[i, c] - total)


@kernel
def cross_entropy(scores, labels, out):
    """out[i] = log Σ exp(scores[i]) − scores[i, labels[i]], for scores (B, C) with C > 0 and labels within range."""
    for i in range(len(scores)):
        top = largest(scores[i])
        total = scores.dtype.type(0)
        for c in range(scores.shape[1]):
            total += exp(scores[i, c] - top)
        out[i] = _cost(math.log(total), scores[i, labels[i]], top)


@kernel
def cross_entropy_gradient(g, scores, labels, out):
    """out[i] = g[i] · (softmax(scores[i]) − the one-hot vector of labels[i])."""
    for i in range(len(scores)):
        top = largest(scores[i])
        total = scores.dtype.type(0)
        for c in range(scores.shape[1]):
            out[i, c] = exp(scores[i, c] - top)
            total += out[i, c]
        share = scores.dtype.type(1) / total
        correct = out[i, labels[i]] * share - scores.dtype.type(1)
        for c in range(scores.shape[1]):
            out[i, c] = g[i] * (out[i, c] * share)
        out[i, labels[i]] = g[i] * correct
