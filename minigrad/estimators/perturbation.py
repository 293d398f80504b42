"""Perturbation rules: change the logits of all units at once and observe the change of the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import is_real
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class SPSA(Estimator):
    """d cost / d logit_i = (L₊ − L₋) / (2 c δ_i), with a random δ ∈ {−1, 1}^D.

    L₊ and L₋ are the costs of the samples 1[u < σ(logit ± c δ)].  Both use the uniforms u of the node's own
    sample.  So most units have the same bit in both, and the variance is several times smaller than with new
    uniforms.  The bias is O(c²), and the variance grows as 1/c.  Needs the cost at two other samples, however
    many units there are.
    Spall (1992); Bengio (2013), arXiv 1305.2982.

    Parameters
    ----------
    c : size of the step in each logit, above 0.

    Raises
    ------
    ValueError
        ``c`` is not above 0.
    """

    needs = frozenset({"cost_at"})

    def __init__(self, c: float = 0.1) -> None:
        if not is_real(c) or not c > 0:
            raise ValueError(f"SPSA: expected a step c > 0, got {c}")
        self.c = c

    def backward(self, node: BinaryNode) -> Array:
        step = np.where(node.rng.uniform(node.shape) < 0.5, self.c, -self.c)
        above = node.cost_at(self.sample(node.logits + step, node.noise))
        below = node.cost_at(self.sample(node.logits - step, node.noise))
        return (above - below) / (2 * step)

    def __repr__(self) -> str:
        return f"SPSA(c={self.c})"
