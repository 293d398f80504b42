"""The rule for importance-weighted bounds, whose cost is shared by several samples."""

import numpy as np

from minigrad import ops
from minigrad.estimators.multi_sample import identity, mean_of_others
from minigrad.rule import Estimator


class Vimco(Estimator):
    """d cost / d logit of sample k = (Λ − Λ₋ₖ)(b − p), with Λ = log mean_k exp(ℓ_k) and ℓ_k the log-weights.

    For ``mg.expected(log_weights, over=axis)``, whose K samples per example are blamed for one Λ
    together.  Each needs a baseline that knows the others and not itself: Λ₋ₖ, in which ℓ_k is replaced
    by the mean of the other log-weights (their geometric mean, as weights).  Where all others are −∞, so is
    Λ₋ₖ, and 0 takes its place.  Unbiased, and without anything to learn.  The derivative of Λ by the
    log-weights themselves, softmax(ℓ), flows through the graph as usual.  Terms of a loss without
    log-weights, or with K = 1, get REINFORCE.  Needs the cost and the log-weights it was made of: no
    further evaluation.
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

    def backward(self, node):
        cost = node.cost
        for weight, log_weights in node.inner:
            if log_weights.shape[1] > 1:
                cost = cost - weight * without_each(log_weights).reshape(-1, 1)
        return (cost * (node.value - node.probs)).astype(node.logits.dtype)


def without_each(log_weights):
    """Λ₋ₖ for each log-weight of (examples, K): Λ with that one replaced by the mean of the others.

    0 where it is −∞: the others alone decide that, so it is a baseline like any other.
    """
    others = mean_of_others(log_weights.T).T
    replaced = np.where(identity(log_weights.shape[1], log_weights) == 1, others[:, :, None], log_weights[:, None, :])
    without = ops.logmeanexp(replaced, axis=2)
    return np.where(np.isfinite(without), without, 0)
