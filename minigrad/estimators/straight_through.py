"""Straight-through rules: treat the sample as a smooth function of its logit.

They multiply the gradient at the sample by a slope.  They are cheap (no evaluation besides the forward pass),
have low variance, and are biased.  For one layer whose cost is almost linear, the estimate has the right sign in
the mean.  For other costs it may be wrong altogether: for (b − t)² with t = 0.499 its mean is 2(p − t), which has
the sign of p − t, while the sign of the true gradient does not depend on p.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class StraightThrough(Estimator):
    """d cost / d logit = d cost / d sample.

    Needs the gradient, also at units whose sample is 0.  Biased: its mean is E[d cost / d sample].
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

    def backward(self, node: BinaryNode) -> Array:
        return node.grad


class StraightThroughSlope(Estimator):
    """d cost / d logit = p (1 − p) · d cost / d sample, p = σ(logit).

    The slope is that of the sample's mean.  So the estimate is exact where the cost is linear in the sample, and
    biased elsewhere.  Needs the gradient, also at units whose sample is 0.
    Bengio, Léonard & Courville (2013), §2.3.
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node: BinaryNode) -> Array:
        return node.grad * node.probs * (1 - node.probs)


class StraightThroughClipped(Estimator):
    """d cost / d logit = d cost / d sample where |logit| ≤ 1, and 0 elsewhere.

    The slope is that of the hard sigmoid, so units with a large logit get no gradient.  Biased.  Needs the
    gradient, also at units whose sample is 0.
    Hubara, Courbariaux, Soudry, El-Yaniv & Bengio (2016).
    """

    needs = frozenset({"grad"})
    differentiable = True

    def backward(self, node: BinaryNode) -> Array:
        return node.grad * (abs(node.logits) <= 1)
