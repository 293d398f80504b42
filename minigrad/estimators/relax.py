"""A control variate that is a network, trained for the variance it leaves."""

from minigrad import devices, ops
from minigrad.estimators.concrete import logistic
from minigrad.estimators.networks import Network
from minigrad.functional import grad
from minigrad.rule import Estimator
from minigrad.tensor import Tensor


class Relax(Estimator):
    """d cost / d logit = (b − p)(L − c_φ(z)) + (b − p)/(b − u) · dc_φ(z)/dz,  z = logit + log((1 − u)/u).

    REBAR with a network c_φ in place of the relaxed cost, so L may be a black box: unbiased for any φ,
    by the same integration by parts (see ``Rebar``, also for why one z is enough).  c_φ sees the noisy
    logits z of all units of the row, squashed by tanh(z/2), and the node's context.  Since the mean of
    the estimate ĝ does not depend on φ, descending E[ĝ²] descends its variance: the gradient of ĝ² by φ,
    which differentiates dc_φ/dz once more, trains the network; φ is the rule's memory.  Needs the cost.
    Grathwohl, Choi, Wu, Roeder & Duvenaud (2018), arXiv 1711.00123.

    Parameters
    ----------
    hidden : units of the network, which has one hidden layer.
    rate : of its steps.
    seed : of its first weights.
    """

    needs = frozenset({"cost"})
    unbiased = True

    def __init__(self, hidden=16, rate=0.01, seed=0):
        self.network = Network(hidden, rate, seed)
        self.state = {}

    def backward(self, node):
        u = node.noise
        z = Tensor(node.logits + logistic(u), requires_grad=True)
        inputs = ops.tanh(z / 2)
        if node.context is not None:
            inputs = ops.concatenate([inputs, node.context.astype(float)], axis=1)
        state = node.memory or self.network.start(inputs.shape[1], devices.of(u))
        parameters = self.network.parameters(state)
        mean, deviation = self.network.scale(state)

        # in units of the deviation of the costs
        output = self.network.output(parameters, inputs)
        slope = grad(output.sum(), z, create_graph=True)
        score = node.value - node.probs
        estimate = score * ((node.cost.astype(float) - mean) / deviation - output) + score / (node.value - u) * slope
        found = grad((estimate * estimate).sum(axis=1).mean(), list(parameters.values()))
        gradients = {name: g.data for name, g in zip(parameters, found, strict=True)}
        node.propose(**self.network.learn(state, gradients, node.cost))
        return deviation * estimate.data

    def __repr__(self):
        return f"Relax(hidden={self.network.hidden}, rate={self.network.rate})"
