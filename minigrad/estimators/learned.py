"""Rules that learn their own correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import is_real
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class LearnedCorrection(Estimator):
    """A linear regression that predicts an unbiased estimate from a biased one.  The prediction is the estimate.

        prediction_i = α_i g p(1 − p) + w_i · (1, context)      target (h − p) L

    g is the gradient at the sample and L its cost.  The regression minimises the squared error.  It starts with
    α = 1 and w = 0, which is straight-through with the slope of the sigmoid, and learns to correct it.  Its
    prediction has less variance than the target.  One input is the constant 1; therefore, once the regression
    has converged, the prediction has the mean of the target, which is unbiased.  Before that it is biased, and so
    it is where the gradient depends on more than these inputs.  Needs gradient and cost: one evaluation.
    Bengio (2013), arXiv 1305.2982.

    Parameters
    ----------
    rate : learning rate of the regression, in (0, 1].  The step of each input is divided by its scale, the
        largest mean square of recent passes.
    decay : of this scale, per pass.

    Raises
    ------
    ValueError
        ``rate`` is outside (0, 1], or ``decay`` is outside [0, 1].
    """

    needs = frozenset({"grad", "cost"})

    def __init__(self, rate: float = 0.1, decay: float = 0.99) -> None:
        if not is_real(rate) or not 0 < rate <= 1:
            raise ValueError(f"LearnedCorrection: expected a rate in (0, 1], got {rate}")
        if not is_real(decay) or not 0 <= decay <= 1:
            raise ValueError(f"LearnedCorrection: expected a decay in [0, 1], got {decay}")
        self.rate, self.decay = rate, decay
        self.state = {}

    def backward(self, node: BinaryNode) -> Array:
        biased = (node.grad * node.probs * (1 - node.probs)).astype(float)
        unbiased = node.cost * (node.value - node.probs)
        inputs = np.ones_like(biased, shape=(len(biased), 1))
        if node.context is not None:
            inputs = np.concatenate([inputs, node.context], axis=1)
        units = node.shape[1]
        alpha = node.memory.get("alpha", np.ones_like(biased, shape=units))
        weight = node.memory.get("weight", np.zeros((inputs.shape[1], units), like=biased))

        prediction = alpha * biased + inputs @ weight
        error = unbiased - prediction
        rate = self.rate / (1 + inputs.shape[1])      # no step is too long, even if the inputs are correlated
        biased_scale = self.scale(node, "biased_scale", biased)
        input_scale = self.scale(node, "input_scale", inputs)
        node.propose(
            alpha=alpha + rate * ratio((error * biased).mean(axis=0), biased_scale),
            weight=weight + rate * ratio(inputs.T @ error / len(error), input_scale[:, None]),
            biased_scale=biased_scale,
            input_scale=input_scale,
        )
        return prediction.astype(node.logits.dtype)

    def scale(self, node: BinaryNode, name: str, x: Array) -> Array:
        """The largest mean square of each column of x in recent passes."""
        return np.maximum(self.decay * node.memory.get(name, 0.0), np.mean(x**2, axis=0))


def ratio(x: Array, y: Array) -> Array:
    """x / y, and 0 where y is 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)
