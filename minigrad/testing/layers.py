"""Two layers of binary units: the problem whose table ``examine`` prints, and what most checks look at."""

from copy import deepcopy

import numpy as np

from minigrad import ops, random
from minigrad.graph import Evaluation
from minigrad.objective import expected
from minigrad.rule import frozen_memories
from minigrad.stochastic import bernoulli
from minigrad.tensor import tensor
from minigrad.testing.moments import Problem, moments_of

ROWS, UNITS = 4, 2
COPIES = 25_000     # of the batch, as the samples where noise is not finite
WARM_UP = 3         # updates before memories are frozen

# A rule may evaluate the cost many times in one estimate.  Then less is tried, so that it takes no minutes.
MOST_EVALUATIONS = 25_000       # for exact moments
MANY, FEWER_STATES = 100, 2     # evaluations in one estimate, from which on noise is compared in so many states
ROWS_OF_WORK = 2_000            # an evaluation of so many rows takes twice the time of one of few rows
LEAST = 100                     # samples, however long they take


class Layers:
    """Two layers of binary units, the second fed by the first, and weighted costs that look at both.

    Parameters
    ----------
    rule : copied for each layer.
    extreme : logits of ± this size in both layers, one sign or both in a row.
    copies : of the batch of four, one after the other; parameters are copied along with their row, so
        each copy of the batch gives an estimate of its own.
    """

    def __init__(self, rule, dtype=np.float64, copies=1, extreme=0):
        numbers = np.random.default_rng(8)
        self.rules = [deepcopy(rule), deepcopy(rule)]
        logits = numbers.normal(size=(ROWS, UNITS))
        weight = numbers.normal(size=(ROWS, UNITS, UNITS))
        if extreme:
            logits = extreme * np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])
            weight = extreme * np.array([2 * [[0.5, 0.5]], 2 * [[0, 0]], 2 * [[1, -1]], 2 * [[-1, -1]]])
        self.params = {name: tensor(np.tile(x, (copies,) + (1,) * (x.ndim - 1)), requires_grad=True, dtype=dtype)
                       for name, x in [("logits", logits), ("weight", weight)]}
        share = np.tile([0.5, 1.0, 2.0, 0.25], copies)
        self.share = share.astype(dtype)

    def loss(self, rng, rows=slice(None), between=lambda b: b):
        """The loss of some of the rows, whose samples pass through ``between``; no rule learns from it."""
        with frozen_memories():
            return self.lesson(rng, rows, between)

    def lesson(self, rng, rows=slice(None), between=lambda b: b):
        """The same, for rules to learn from."""
        logits, weight = (p[rows] for p in self.params.values())
        share = self.share[rows]
        first = between(bernoulli(logits, self.rules[0], rng=rng, name="first", context=share[:, None]))
        activation = (first.reshape(len(share), UNITS, 1) * weight).sum(axis=1) - 0.25
        second = between(bernoulli(activation, self.rules[1], rng=rng, name="second", context=share[:, None]))
        # Curved in each unit, with products between units and layers: no estimator is exact by luck.
        errors = ops.exp(0.5 * second[:, 0] + second[:, 1] * first[:, 0]) + (second[:, 1] - 0.3) ** 2
        return 0.75 * expected(errors * share) + 0.5 * expected(first[:, 1] * second[:, 0] - (first[:, 0] - 0.4) ** 2)

    def warm(self, updates=WARM_UP):
        """Fill the memories of the rules with a few updates."""
        for step in range(updates):
            self.gradients(self.lesson(random.Generator(100 + step)))
            for rule in self.rules:
                rule.update()
        return self

    def gradients(self, loss):
        """A gradient for each parameter."""
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        found = evaluation.backward(list(self.params.values()))
        self.evaluations = 1 + evaluation.shared.replays
        return [found.get(p, np.zeros(p.shape, p.dtype)) for p in self.params.values()]


class Certificate(Problem):
    """The layers as a problem whose samples are drawn all at once, as copies of the batch."""

    most_evaluations = MOST_EVALUATIONS

    def __init__(self, rule):
        self.layers = Layers(rule).warm()
        super().__init__(self.layers.loss, self.layers.params)

    def moments(self, groups, samples, seed):
        _, made = self.estimate(random.Generator(seed))
        if made > MANY:
            self.states = FEWER_STATES
        return super().moments(groups, samples, seed)

    def sampled_moments(self, samples, seed):
        _, made = self.estimate(random.Generator(seed))
        if not self.independent(ROWS, seed):        # copies would get in each other's way
            return super().sampled_moments(max(min(samples, MOST_EVALUATIONS // made), LEAST), seed)
        copies = max(min(COPIES, int(ROWS_OF_WORK / ROWS * (MOST_EVALUATIONS / 2 / made - 1))), LEAST)
        many = Layers(self.layers.rules[0], copies=copies)
        many.rules = self.layers.rules
        gradients = many.gradients(many.loss(random.Generator(seed)))
        estimates = np.concatenate([g.reshape(copies, -1) for g in gradients], axis=1) * copies
        if not np.isfinite(estimates).all():
            raise AssertionError("not finite: an estimate of the certificate is NaN or infinite")
        return moments_of(estimates, many.evaluations)
