"""Control variates from a Markov chain: what a sampler does to a function, on average nothing."""

import numpy as np

from minigrad.estimators.control_variates import several
from minigrad.estimators.multi_sample import at_least_two, covariance, identity
from minigrad.estimators.networks import Network
from minigrad.functional import grad
from minigrad.rule import Estimator


class Rodeo(Estimator):
    """d cost / d logit_i = cov(f + Ah, b)_i − mean_k (b_k − p)_i h_k(b_k with bit i flipped), with a learned h.

    A Gibbs sampler flips bit i of a sample b at the rate |b_i − p_i|, the probability of the other value,
    and so leaves the law of b as it is.  Hence the change per unit of time that it brings to a function,

        (A h)(b) = Σ_i |b_i − p_i| (h(b with bit i flipped) − h(b)),

    has mean 0 whatever h is: a discrete Stein operator.  Leave-one-out over K samples is given two such
    control variates: A h is added to the costs that serve as baselines, and A applied to h · (b − p) to the
    estimate itself, for it is (b − p)_i (A h − h(b with bit i flipped)).  h_k predicts the cost at any b
    from the other samples, h_k(b) = mean_{j≠k} H(f_j, ⟨g_j, b − b_j⟩), with g_j the gradient of the cost at
    b_j and H a small network, 0 at first: flips of a bit cost no evaluation.  H descends the mean square of
    the estimate, hence its variance; it is the rule's memory.  Unbiased, whatever the gradients, since no
    h_k knows of sample k.  Needs cost and gradient at K samples: K − 1 evaluations and their backward passes.
    Shi, Zhou, Hwang, Titsias & Mackey (2022), arXiv 2202.09497.

    Parameters
    ----------
    samples : K, two or more.
    hidden : units of the network, which has one hidden layer.
    rate : of its steps.
    seed : of its first weights.
    """

    needs = frozenset({"grad", "cost", "cost_and_grad_at"})
    unbiased = True
    needs_unbiased_below = False

    def __init__(self, samples=2, hidden=8, rate=0.01, seed=0):
        self.samples = at_least_two(self, samples)
        self.network = Network(hidden, rate, seed)
        self.state = self.network.start(2)

    def backward(self, node):
        costs, slopes, bits = (x.astype(float) for x in several(self, node))
        mean, deviation = self.network.scale(node.memory)
        f, g = (costs - mean) / deviation, slopes / deviation
        score = bits - node.probs

        # ⟨g_j, b − b_j⟩ at [k, j], for b the sample k itself and then with each of its bits flipped
        there = (g * (bits[:, None] - bits)).sum(axis=-1, keepdims=True)
        there = np.concatenate([there, there + g * (1 - 2 * bits[:, None])], axis=-1)
        inputs = np.stack(np.broadcast_arrays(f, there), axis=-1).reshape(-1, 2)
        parameters = self.network.parameters(node.memory)
        h = self.network.output(parameters, inputs).reshape(there.shape)
        others = 1 - identity(self.samples, bits)[:, :, None, None]
        h = (h * others).sum(axis=1) / (self.samples - 1)
        here, flipped = h[:, :, :1], h[:, :, 1:]
        change = (np.abs(score) * (flipped - here)).sum(axis=-1, keepdims=True)

        estimate = covariance(f + change, score) - (score * flipped).mean(axis=0)
        found = grad((estimate * estimate).sum(axis=-1).mean(), list(parameters.values()))
        gradients = {name: x.data for name, x in zip(parameters, found, strict=True)}
        node.propose(**self.network.learn(node.memory, gradients, node.cost))
        return deviation * estimate.data

    def __repr__(self):
        return f"Rodeo(samples={self.samples}, hidden={self.network.hidden}, rate={self.network.rate})"
