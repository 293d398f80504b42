"""The paper's network without skipping: all 2000 experts are computed, then multiplied by their gates.

    hidden = tanh(x A' + a)         logits = hidden B' + b
    gates = drawn from the logits   experts = x E' + e
    scores = (gates ⊙ experts) W' + c

The training step is gradient descent, with or without momentum, on mean cost + λ · penalty, as in
``demos.conditional_mnist``.  There are three implementations: NumPy with derivatives by hand and reused arrays, torch
with its own derivatives, and minigrad, which skips closed experts.  The source of noise is an argument, so all three
can be run with the same noise and compared.
"""

from functools import partial
from importlib.util import find_spec

import numpy as np

import minigrad as mg
from demos.benchmarks.layer import assert_close
from demos.conditional_mnist import METHODS, OPEN, SmoothGates

CUT = -2.0          # the threshold of logits at test, for comparisons


# ---- in minigrad ---------------------------------------------------------------------------------------------


class InMinigrad:
    """A network of ``mg.nn`` and gates of ``demos.conditional_mnist``."""

    def __init__(self, network, gates, penalty, rate, momentum, noise=None):
        self.network, self.gates, self.penalty = network, gates, penalty
        self.noise = noise or mg.Generator(0)
        self.optimiser = mg.optim.SGD(network, lr=lambda step: rate, momentum=momentum)

    def step(self, x, labels):
        """One training step.  Returns the gates."""
        gates, penalty = self.gates.training(self.network.logits(x), self.noise)
        costs = mg.cross_entropy(self.network.scores(x, gates), labels)
        loss = mg.expected(costs) + self.penalty * penalty
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return gates

    def scores(self, x, cut):
        """The scores of the network at test."""
        with mg.no_grad():
            return self.network.scores(x, self.gates.test(self.network.logits(x), cut)).numpy()

    def parameters(self):
        return {name: x.numpy() for name, x in self.network.named_parameters().items()}


# ---- in NumPy ------------------------------------------------------------------------------------------------
#
# ``draw`` computes gates from logits a; ``slope`` is d loss / d logits, from d loss / d gates and each example's cost.


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def usage_slope(p):
    """The derivative of the penalty −Σ s log p̄ + (1 − s) log(1 − p̄) with respect to each logit."""
    mean = p.mean(axis=0)
    return ((1 - OPEN) / (1 - mean) - OPEN / mean) / len(p) * (p * (1 - p))


class StraightThrough:
    def draw(self, a, noise):
        self.p = sigmoid(a)
        self.bits = (noise.uniform(a.shape, a.dtype) < self.p).astype(a.dtype)
        return self.bits

    def slope(self, by_gates, costs, penalty):
        return by_gates + penalty * usage_slope(self.p)

    def at_test(self, a, cut):
        return (a > cut).astype(a.dtype)


class ScoreFunction(StraightThrough):
    """REINFORCE with the optimal baseline: two moving averages for each unit."""

    product = square = 0.0

    def slope(self, by_gates, costs, penalty):
        score = self.bits - self.p
        baseline = self.product / self.square if np.ndim(self.square) else 0.0
        weight = score * score
        self.product = 0.9 * self.product + 0.1 * (weight * costs[:, None]).mean(axis=0)
        self.square = 0.9 * self.square + 0.1 * weight.mean(axis=0)
        return score * (costs[:, None] - baseline) / len(costs) + penalty * usage_slope(self.p)


class Smooth(StraightThrough):
    """b √p.  The noise of the logits is drawn from a table of values with equal probability."""

    def __init__(self):
        self.table = SmoothGates().noise

    def draw(self, a, noise):
        self.p = sigmoid(a + self.table[noise.integers(len(self.table), a.shape)])
        root = np.sqrt(self.p)
        self.gates = root * (noise.uniform(a.shape, a.dtype) < root)
        return self.gates

    def slope(self, by_gates, costs, penalty):
        return by_gates * self.gates * (1 - self.p) / 2 + penalty * usage_slope(self.p)

    def at_test(self, a, cut):
        return (a > cut) * np.sqrt(sigmoid(a + self.table.mean()))


class Rectifier:
    def __init__(self, noisy):
        self.noisy = noisy

    def draw(self, a, noise):
        self.gates = np.maximum(a + noise.normal(a.shape, a.dtype) if self.noisy else a, 0)
        return self.gates

    def slope(self, by_gates, costs, penalty):
        return (by_gates + penalty / len(by_gates)) * (self.gates > 0)

    def at_test(self, a, cut):
        return np.maximum(a, 0)


class Sigmoid:
    def __init__(self, noisy):
        self.noisy = noisy

    def draw(self, a, noise):
        self.gates = sigmoid(a + noise.normal(a.shape, a.dtype) if self.noisy else a)
        return self.gates

    def slope(self, by_gates, costs, penalty):
        return by_gates * self.gates * (1 - self.gates)

    def at_test(self, a, cut):
        return sigmoid(a)


