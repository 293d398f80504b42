"""Rules that learn their own correction."""

import numpy as np

from minigrad.arguments import is_real
from minigrad.rule import Estimator


class LearnedCorrection(Estimator):
    """A regression from the biased to the unbiased estimate, used in place of both.

    prediction_i = α_i g p(1 − p) + w_i · (1, context), fitted by squared error to (h − p) L, with g
    the gradient that arrived at the sample and L its cost.  It starts as straight-through with the
    sigmoid's slope (α = 1, w = 0) and learns to mend it.  Regressing averages away the variance of
    the target; thanks to the constant among its inputs, a regression that has converged has the mean
    of its target, which is unbiased.  Until then, and where the gradient depends on more than these
    inputs show, it is biased.  Needs gradient and cost: one evaluation.
    Bengio (2013), arXiv 1305.2982.

    Parameters
    ----------
    rate : of the steps of the regression, between 0 and 1; each input has its own scale, the largest
        mean square seen lately.
    decay : of the memory for that scale, per pass.
    """

    needs = frozenset({"grad", "cost"})

    def __init__(self, rate=0.1, decay=0.99):
        if not is_real(rate) or not 0 < rate <= 1:
            raise ValueError(f"LearnedCorrection: expected a rate in (0, 1], got {rate}")
        if not is_real(decay) or not 0 <= decay <= 1:
            raise ValueError(f"LearnedCorrection: expected a decay in [0, 1], got {decay}")
        self.rate, self.decay = rate, decay
        self.state = {}

    def backward(self, node):
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
        rate = self.rate / (1 + inputs.shape[1])      # no step overshoots, however correlated the inputs
        biased_scale = self.scale(node, "biased_scale", biased)
        input_scale = self.scale(node, "input_scale", inputs)
        node.propose(
            alpha=alpha + rate * ratio((error * biased).mean(axis=0), biased_scale),
            weight=weight + rate * ratio(inputs.T @ error / len(error), input_scale[:, None]),
            biased_scale=biased_scale,
            input_scale=input_scale,
        )
        return prediction.astype(node.logits.dtype)

    def scale(self, node, name, x):
        """The largest mean square of each column of x, of late."""
        return np.maximum(self.decay * node.memory.get(name, 0.0), np.mean(x**2, axis=0))


def ratio(x, y):
    """x / y, and 0 where y is 0."""
    return np.divide(x, y, out=np.zeros_like(x), where=y > 0)
