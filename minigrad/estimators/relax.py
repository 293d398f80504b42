"""A rule whose control variate is a small network, which is trained to reduce the variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad import devices, ops
from minigrad.estimators.concrete import logistic
from minigrad.estimators.networks import Network
from minigrad.functional import grad
from minigrad.rule import Estimator
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.aliases import Array
    from minigrad.stochastic import BinaryNode


class Relax(Estimator):
    """d cost / d logit = (b − p)(L − c_φ(z)) + (b − p)/(b − u) · dc_φ(z)/dz,  z = logit + log((1 − u)/u).

    REBAR with a network c_φ in place of the relaxed cost, so L may be a black box.  Unbiased for any φ, by the
    same integration by parts (``Rebar`` explains it, and why one z is enough).  The inputs of c_φ are tanh(z/2) of
    all units of the row, with z the logits with noise, and the node's context.  The mean of the estimate ĝ does
    not depend on φ, so a φ that minimises E[ĝ²] minimises the variance.  The network is trained with the gradient
    of ĝ² by φ, which takes the derivative of dc_φ/dz.  φ is the rule's memory.  Needs the cost.
    Grathwohl, Choi, Wu, Roeder & Duvenaud (2018), arXiv 1711.00123.

    Parameters
    ----------
    hidden : units of the network, which has one hidden layer.
    rate : learning rate of the network.
    seed : seed of its initial weights.

    Raises
    ------
    ValueError
        ``hidden`` is below 1, or ``rate`` is not above 0.
    """

    needs = frozenset({"cost"})
    unbiased = True

    def __init__(self, hidden: int = 16, rate: float = 0.01, seed: int = 0) -> None:
        self.network = Network(hidden, rate, seed)
        self.state = {}

    def backward(self, node: BinaryNode) -> Array:
        u = node.noise
        z = Tensor(node.logits + logistic(u), requires_grad=True)
        inputs = ops.tanh(z / 2)
        if node.context is not None:
            inputs = ops.concatenate([inputs, node.context.astype(float)], axis=1)
        state = node.memory or self.network.start(inputs.shape[1], devices.of(u))
        parameters = self.network.parameters(state)
        mean, deviation = self.network.scale(state)

        # in units of the standard deviation of the costs
        output = self.network.output(parameters, inputs)
        slope = grad(output.sum(), z, create_graph=True)
        score = node.value - node.probs
        estimate = score * ((node.cost.astype(float) - mean) / deviation - output) + score / (node.value - u) * slope
        grads = grad((estimate * estimate).sum(axis=1).mean(), list(parameters.values()))
        gradients = {name: g.data for name, g in zip(parameters, grads, strict=True)}
        node.propose(**self.network.learn(state, gradients, node.cost))
        return deviation * estimate.data

    def __repr__(self) -> str:
        return f"Relax(hidden={self.network.hidden}, rate={self.network.rate})"