class NumPyNoise:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def uniform(self, shape, dtype):
        return self.rng.random(shape, dtype)

    def normal(self, shape, dtype):
        return self.rng.standard_normal(shape, dtype)

    def integers(self, high, shape):
        return self.rng.integers(high, size=shape, dtype=np.int32)


class InNumPy:
    """The dense network in NumPy.  ``parameters`` are those of ``mg.nn.ConditionalNetwork``, by name."""

    kinds = {
        "straight-through": StraightThrough, "sbn": ScoreFunction, "sts": Smooth,
        "noisy-rectifier": partial(Rectifier, noisy=True), "baseline-rectifier": partial(Rectifier, noisy=False),
        "baseline-sigmoid": partial(Sigmoid, noisy=False), "baseline-sigmoid-noise": partial(Sigmoid, noisy=True),
    }

    def __init__(self, parameters, method, block, penalty, rate, momentum, noise=None):
        self.values = {name: np.array(x, order="C") for name, x in parameters.items()}
        self.gradients = {name: np.empty_like(x) for name, x in self.values.items()}
        self.velocities = {name: np.zeros_like(x) for name, x in self.values.items()} if momentum else {}
        self.gates, self.block = self.kinds[method](), block
        self.penalty, self.rate, self.momentum, self.noise = penalty, rate, momentum, noise or NumPyNoise()

    def linear(self, name, x):
        out = np.matmul(x, self.values[f"{name}.weight"].T)
        out += self.values[f"{name}.bias"]
        return out

    def linear_backward(self, name, g, x):
        np.matmul(g.T, x, out=self.gradients[f"{name}.weight"])
        np.sum(g, axis=0, out=self.gradients[f"{name}.bias"])

    def by_unit(self, gates):
        return gates if self.block == 1 else np.repeat(gates, self.block, axis=1)

    def step(self, x, labels):
        hidden = np.tanh(self.linear("gater.0", x))
        gates = self.gates.draw(self.linear("gater.1", hidden), self.noise)
        experts, units = self.linear("experts", x), self.by_unit(gates)
        h = units * experts
        p = self.linear("output", h)
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(x))
        costs = -np.log(p[rows, labels])
        p[rows, labels] -= 1
        p *= 1 / len(x)                             # d loss / d scores
        self.linear_backward("output", p, h)
        g = p @ self.values["output.weight"]
        by_gates = g * experts
        if self.block > 1:
            by_gates = by_gates.reshape(*gates.shape, self.block).sum(axis=2)
        g *= units
        self.linear_backward("experts", g, x)
        by_logits = self.gates.slope(by_gates, costs, self.penalty)
        self.linear_backward("gater.1", by_logits, hidden)
        g = by_logits @ self.values["gater.1.weight"]
        g *= 1 - hidden * hidden
        self.linear_backward("gater.0", g, x)
        for name, value in self.values.items():
            gradient = self.gradients[name]
            gradient *= self.rate
            if self.momentum:
                velocity = self.velocities[name]
                velocity *= self.momentum
                velocity -= gradient
                value += velocity
            else:
                value -= gradient

    def scores(self, x, cut):
        gates = self.gates.at_test(self.linear("gater.1", np.tanh(self.linear("gater.0", x))), cut)
        h = self.linear("experts", x)
        h *= self.by_unit(gates)
        return self.linear("output", h)

    def parameters(self):
        return self.values


# ---- in torch ------------------------------------------------------------------------------------------------


class TorchNoise:
    def __init__(self, rng=None):
        import torch

        self.torch, self.rng = torch, rng           # a Generator to use instead of torch's own
        torch.manual_seed(0)

    def uniform(self, a):
        return self.torch.rand_like(a) if self.rng is None else self.same(self.rng.uniform, a)

    def normal(self, a):
        return self.torch.randn_like(a) if self.rng is None else self.same(self.rng.normal, a)

    def integers(self, high, a):
        if self.rng is None:
            return self.torch.randint(high, a.shape)
        return self.torch.from_numpy(self.rng.integers(high, tuple(a.shape)))

    def same(self, draw, a):
        return self.torch.from_numpy(draw(tuple(a.shape), a.numpy(force=True).dtype))


