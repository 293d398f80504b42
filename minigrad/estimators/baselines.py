"""Baselines: what is subtracted from the cost before it multiplies the score.

E[h − p] = 0, so a baseline that does not depend on the sample h leaves the mean of (h − p)(L − L̄)
as it is, and changes only its variance.  A baseline that already contained the current cost would
not: hence a rule reads its memory as it was when the sample was drawn, and learns afterwards.

A baseline is an object with

    start()             what it remembers before the first pass (dict of arrays), or None
    value(node, state)  L̄ for each row and unit, of a shape that broadcasts to (rows, units)
    learn(node, state)  what it remembers after this pass, a new dict
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np

from minigrad.arguments import is_real


@dataclass
class Constant:
    """The same number for every sample and unit; 0 is no baseline."""

    number: float = 0.0

    def __post_init__(self):
        if not isfinite(self.number):
            raise ValueError(f"Constant: expected a finite number as baseline, got {self.number}")

    def start(self):
        return None

    def value(self, node, state):
        return self.number


@dataclass
class MeanCost:
    """L̄ ≈ E[L]: a moving average of the costs of past passes, and 0 before the first.

    It is kept as the ratio of two averages of the same decay, avg[w L] / avg[w] with w = 1, so that
    it is right from the first update on instead of growing up from 0.
    """

    decay: float = 0.9

    def __post_init__(self):
        if not is_real(self.decay) or not 0 <= self.decay < 1:
            raise ValueError(f"{type(self).__name__}: expected a decay in [0, 1), got {self.decay}")

    def weights(self, node):
        return np.ones_like(node.cost)

    def start(self):
        return {"weighted_cost": np.zeros(1), "weight": np.zeros(1)}

    def value(self, node, state):
        cost, weight = state["weighted_cost"], state["weight"]
        return np.divide(cost, weight, out=np.zeros_like(cost), where=weight > 0).astype(node.cost.dtype)

    def learn(self, node, state):
        weights = self.weights(node)
        now = {"weighted_cost": weights * node.cost, "weight": weights}
        return {name: self.decay * state[name] + (1 - self.decay) * x.mean(axis=0, dtype=float)
                for name, x in now.items()}


@dataclass
class LeastVariance(MeanCost):
    """L̄_i = E[(h_i − p_i)² L] / E[(h_i − p_i)²], the baseline of least variance, unit by unit.

    Two moving averages per unit.  Bengio, Léonard & Courville (2013), Corollary 1.
    """

    def weights(self, node):
        return (node.value - node.probs) ** 2
