"""Straight-through rules: pretend that the sample is a smooth function of its logit.

The gradient that arrived at the sample is passed on, times a slope.  Cheap, of low variance, and
biased: right in sign for one layer whose cost is locally linear, and able to be wrong altogether
(for (b − t)² with t = 0.499 the mean is 2(p − t), which has the sign of p − t whatever t is).
"""

from minigrad.stochastic import Estimator


class StraightThrough(Estimator):
    """d cost / d logit = d cost / d sample.

    Hinton (2012, lecture 15b); Bengio, Léonard & Courville (2013), Eq 13.  Biased.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        return node.grad


class StraightThroughSlope(Estimator):
    """d cost / d logit = p (1 − p) · d cost / d sample, p = σ(logit).

    The slope is that of the sample's mean; exact where the cost is linear in the sample.
    Bengio, Léonard & Courville (2013), §2.3.  Biased in general.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)
