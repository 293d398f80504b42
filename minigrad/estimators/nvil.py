"""REINFORCE with a baseline that learns to predict the cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad import devices
from minigrad.estimators.networks import Network
from minigrad.estimators.score_function import Reinforce
from minigrad.functional import grad
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.aliases import Array, Memory
    from minigrad.stochastic import BinaryNode


class LearnedBaseline(Network):
    """L̄ = c_φ(context), a small network that predicts the cost of each row from the node's context.

    Use it as ``Reinforce(baseline=LearnedBaseline())``.  φ minimises (L − c_φ)² on past passes.  The costs are
    standardised first, so one learning rate suits costs of any scale.  The network never sees the sample, so the
    estimate stays unbiased.  Without a context it learns the mean cost only.
    """

    def start(self, inputs: int | None = None, device: str = "cpu") -> Memory:
        """The first memory.  It is empty as long as the number of inputs is not known."""
        return {} if inputs is None else super().start(inputs, device)

    def inputs(self, node: BinaryNode) -> Array:
        """The context of each row, (rows, features), in float64."""
        return node.cost[:, :0].astype(float) if node.context is None else node.context.astype(float)

    def value(self, node: BinaryNode, state: Memory) -> Array | float:
        if not state:
            return 0.0
        mean, deviation = self.scale(state)
        output = self.output({name: state[name] for name in "Wavc"}, self.inputs(node))
        return (mean + deviation * output).astype(node.cost.dtype)

    def learn(self, node: BinaryNode, state: Memory) -> Memory:
        x = self.inputs(node)
        state = state or self.start(x.shape[1], devices.of(x))
        mean, deviation = self.scale(state)
        parameters = self.parameters(state)
        error = (node.cost.astype(float) - mean) / deviation - self.output(parameters, Tensor(x))
        grads = grad((error * error).mean(), list(parameters.values()))
        return super().learn(state, {name: g.data for name, g in zip(parameters, grads, strict=True)}, node.cost)


class Nvil(Reinforce):
    """d cost / d logit = (b − p)(L − c_φ(context)): REINFORCE whose baseline is a small network.

    It made variational inference with binary latent variables practical.  Much of the variance of the costs is
    due to differences between examples.  The network gets the example as the context of the node
    (``mg.bernoulli(..., context=x)``), so the baseline removes this part of the variance.  φ minimises the squared
    error of the prediction on past passes.  It is the rule's memory.  Unbiased.  Needs the cost.
    Mnih & Gregor (2014), arXiv 1402.0030.

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

    def __init__(self, hidden: int = 16, rate: float = 0.01, seed: int = 0) -> None:
        super().__init__(LearnedBaseline(hidden, rate, seed))

    def __repr__(self) -> str:
        return f"Nvil(hidden={self.baseline.hidden}, rate={self.baseline.rate})"
