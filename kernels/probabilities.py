"""Softmax and cross-entropy over the last axis: compiled code for large arrays, NumPy for others.

Compiled code takes one pass over memory. NumPy takes about five, and is slow for short rows.
"""

import numpy as np

from .backend import loaded
from .compiler import serving

# For fewer entries Numba need not be loaded. Networks with more have weights for which it is loaded anyway.
_SMALL = 256


def compiled(x):
    """Whether compiled code is used for rows of x, the last axis: for large floating arrays on the CPU."""
    return (type(x) is np.ndarray and x.size >= _SMALL and x.dtype.kind == "f" and x.dtype.isnative
            and x.itemsize in (4, 8) and serving() == "numba")


def softmax(x):
    """exp(x) / Σ exp(x) over the last axis, for an array x for which ``compiled(x)`` is true.

    >>> softmax(np.zeros((2, 2500)))[0, :3]
    array([0.0004, 0.0004, 0.0004])
    """
    x = _rows(x)
    out = np.empty_like(x)
    loaded("cpu.probabilities").softmax(x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1]))
    return out


def softmax_gradient(g, out):
    """The cotangent of x, from the cotangent g of ``out = softmax(x)``."""
    g, out = _rows(g), _rows(out)
    dx = np.empty_like(out)
    loaded("cpu.probabilities").softmax_gradient(*(array.reshape(-1, out.shape[-1]) for array in (g, out, dx)))
    return dx


def cross_entropy(scores, labels):
    """-log softmax(scores)[label], for scores (..., classes) and labels (...) from 0 to classes - 1.

    >>> cross_entropy(np.zeros((2, 2500)), np.array([0, 1])).round(3)
    array([7.824, 7.824])
    """
    scores, labels = _rows(scores), np.require(labels, np.int64, "CAW")
    out = np.empty(labels.shape, scores.dtype)
    loaded("cpu.probabilities").cross_entropy(scores.reshape(-1, scores.shape[-1]), labels.reshape(-1), out.reshape(-1))
    return out


def cross_entropy_gradient(g, scores, labels):
    """The cotangent of the scores, from the cotangent g (...) of the costs."""
    g, scores, labels = _rows(g), _rows(scores), np.require(labels, np.int64, "CAW")
    out = np.empty_like(scores)
    loaded("cpu.probabilities").cross_entropy_gradient(g.reshape(-1), scores.reshape(-1, scores.shape[-1]),
                                                 labels.reshape(-1), out.reshape(-1, scores.shape[-1]))
    return out


def _rows(x):
    """x if it is contiguous, and otherwise a copy."""
    flags = x.flags
    return x if flags.c_contiguous and flags.aligned and flags.writeable else x.copy(order="C")
