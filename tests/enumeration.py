"""Exact means and variances of rules, from every sample that their node can draw.

The uniforms are divided into cells.  Inside a cell, the rule's estimate is constant (or a polynomial).  Each row of a
batch gets the uniforms of one cell.  One backward pass then gives the estimates of all rows.  They are
weighted with the probabilities of their cells.
"""

from itertools import pairwise, product

import numpy as np

import minigrad as mg

A = np.array([[0, 1, -2], [0, 0, 1.5], [0, 0, 0]])
P = np.array([0.2, 0.5, 0.8])
LOGITS = np.log(P / (1 - P))
GRADIENT = np.array([-0.0561747, 0.5312630, 0.1744670])
QUARTERS = np.log([0.25 / 0.75, 1.0, 3.0])          # logits of 1/4, 1/2 and 3/4
LINE = np.array([1.5, -2.0, 0.5])                   # of a linear cost

close = np.testing.assert_allclose
EXACT = {"rtol": 1e-9, "atol": 1e-13}               # but for rounding


def coupled(b):
    """Problem B: three units whose cost is neither linear nor additive."""
    return mg.exp(((b @ A) * b).sum(axis=-1) / 2 + 0.3 * b.sum(axis=-1))


def shared(b):
    """Problem A: three bits with one logit among them."""
    return ((b - np.array([0.6, 0.51, 0.48])) ** 2).sum(axis=-1)


def toy(t):
    """The cost (b − t)², summed over units."""
    return lambda b: ((b - t) ** 2).sum(axis=-1)


def mixed_cost(b):
    """An exponential and a product of three units."""
    return mg.exp(b @ np.array([1.0, -0.5, 0.3])) + (b[:, 0] - 0.2) * (b[:, 1] - b[:, 2]) ** 2


class Chosen(mg.Generator):
    """A generator whose draws are chosen by the test."""

    def __init__(self, *draws):
        super().__init__(0)
        self.given = iter(draws)

    def uniform(self, shape, dtype=np.float64, event_ndim=1):
        return np.broadcast_to(next(self.given), shape).astype(dtype)


class Given(Chosen):
    """A node's uniforms, and the draws of its rule."""

    def __init__(self, u, *own):
        super().__init__(u)
        self.own = own

    def fork(self, *path):
        return Chosen(*self.own)


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


def every_sample_equally_often():
    """Uniforms of a batch in which each joint sample of the logits QUARTERS has the frequency of its probability."""
    return grid([cells(0.25, 0.5, 0.75)] * 3)[0]


def mirrored(logit):
    """The point where the mirrored uniform crosses σ(logit)."""
    return 1 - sigmoid(logit)


def ramp(logit, u, temperature):
    """σ((logit + L)/τ) and its slope by the logit, written with odds."""
    y = 1 / (1 + (np.exp(-logit) * u / (1 - u)) ** (1 / temperature))
    return y, y * (1 - y) / temperature


def estimates(rule, logits, cost, u, own=None, context=None):
    """The rule's estimate for each row of uniforms u (rows, units).  ``cost`` maps samples to (rows,).

    ``own`` is the list of the rule's own draws.  Without it, the rule draws from a generator with seed 0.
    """
    a = mg.tensor(np.broadcast_to(logits, u.shape), requires_grad=True)
    rng = Chosen(u) if own is None else Given(u, *own)
    mg.expected(cost(mg.bernoulli(a, rule, rng=rng, context=context))).backward()
    return a.grad * len(u)


def moments_of(found, probability):
    """Mean and variance of estimates, one in each row, with these probabilities."""
    mean = probability @ found
    return mean, probability @ (found - mean) ** 2


@mg.testing.frozen_memories()
def moments(rule, logits, cost, breaks=(), nodes=1):
    """Exact mean and variance of the estimate for each unit.

    ``breaks`` are functions from logits to probabilities at which the estimate jumps, besides σ.
    """
    logits = np.asarray(logits, float)
    partitions = [cells(sigmoid(x), *(f(x) for f in breaks), nodes=nodes) for x in logits]
    u, probability = grid(partitions)
    return moments_of(estimates(rule, logits, cost, u), probability)


@mg.testing.frozen_memories()
def enumerated(rule, logits, cost, draws=0, breaks=(), total=False):
    """Exact mean and variance of a rule that draws its node ``draws`` more times.

    ``breaks`` are as in ``moments``.  ``total`` adds the estimates of the units, for units that share a logit.
    """
    units = [cells(sigmoid(x), *(f(x) for f in breaks)) for x in logits]
    u, probability = grid(units * (1 + draws))
    first, *own = np.split(u, 1 + draws, axis=1)
    found = estimates(rule, logits, cost, first, own)
    return moments_of(found.sum(axis=1, keepdims=True) if total else found, probability)


@mg.testing.frozen_memories()
def integrated(rule, logits, cost, nodes=60, breaks=()):
    """Mean and variance by Gauss's rule on either side of σ(logit)."""
    u, probability = grid([cells(sigmoid(x), *breaks, nodes=nodes) for x in logits])
    return moments_of(estimates(rule, logits, cost, u), probability)


def truth(logits, cost):
    """The exact gradient of the expected cost of one sample."""
    a = mg.tensor(np.asarray(logits, float)[None], requires_grad=True)
    rule = mg.estimators.Stop()
    return mg.testing.exact_gradient(lambda: mg.expected(cost(mg.bernoulli(a, rule))), a)[0]
