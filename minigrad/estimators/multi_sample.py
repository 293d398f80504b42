"""Multi-sample rules: draw the node several times, and let each sample be the baseline of the others.

The gradient is a covariance: d E[f] / d logit = E[f (b − p)] = Cov(f, b).  Both rules start from the sample
covariance of bit and cost.  With the costs f_k of the samples b_k, k = 1 … K, it can be written in two ways:

    cov = Σ_k (f_k − f̄)(b_k − b̄) / (K − 1) = (1/K) Σ_k (f_k − mean of the other costs) (b_k − p).

The first of the K samples is that of the forward pass.  Each other sample takes a replay of the graph below the
node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad import ops
from minigrad.arguments import is_whole
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class LeaveOneOut(Estimator):
    """d cost / d logit = Σ_k (f_k − f̄)(b_k − b̄) / (K − 1), the sample covariance of cost and bit.

    The baseline of each sample is the mean cost of the others, which does not depend on it.  So the rule is
    unbiased.  It has no memory and nothing to tune.  For K = 2 it is ½ (f₁ − f₂)(b₁ − b₂).  Needs the cost at
    K − 1 more samples: K − 1 evaluations.
    Salimans & Knowles (2014); Kool, van Hoof & Welling (2019), "Buy 4 REINFORCE samples, get a
    baseline for free!"; as the gradient of an empirical variance, VarGrad, Richter et al. (2020).

    Parameters
    ----------
    samples : K, two or more.

    Raises
    ------
    ValueError
        ``samples`` is below 2.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0]], requires_grad=True)
    >>> b = mg.bernoulli(logits, mg.estimators.LeaveOneOut(), rng=mg.Generator(4))
    >>> mg.expected((b * 6).sum(axis=1)).backward()
    >>> logits.grad                                  # ½ (6 − 0)(1 − 0), the samples being 1 and 0
    array([[3.]])
    """

    needs = frozenset({"cost", "cost_at"})
    unbiased = True

    def __init__(self, samples: int = 2) -> None:
        self.samples = at_least_two(self, samples)

    def backward(self, node: BinaryNode) -> Array:
        return leave_one_out(node, np.stack([self.sample(node.logits, node.rng.uniform(node.shape))
                                             for _ in range(self.samples - 1)]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(samples={self.samples})"


class ARMS(LeaveOneOut):
    """d cost / d logit = Σ_k (f_k − f̄)(b_k − b̄) / (K − 1) · p(1 − p) / (p − P₁₁), P₁₁ = P(b_j = b_k = 1).

    Leave-one-out with samples that are negatively correlated: where one sample has the rarer value, the others
    are less likely to have it.  So fewer pairs of samples are equal; equal pairs contribute nothing.  Two samples
    differ with probability 2 (p − P₁₁) instead of 2p(1 − p).  The last factor corrects for this, so the rule is
    unbiased.  For K = 2 it is DisARM.

    The K samples are drawn with the help of a point of Dirichlet(1, …, 1), a random point with coordinates
    d_k ≥ 0 whose sum is 1.  Its coordinates are negatively correlated, and each w_k = (1 − d_k)^(K−1) is uniform.
    Sample k has the rarer value, whose probability is r, where w_k < r.  The sample of the forward pass determines
    w₁ and so d₁.  Given d₁, the other coordinates are 1 − d₁ times a point of a Dirichlet(1, …, 1) with K − 1
    coordinates.  So the joint distribution is exact, and

        p − P₁₁ = r − max(0, 2 r^(1/(K−1)) − 1)^(K−1),    r = min(p, 1 − p).

    Needs the cost at K − 1 more samples: K − 1 evaluations.
    Dimitriev & Zhou (2021), arXiv 2105.14141.

    Parameters
    ----------
    samples : K, two or more.

    Raises
    ------
    ValueError
        ``samples`` is below 2.
    """

    def __init__(self, samples: int = 4) -> None:
        super().__init__(samples)

    def backward(self, node: BinaryNode) -> Array:
        others = self.samples - 1
        rows, units = node.shape
        one_is_rare = node.logits < 0
        w = np.where(one_is_rare, node.noise, 1 - node.noise)
        e = -np.log(node.rng.uniform((rows, others, units), event_ndim=2))
        d = (w ** (1 / others))[:, None] * e / e.sum(axis=1, keepdims=True)
        w = (1 - d) ** others
        u = np.where(one_is_rare[:, None], w, 1 - w)
        samples = np.stack([self.sample(node.logits, u[:, k].copy()) for k in range(others)])

        # r^(−1/(K−1)), at most e: above 2 two samples are never both rare, and the maximum below is 0
        inverse = np.exp(np.minimum(ops.softplus(np.abs(node.logits)) / others, 1))
        both_given_one = np.maximum(0, 2 - inverse) ** others
        common = ops.sigmoid(np.abs(node.logits))
        return leave_one_out(node, samples) * common / (1 - both_given_one)


def leave_one_out(node: BinaryNode, others: Array) -> Array:
    """The covariance of cost and bits over the node's own sample and ``others``, (K − 1, rows, units)."""
    costs = np.concatenate([node.cost[None], node.cost_at(others)])
    return covariance(costs, np.concatenate([node.value[None], others]))


def covariance(x: Array, y: Array) -> Array:
    """The sample covariance of x and y over their first axis."""
    return ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).sum(axis=0) / (len(x) - 1)


def mean_of_others(x: Array) -> Array:
    """For each entry along the first axis of x, the mean of the others.

    The entries before it and those after it are added up.  The sum of all minus the entry would be simpler.  But
    beside a huge entry it loses the others to rounding, and beside an infinite one it gives NaN.
    """
    nothing = np.zeros_like(x[:1])
    before = np.concatenate([nothing, np.cumsum(x[:-1], axis=0)])
    after = np.concatenate([nothing, np.cumsum(x[:0:-1], axis=0)])[::-1]
    return (before + after) / (len(x) - 1)


def identity(count: int, like: Array) -> Array:
    """The identity matrix (count, count), of the dtype of the array ``like`` and on its device."""
    sample = np.arange(count, like=like)
    return (sample[:, None] == sample).astype(like.dtype)


def at_least_two(rule: Estimator, samples: int) -> int:
    """``samples``, if it is at least 2: then each sample has another as its baseline."""
    if not is_whole(samples, 2):
        raise ValueError(f"{type(rule).__name__}: expected samples >= 2, each a baseline of the others, got {samples}")
    return samples
