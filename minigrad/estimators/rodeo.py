"""Control variates from a Markov chain that does not change the distribution of the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.estimators.control_variates import several
from minigrad.estimators.multi_sample import at_least_two, covariance, identity
from minigrad.estimators.networks import Network
from minigrad.functional import grad
from minigrad.rule import Estimator

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class Rodeo(Estimator):
    """d cost / d logit_i = cov(f + Ah, b)_i − mean_k (b_k − p)_i h_k(b_k with bit i flipped), with a learned h.

    A Gibbs sampler flips bit i of a sample b at the rate |b_i − p_i|, the probability of the other value.  It does
    not change the distribution of b.  Hence the mean rate at which it changes a function h,

        (A h)(b) = Σ_i |b_i − p_i| (h(b with bit i flipped) − h(b)),

    has the mean 0 for every h: A is a discrete Stein operator.  The rule is leave-one-out over K samples with two
    such control variates.  A h is added to the costs that serve as baselines.  A applied to h · (b − p) is added
    to the estimate itself; it is (b − p)_i (A h − h(b with bit i flipped)).

    h_k predicts the cost at any b from the other samples, h_k(b) = mean_{j≠k} H(f_j, ⟨g_j, b − b_j⟩), with g_j the
    gradient of the cost at b_j.  H is a small network, 0 at first.  So the flips of bits take no evaluation.  H
    minimises the mean square of the estimate, hence its variance.  It is the rule's memory.  No h_k depends on
    sample k, so the rule is unbiased, also where the gradients are biased.  Needs cost and gradient at K samples:
    K − 1 evaluations and their backward passes.
    Shi, Zhou, Hwang, Titsias & Mackey (2022), arXiv 2202.09497.

    Parameters
    ----------
    samples : K, two or more.
    hidden : units of the network, which has one hidden layer.
    rate : learning rate of the network.
    seed : seed of its initial weights.

    Raises
    ------
    ValueError
        ``samples`` is below 2, ``hidden`` is below 1, or ``rate`` is not above 0.
    """

    needs = frozenset({"grad", "cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def __init__(self, samples: int = 2, hidden: int = 8, rate: float = 0.01, seed: int = 0) -> None:
        self.samples = at_least_two(self, samples)
        self.network = Network(hidden, rate, seed)
        self.state = self.network.start(2)

    def backward(self, node: BinaryNode) -> Array:
        costs, slopes, bits = (x.astype(float) for x in several(self, node))
        mean, deviation = self.network.scale(node.memory)
        f, g = (costs - mean) / deviation, slopes / deviation
        score = bits - node.probs

        # ⟨g_j, b − b_j⟩ at [k, j], for b the sample k itself and then with each of its bits flipped
        linear = (g * (bits[:, None] - bits)).sum(axis=-1, keepdims=True)
        linear = np.concatenate([linear, linear + g * (1 - 2 * bits[:, None])], axis=-1)
        inputs = np.stack(np.broadcast_arrays(f, linear), axis=-1).reshape(-1, 2)
        parameters = self.network.parameters(node.memory)
        h = self.network.output(parameters, inputs).reshape(linear.shape)
        others = 1 - identity(self.samples, bits)[:, :, None, None]
        h = (h * others).sum(axis=1) / (self.samples - 1)
        here, flipped = h[:, :, :1], h[:, :, 1:]
        change = (np.abs(score) * (flipped - here)).sum(axis=-1, keepdims=True)

        estimate = covariance(f + change, score) - (score * flipped).mean(axis=0)
        grads = grad((estimate * estimate).sum(axis=-1).mean(), list(parameters.values()))
        gradients = {name: g.data for name, g in zip(parameters, grads, strict=True)}
        node.propose(**self.network.learn(node.memory, gradients, node.cost))
        return deviation * estimate.data

    def __repr__(self) -> str:
        return f"Rodeo(samples={self.samples}, hidden={self.network.hidden}, rate={self.network.rate})"
