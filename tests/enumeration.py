"""Real rules driven over every sample that their node can draw: exact means and variances.

Each row of a batch is given uniforms of our choice, one row for each cell of a partition of the
uniforms within which the rule's estimate is constant (or a polynomial).  One backward pass then shows
the estimates of all rows, which are weighed with the probabilities of their cells.
"""

from itertools import pairwise, product

import numpy as np

import minigrad as mg

A = np.array([[0, 1, -2], [0, 0, 1.5], [0, 0, 0]])
P = np.array([0.2, 0.5, 0.8])
LOGITS = np.log(P / (1 - P))
GRADIENT = np.array([-0.0561747, 0.5312630, 0.1744670])


def coupled(b):
    """Problem B: three units whose cost is neither linear nor additive."""
    return mg.exp(((b @ A) * b).sum(axis=-1) / 2 + 0.3 * b.sum(axis=-1))


class Chosen(mg.Generator):
    """A generator whose draws are given."""

    def __init__(self, *draws):
        super().__init__(0)
        self.given = iter(draws)

    def uniform(self, shape, dtype=np.float64, event_ndim=1):
        return np.broadcast_to(next(self.given), shape).astype(dtype)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def cells(*breaks, nodes=1):
    """(u, probability) for the pieces into which ``breaks`` cut [0, 1], by Gauss's rule on each."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    edges = np.array([0.0, *sorted(breaks), 1.0])
    return [(low + (high - low) * (1 + x) / 2, (high - low) * w / 2)
            for low, high in pairwise(edges) if high > low
            for x, w in zip(points, weights, strict=True)]


def grid(partitions):
    """All combinations of the units' cells: uniforms (rows, units) and probabilities (rows,)."""
    rows = list(product(*partitions))
    return (np.array([[u for u, _ in row] for row in rows]),
            np.array([np.prod([weight for _, weight in row]) for row in rows]))


def estimates(rule, logits, cost, u, context=None):
    """The rule's estimate for each row of uniforms u (rows, units); cost maps samples to (rows,)."""
    a = mg.tensor(np.broadcast_to(logits, u.shape), requires_grad=True)
    mg.expected(cost(mg.bernoulli(a, rule, rng=Chosen(u), context=context))).backward()
    return a.grad * len(u)


@mg.testing.frozen_memories()
def moments(rule, logits, cost, breaks=(), nodes=1):
    """Exact mean and variance of the estimate for each unit.

    ``breaks`` are functions from logits to probabilities at which the estimate jumps, besides σ.
    """
    logits = np.asarray(logits, float)
    partitions = [cells(sigmoid(x), *(f(x) for f in breaks), nodes=nodes) for x in logits]
    u, probability = grid(partitions)
    found = estimates(rule, logits, cost, u)
    mean = probability @ found
    return mean, probability @ (found - mean) ** 2


def truth(logits, cost):
    """The exact gradient of the expected cost of one sample."""
    a = mg.tensor(np.asarray(logits, float)[None], requires_grad=True)
    rule = mg.estimators.Stop()
    return mg.testing.exact_gradient(lambda: mg.expected(cost(mg.bernoulli(a, rule))), a)[0]
