"""Baselines: numbers that are subtracted from the cost before it is multiplied by the score h − p.

The score has the mean 0.  So a baseline L̄ that does not depend on the sample h changes the variance of
(h − p)(L − L̄) and not its mean.  A baseline that contains the current cost would change the mean.  Therefore
a rule reads its memory as it was when the sample was drawn, and learns afterwards.

A baseline is an object with these methods:

    start()             the memory before the first pass (a dict of arrays), or None
    value(node, state)  L̄ for each row and unit, of a shape that broadcasts to (rows, units)
    learn(node, state)  the memory after this pass, a new dict
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Protocol

import numpy as np

from minigrad.arguments import is_real

if TYPE_CHECKING:
    from minigrad.aliases import Array, Memory
    from minigrad.stochastic import BinaryNode


class Baseline(Protocol):
    """The methods that every baseline has.  For type checkers; a baseline need not inherit from it."""

    def start(self) -> Memory | None: ...
    def value(self, node: BinaryNode, state: Memory) -> Array | float: ...
    def learn(self, node: BinaryNode, state: Memory) -> Memory: ...


@dataclass
class Constant:
    """The same number for every sample and unit.  0 means no baseline."""

    number: float = 0.0

    def __post_init__(self) -> None:
        if not isfinite(self.number):
            raise ValueError(f"Constant: expected a finite number as baseline, got {self.number}")

    def start(self) -> None:
        return None

    def value(self, node: BinaryNode, state: Memory | None) -> float:
        return self.number


@dataclass
class MeanCost:
    """L̄ ≈ E[L]: a moving average of the costs of past passes, and 0 before the first pass.

    It is the ratio avg[w L] / avg[w] of two averages with the same decay, where w = 1.  Both averages start at 0.
    So the ratio is a weighted mean of costs from the first update on.
    """

    decay: float = 0.9

    def __post_init__(self) -> None:
        if not is_real(self.decay) or not 0 <= self.decay < 1:
            raise ValueError(f"{type(self).__name__}: expected a decay in [0, 1), got {self.decay}")

    def weights(self, node: BinaryNode) -> Array:
        """The weights w of the costs, (rows, 1) or (rows, units)."""
        return np.ones_like(node.cost)

    def start(self) -> Memory:
        return {"weighted_cost": np.zeros(1), "weight": np.zeros(1)}

    def value(self, node: BinaryNode, state: Memory) -> Array:
        cost, weight = state["weighted_cost"], state["weight"]
        return np.divide(cost, weight, out=np.zeros_like(cost), where=weight > 0).astype(node.cost.dtype)

    def learn(self, node: BinaryNode, state: Memory) -> Memory:
        weights = self.weights(node)
        current = {"weighted_cost": weights * node.cost, "weight": weights}
        return {name: self.decay * state[name] + (1 - self.decay) * x.mean(axis=0, dtype=float)
                for name, x in current.items()}


@dataclass
class LeastVariance(MeanCost):
    """L̄_i = E[(h_i − p_i)² L] / E[(h_i − p_i)²]: for each unit the baseline of least variance.

    It keeps two moving averages per unit.  Bengio, Léonard & Courville (2013), Corollary 1.
    """

    def weights(self, node: BinaryNode) -> Array:
        return (node.value - node.probs) ** 2
