"""REINFORCE with a baseline that has learned which cost to expect."""

from minigrad import devices
from minigrad.estimators.networks import Network
from minigrad.estimators.score_function import Reinforce
from minigrad.functional import grad
from minigrad.tensor import Tensor


class LearnedBaseline(Network):
    """L̄ = c_φ(context), a small network that predicts the cost of each row from the node's context.

    For ``Reinforce(baseline=LearnedBaseline())``.  φ descends (L − c_φ)² on past passes, in units of the
    deviation of the costs, so that the rate suits costs on any scale.  It never sees the sample, so the
    estimate stays unbiased.  Without a context it can only learn the mean cost.
    """

    def start(self, inputs=None, device="cpu"):
        """Empty until the first pass shows how many inputs there are."""
        return {} if inputs is None else super().start(inputs, device)

    def inputs(self, node):
        return node.cost[:, :0].astype(float) if node.context is None else node.context.astype(float)

    def value(self, node, state):
        if not state:
            return 0.0
        mean, deviation = self.scale(state)
        output = self.output({name: state[name] for name in "Wavc"}, self.inputs(node))
        return (mean + deviation * output).astype(node.cost.dtype)

    def learn(self, node, state):
        x = self.inputs(node)
        state = state or self.start(x.shape[1], devices.of(x))
        mean, deviation = self.scale(state)
        parameters = self.parameters(state)
        error = (node.cost.astype(float) - mean) / deviation - self.output(parameters, Tensor(x))
        found = grad((error * error).mean(), list(parameters.values()))
        return super().learn(state, {name: g.data for name, g in zip(parameters, found, strict=True)}, node.cost)


class Nvil(Reinforce):
    """d cost / d logit = (b − p)(L − c_φ(context)): REINFORCE whose baseline is a small network.

    What made variational inference with binary latent variables practical: a cost depends first of all
    on which example it is about, which the context of the node (``mg.bernoulli(..., context=x)``) shows
    and the baseline takes away.  φ descends the squared error of the prediction, on past passes; it is
    the rule's memory.  Unbiased.  Needs the cost.
    Mnih & Gregor (2014), arXiv 1402.0030.

    Parameters
    ----------
    hidden : units of the network, which has one hidden layer.
    rate : of its steps.
    seed : of its first weights.
    """

    def __init__(self, hidden=16, rate=0.01, seed=0):
        super().__init__(LearnedBaseline(hidden, rate, seed))

    def __repr__(self):
        return f"Nvil(hidden={self.baseline.hidden}, rate={self.baseline.rate})"
