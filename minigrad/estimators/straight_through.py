"""Straight-through rules: pretend that the sample is a smooth function of its logit.

The gradient that arrived at the sample is passed on, times a slope.  Cheap (one backward pass and
no evaluation besides), of low variance, and biased: right in sign for one layer whose cost is
locally linear, and able to be wrong altogether (for (b − t)² with t = 0.499 the mean is 2(p − t),
which has the sign of p − t whatever the truth is).
"""

from minigrad.rule import Estimator


class StraightThrough(Estimator):
    """d cost / d logit = d cost / d sample.

    Needs the gradient, also at units whose sample is 0.  Biased; its mean is E[d cost / d sample].
    Hinton (2012, lecture 15b); Bengio, Léonard & Courville (2013), Eq 13.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[-2.0]], requires_grad=True)
    >>> b = mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=mg.Generator(1))
    >>> mg.expected((b * 3).sum(axis=1)).backward()
    >>> logits.grad
    array([[3.]])
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        return node.grad


class StraightThroughSlope(Estimator):
    """d cost / d logit = p (1 − p) · d cost / d sample, p = σ(logit).

    The slope is that of the sample's mean: exact where the cost is linear in the sample, biased
    elsewhere.  Needs the gradient, also at units whose sample is 0.
    Bengio, Léonard & Courville (2013), §2.3.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        return node.grad * node.probs * (1 - node.probs)


class StraightThroughClipped(Estimator):
    """d cost / d logit = d cost / d sample where |logit| ≤ 1, and 0 elsewhere.

    The slope of the hard sigmoid: units that are sure of their bit are left alone.  Biased.  Needs
    the gradient, also at units whose sample is 0.
    Hubara, Courbariaux, Soudry, El-Yaniv & Bengio (2016).
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node):
        return node.grad * (abs(node.logits) <= 1)