class InTorch:
    """The dense network in torch, with torch's derivatives and optimiser."""

    def __init__(self, parameters, method, block, penalty, rate, momentum, noise=None):
        import torch

        self.torch, self.method, self.block, self.penalty = torch, method, block, penalty
        self.noise = noise or TorchNoise()
        table = SmoothGates().noise
        self.table, self.mean = torch.from_numpy(table), float(table.mean())
        self.product = self.square = None           # averages for the baseline
        self.values = {name: torch.tensor(np.array(x, order="C"), requires_grad=True)
                       for name, x in parameters.items()}
        self.optimiser = torch.optim.SGD(self.values.values(), lr=rate, momentum=momentum)

    def linear(self, name, x):
        return self.torch.nn.functional.linear(x, self.values[f"{name}.weight"], self.values[f"{name}.bias"])

    def by_unit(self, gates):
        return gates if self.block == 1 else gates.repeat_interleave(self.block, 1)

    def usage(self, p):
        mean = p.mean(0)
        return -(OPEN * mean.log() + (1 - OPEN) * (1 - mean).log()).sum()

    def draw(self, a):
        """The gates and the penalty."""
        torch = self.torch
        if self.method in ("straight-through", "sbn"):
            p = torch.sigmoid(a)
            bits = (self.noise.uniform(a) < p).to(a.dtype)
            self.score = (bits - p).detach()
            # The value is that of the bits.  With straight-through, the derivative is that of a.
            gates = bits + (a - a.detach()) if self.method == "straight-through" else bits
            return gates, self.usage(p)
        if self.method == "sts":
            p = torch.sigmoid(a + self.table[self.noise.integers(len(self.table), a)])
            root = p.sqrt()
            return root * (self.noise.uniform(a) < root), self.usage(p)
        if self.method.endswith("rectifier"):
            gates = torch.relu(a + self.noise.normal(a) if self.method == "noisy-rectifier" else a)
            return gates, gates.abs().sum(1).mean()
        return torch.sigmoid(a + self.noise.normal(a) if self.method == "baseline-sigmoid-noise" else a), 0.0

    def step(self, x, labels):
        a = self.linear("gater.1", self.torch.tanh(self.linear("gater.0", x)))
        gates, penalty = self.draw(a)
        scores = self.linear("output", self.by_unit(gates) * self.linear("experts", x))
        costs = self.torch.nn.functional.cross_entropy(scores, labels, reduction="none")
        loss = costs.mean() + self.penalty * penalty
        if self.method == "sbn":
            loss = loss + (self.estimate(costs.detach()) * a).sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def estimate(self, costs):
        """The REINFORCE estimate of d loss / d logits, with the optimal baseline."""
        weight = self.score * self.score
        product, square = (weight * costs[:, None]).mean(0), weight.mean(0)
        if self.product is None:
            baseline, self.product, self.square = 0.0, 0.1 * product, 0.1 * square
        else:
            baseline = self.product / self.square
            self.product, self.square = 0.9 * self.product + 0.1 * product, 0.9 * self.square + 0.1 * square
        return self.score * (costs[:, None] - baseline) / len(costs)

    def scores(self, x, cut):
        torch = self.torch
        with torch.no_grad():
            a = self.linear("gater.1", torch.tanh(self.linear("gater.0", x)))
            if self.method.endswith("rectifier"):
                gates = torch.relu(a)
            elif self.method.startswith("baseline-sigmoid"):
                gates = torch.sigmoid(a)
            else:
                gates = (a > cut).to(a.dtype)
                if self.method == "sts":
                    gates = gates * torch.sigmoid(a + self.mean).sqrt()
            return self.linear("output", self.by_unit(gates) * self.linear("experts", x)).numpy()

    def parameters(self):
        return {name: x.detach().numpy() for name, x in self.values.items()}


# ---- comparison ----------------------------------------------------------------------------------------------


def libraries():
    """The dense networks of the installed libraries, by name."""
    return {"NumPy": InNumPy, "torch": InTorch} if find_spec("torch") else {"NumPy": InNumPy}


def check(method, block=1, momentum=0.9, others=None):
    """Raise AssertionError unless two steps with the same noise give equal parameters and scores in all networks.

    Uses float64.  In float32, rounding can move a logit to the other side of a gate's threshold.
    """
    rng, penalty, rate = np.random.default_rng(0), 0.5, 0.1
    network = mg.nn.ConditionalNetwork(mg.Generator(1), inputs=6, hidden=5, units=8, outputs=3, block=block,
                                       dtype=np.float64)
    network.gater[1].bias.data += CUT
    x, labels = rng.standard_normal((4, 6)), rng.integers(0, 3, 4)
    start = network.state_dict()
    ours = InMinigrad(network, METHODS[method].gates(), penalty, rate, momentum, mg.Generator(2))
    for _ in range(2):
        ours.step(x, labels)
    for name, other in (others or libraries()).items():
        noise, given = mg.Generator(2), (x, labels)
        if other is InTorch:
            import torch

            noise, given = TorchNoise(noise), (torch.from_numpy(x), torch.from_numpy(labels))
        theirs = other(start, method, block, penalty, rate, momentum, noise)
        for _ in range(2):
            theirs.step(*given)
        found = theirs.parameters()
        for key, wanted in ours.parameters().items():
            assert_close(f"{method}, {name}, {key}", found[key], wanted)
        assert_close(f"{method}, {name}, scores", theirs.scores(given[0], CUT), ours.scores(x, CUT))
