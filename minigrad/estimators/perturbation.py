"""Perturbation rules: move the logits of all units at once and see what becomes of the cost."""

import numpy as np

from minigrad.arguments import is_real
from minigrad.rule import Estimator


class SPSA(Estimator):
    """d cost / d logit_i = (L₊ − L₋) / (2 c δ_i), δ ∈ {−1, 1}^D at random.

    L₊ and L₋ are the costs with samples 1[u < σ(logit ± c δ)].  The same uniforms u serve both
    sides, and the sample itself: most units then do not change, and the variance is several times
    less than with fresh ones.  The mean differs from the gradient by O(c²), while the variance grows
    as 1/c.  Needs the cost at two other samples, however many units there are.
    Spall (1992); Bengio (2013), arXiv 1305.2982.

    Parameters
    ----------
    c : half the distance between the two sides, in logits.
    """

    needs = frozenset({"cost_at"})

    def __init__(self, c=0.1):
        if not is_real(c) or not c > 0:
            raise ValueError(f"SPSA: expected a step c > 0, got {c}")
        self.c = c

    def backward(self, node):
        step = np.where(node.rng.uniform(node.shape) < 0.5, self.c, -self.c)
        above = node.cost_at(self.sample(node.logits + step, node.noise))
        below = node.cost_at(self.sample(node.logits - step, node.noise))
        return (above - below) / (2 * step)

    def __repr__(self):
        return f"SPSA(c={self.c})"
