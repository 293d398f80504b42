"""Two layers of binary units: the problem of most checks, and of the table that ``examine`` prints."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops, random
from minigrad.graph import Evaluation
from minigrad.objective import expected
from minigrad.rule import frozen_memories
from minigrad.stochastic import bernoulli
from minigrad.tensor import tensor
from minigrad.testing.moments import Moments, Problem, moments_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array, DTypeLike
    from minigrad.rule import Estimator
    from minigrad.tensor import Tensor

ROWS, UNITS = 4, 2
COPIES = 25_000     # copies of the batch, which are the samples if the noise cannot be enumerated
WARM_UP = 3         # updates of the memories before they are frozen

# A rule may evaluate the cost many times in one estimate.  Then less is tried, so that it takes no minutes.
MOST_EVALUATIONS = 25_000       # for exact moments
MANY, FEWER_STATES = 100, 2     # evaluations in one estimate, from which on noise is compared in so many states
ROWS_OF_WORK = 2_000            # an evaluation of so many rows takes twice the time of one of few rows
LEAST = 100                     # samples, however long they take


class Layers:
    """Two layers of binary units, and weighted costs of both.  The first layer is the input of the second.

    Parameters
    ----------
    rule : the rule; each layer gets a copy.
    dtype : float32 or float64.
    copies : number of copies of the batch of four rows.  The parameters are copied too, so each copy of the batch gives
        a separate estimate.
    extreme : the absolute value of all logits of both layers; 0 for random logits.
    """

    def __init__(self, rule: Estimator, dtype: DTypeLike = np.float64, copies: int = 1, extreme: float = 0) -> None:
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

    def loss(self, rng: random.Generator, rows: Any = slice(None),
             between: Callable[[Tensor], Any] = lambda b: b) -> Tensor:
        """The loss of some rows.  ``between`` is applied to the samples.  No rule learns from this loss."""
        with frozen_memories():
            return self.lesson(rng, rows, between)

    def lesson(self, rng: random.Generator, rows: Any = slice(None),
               between: Callable[[Tensor], Any] = lambda b: b) -> Tensor:
        """The same loss, from which rules learn."""
        logits, weight = (p[rows] for p in self.params.values())
        share = self.share[rows]
        first = between(bernoulli(logits, self.rules[0], rng=rng, name="first", context=share[:, None]))
        activation = (first.reshape(len(share), UNITS, 1) * weight).sum(axis=1) - 0.25
        second = between(bernoulli(activation, self.rules[1], rng=rng, name="second", context=share[:, None]))
        # Not linear in any unit, with products of units and of layers.  So no wrong estimator is exact by chance.
        errors = ops.exp(0.5 * second[:, 0] + second[:, 1] * first[:, 0]) + (second[:, 1] - 0.3) ** 2
        return 0.75 * expected(errors * share) + 0.5 * expected(first[:, 1] * second[:, 0] - (first[:, 0] - 0.4) ** 2)

    def warm(self, updates: int = WARM_UP) -> Layers:
        """Let the rules learn for a few updates.  Returns the layers."""
        for step in range(updates):
            self.gradients(self.lesson(random.Generator(100 + step)))
            for rule in self.rules:
                rule.update()
        return self

    def gradients(self, loss: Tensor) -> list[Array]:
        """The gradient of each parameter.  The number of evaluations of the cost is kept in ``evaluations``."""
        evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        gradients = evaluation.backward(list(self.params.values()))
        self.evaluations = 1 + evaluation.shared.replays
        return [gradients.get(p, np.zeros(p.shape, p.dtype)) for p in self.params.values()]


class Certificate(Problem):
    """The layers as a problem.  Its samples are copies of the batch, which are drawn at once."""

    most_evaluations = MOST_EVALUATIONS

    def __init__(self, rule: Estimator) -> None:
        self.layers = Layers(rule).warm()
        super().__init__(self.layers.loss, self.layers.params)

    def moments(self, groups: int, samples: int, seed: int) -> Moments:
        _, made = self.estimate(random.Generator(seed))
        if made > MANY:
            self.states = FEWER_STATES
        return super().moments(groups, samples, seed)

    def sampled_moments(self, samples: int, seed: int) -> Moments:
        _, made = self.estimate(random.Generator(seed))
        if not self.independent(ROWS, seed):        # copies would influence each other
            return super().sampled_moments(max(min(samples, MOST_EVALUATIONS // made), LEAST), seed)
        copies = max(min(COPIES, int(ROWS_OF_WORK / ROWS * (MOST_EVALUATIONS / 2 / made - 1))), LEAST)
        many = Layers(self.layers.rules[0], copies=copies)
        many.rules = self.layers.rules
        gradients = many.gradients(many.loss(random.Generator(seed)))
        estimates = np.concatenate([g.reshape(copies, -1) for g in gradients], axis=1) * copies
        if not np.isfinite(estimates).all():
            raise AssertionError("not finite: an estimate of the certificate is NaN or infinite")
        return moments_of(estimates, many.evaluations)
