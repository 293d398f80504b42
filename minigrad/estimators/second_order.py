"""Rules that use the gradient at the sample and are exact for quadratic costs.

Straight-through multiplies the slope at the sample by a number.  For a quadratic cost, the mean of the slopes at both
values, ½ (L'(0) + L'(1)), is the difference L(1) − L(0).  These rules multiply the slope at the sample by ½ (1 − p) if
the sample is 1, and by ½ p if it is 0.  The mean is then p (1 − p) ½ (L'(0) + L'(1)), the exact gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad import ops
from minigrad.arguments import is_real
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class Darn(Estimator):
    """d cost / d logit = (h − centre) (h − p) · d cost / d h, with centre ½ or p.

    REINFORCE whose baseline is the first-order expansion of the cost about the centre.  With centre ½ the mean is
    p(1 − p) ½ (L'(0) + L'(1)).  This is exact if the cost is quadratic in each unit, and biased otherwise.  With
    centre p the mean is p(1 − p) ((1 − p) L'(1) + p L'(0)).  Needs the gradient, also at units whose sample is 0.
    Gregor, Danihelka, Mnih, Blundell & Wierstra (2014).

    Parameters
    ----------
    centre : "half" or "mean".

    Raises
    ------
    ValueError
        ``centre`` is neither of these.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def __init__(self, centre: str = "half") -> None:
        if centre not in ("half", "mean"):
            raise ValueError(f"Darn: expected centre 'half' or 'mean', got {centre!r}")
        self.centre = centre

    def backward(self, node: BinaryNode) -> Array:
        score = node.value - node.probs
        distance = node.value - 0.5 if self.centre == "half" else score
        return node.grad * distance * score

    def __repr__(self) -> str:
        return f"Darn(centre={self.centre!r})"


class Zgr(Estimator):
    """d cost / d logit = ½ (p (1 − p) + (h − p)²) · d cost / d h.

    The mean of two rules: straight-through with the slope of the sigmoid, which is exact for linear costs, and
    ``Darn`` about p.  For one bit it equals ``Darn`` about ½, and ``ReinMax`` at temperature 1.  Biased unless the
    cost is quadratic.  Needs the gradient, also at units whose sample is 0.
    Shekhovtsov (2023), "Cold analysis of Rao-Blackwellized straight-through Gumbel-softmax".
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node: BinaryNode) -> Array:
        p, score = node.probs, node.value - node.probs
        return node.grad * (p * (1 - p) + score * score) / 2


class ReinMax(Estimator):
    """d cost / d logit = (2 π (1 − π) − ½ p (1 − p)) · d cost / d h, with π = ½ (σ(logit / τ) + h).

    Straight-through approximates the difference L(1) − L(0) by Euler's method; this rule uses Heun's method.  At
    temperature τ = 1 it equals ``Darn`` about ½.  Other temperatures trade bias for variance.  Biased unless the
    cost is quadratic and τ = 1.  Needs the gradient, also at units whose sample is 0.
    Liu, Dong, Liu, Yu & Gao (2023), "Bridging discrete and backpropagation: straight-through and beyond".

    Parameters
    ----------
    temperature : τ > 0.

    Raises
    ------
    ValueError
        ``temperature`` is not above 0.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def __init__(self, temperature: float = 1.0) -> None:
        if not is_real(temperature) or not temperature > 0:
            raise ValueError(f"ReinMax: expected a temperature above 0, got {temperature}")
        self.temperature = temperature

    def backward(self, node: BinaryNode) -> Array:
        p = node.probs
        middle = (ops.sigmoid(node.logits / self.temperature) + node.value) / 2
        return node.grad * (2 * middle * (1 - middle) - p * (1 - p) / 2)

    def __repr__(self) -> str:
        return f"ReinMax(temperature={self.temperature})"
