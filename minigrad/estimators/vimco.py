"""The rule for importance-weighted bounds, where several samples share a cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad import ops
from minigrad.estimators.multi_sample import identity, mean_of_others
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class Vimco(Estimator):
    """d cost / d logit of sample k = (Λ − Λ₋ₖ)(b − p), with Λ = log mean_k exp(ℓ_k) and ℓ_k the log-weights.

    For ``mg.expected(log_weights, over=axis)``, where the K samples of an example share one cost Λ.  Each sample
    gets a baseline Λ₋ₖ that depends on the other samples alone.  Λ₋ₖ is Λ with ℓ_k replaced by the mean of the
    other log-weights (the geometric mean of the other weights).  Where all others are −∞, Λ₋ₖ is −∞ and 0 is used
    instead.  Unbiased, with nothing to learn.  The derivative of Λ by the log-weights themselves, softmax(ℓ), flows
    through the graph as usual.  Terms of a loss without log-weights, or with K = 1, get REINFORCE.  Needs the cost
    and the log-weights that it was computed from: no evaluation besides the forward pass.
    Mnih & Rezende (2016), arXiv 1602.06725.

    >>> import minigrad as mg
    >>> logits = mg.tensor(np.zeros((1, 2, 1)), requires_grad=True)            # one example, two samples
    >>> b = mg.bernoulli(logits, mg.estimators.Vimco(), rng=mg.Generator(3))
    >>> bound = mg.expected((b * np.log(3.0)).sum(axis=-1), over=1)            # weights 1 or 3
    >>> bound.backward()
    >>> b.data.ravel(), logits.grad.ravel().round(4)                           # (log 2 − log 3)(−½), (log 2 − log 1)(½)
    (array([0., 1.]), array([0.2027, 0.3466]))
    """

    needs = frozenset({"cost", "inner"})
    unbiased = True

    def backward(self, node: BinaryNode) -> Array:
        cost = node.cost
        for weight, log_weights in node.inner:
            if log_weights.shape[1] > 1:
                cost = cost - weight * without_each(log_weights).reshape(-1, 1)
        return (cost * (node.value - node.probs)).astype(node.logits.dtype)


def without_each(log_weights: Array) -> Array:
    """Λ₋ₖ for each log-weight of (examples, K): Λ with this log-weight replaced by the mean of the others.

    0 in place of −∞.  The others alone decide whether it is −∞, so 0 is a valid baseline.
    """
    others = mean_of_others(log_weights.T).T
    replaced = np.where(identity(log_weights.shape[1], log_weights) == 1, others[:, :, None], log_weights[:, None, :])
    without = ops.logmeanexp(replaced, axis=2)
    return np.where(np.isfinite(without), without, 0)
