"""A training step of a gated network, and the same computation in dense NumPy and torch.

    gates = 1[u < σ(logits)]             of shape (batch, gates); the logits are given
    h = gates · max(x Wᵀ + b, 0)         one gate for each block of units
    scores = h Vᵀ + c
    loss = the mean cross-entropy of the scores

Then W, b, V and c take a step of gradient descent.  The step includes sampling the gates.
"""

import cProfile
import pstats
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

import minigrad as mg
from demos.benchmarks.layer import assert_close

RATE = 0.01


def problem(batch, inputs, units, outputs, block, density, dtype="float32"):
    """Arguments of the networks below.  Each gate is open with probability `density`."""
    rng = np.random.default_rng(0)
    chance = min(density, 1 - 1e-9)
    return {
        "x": rng.standard_normal((batch, inputs)).astype(dtype),
        "labels": rng.integers(0, outputs, batch),
        "logits": np.full((batch, units // block), np.log(chance / (1 - chance)), dtype),
        "weight": (rng.standard_normal((units, inputs)) / inputs**0.5).astype(dtype),
        "consumer": (rng.standard_normal((outputs, units)) / units**0.5).astype(dtype),
        "block": block,
    }


class InMinigrad:
    """The network with minigrad's public functions."""

    def __init__(self, x, labels, logits, weight, consumer, block):
        self.x, self.labels, self.logits = mg.tensor(x), labels, mg.tensor(logits)
        self.rng, self.rule = mg.Generator(0), mg.estimators.StraightThrough()
        (outputs, units), dtype = consumer.shape, x.dtype
        self.hidden = mg.nn.GatedLinear(x.shape[1], units, self.rng, block=block, dtype=dtype)
        self.output = mg.nn.Linear(units, outputs, self.rng, gated_inputs=True, dtype=dtype)
        self.hidden.weight.data[...] = weight
        self.output.weight.data[...] = consumer
        self.optimiser = mg.optim.SGD([self.hidden, self.output], lr=RATE)

    def step(self):
        gates = mg.bernoulli(self.logits, self.rule, rng=self.rng)
        h = mg.relu(self.hidden(self.x, gates))
        loss = mg.expected(mg.cross_entropy(self.output(h), self.labels))
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def parameters(self):
        return [parameter.data for parameter in (self.hidden.weight, self.hidden.bias,
                                                 self.output.weight, self.output.bias)]


class InNumPy:
    """The dense network in NumPy, with derivatives by hand and reused arrays."""

    def __init__(self, x, labels, logits, weight, consumer, block):
        self.x, self.labels, self.logits, self.block = x, labels, logits, block
        self.rng = np.random.default_rng(0)
        self.weight, self.consumer = weight.copy(), consumer.copy()
        self.bias, self.offset = np.zeros(len(weight), x.dtype), np.zeros(len(consumer), x.dtype)
        self.dw, self.dv = np.empty_like(weight), np.empty_like(consumer)
        self.h, self.dh = np.empty((2, len(x), len(weight)), x.dtype)
        self.scores = np.empty((len(x), len(consumer)), x.dtype)

    def step(self):
        x, h, dh = self.x, self.h, self.dh
        u = self.rng.random(self.logits.shape, dtype=x.dtype)
        gates = np.repeat(u < 1 / (1 + np.exp(-self.logits)), self.block, axis=1)
        np.matmul(x, self.weight.T, out=h)
        h += self.bias
        np.maximum(h, 0, out=h)
        h *= gates
        p = np.matmul(h, self.consumer.T, out=self.scores)
        p += self.offset
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)           # softmax; the next lines compute the gradient of the scores
        p[np.arange(len(x)), self.labels] -= 1
        p *= 1 / len(x)
        np.matmul(p.T, h, out=self.dv)
        np.matmul(p, self.consumer, out=dh)
        dh *= h > 0                                 # open gate and positive rectifier
        (np.multiply if len(x) == 1 else np.matmul)(dh.T, x, out=self.dw)
        for parameter, gradient in ((self.weight, self.dw), (self.bias, dh.sum(axis=0)),
                                    (self.consumer, self.dv), (self.offset, p.sum(axis=0))):
            gradient *= RATE
            parameter -= gradient

    def parameters(self):
        return [self.weight, self.bias, self.consumer, self.offset]


class InTorch:
    """The dense network in torch, with torch's derivatives and optimiser."""

    def __init__(self, x, labels, logits, weight, consumer, block):
        import torch

        self.torch, self.block = torch, block
        torch.manual_seed(0)
        self.x, self.labels, self.logits = map(torch.from_numpy, (x, labels, logits))
        zeros = np.zeros(len(weight), x.dtype), np.zeros(len(consumer), x.dtype)
        self.trained = [torch.tensor(array, requires_grad=True)
                        for array in (weight, zeros[0], consumer, zeros[1])]
        self.optimiser = torch.optim.SGD(self.trained, lr=RATE)

    def step(self):
        functional = self.torch.nn.functional
        weight, bias, consumer, offset = self.trained
        gates = self.torch.rand_like(self.logits) < self.torch.sigmoid(self.logits)
        h = functional.relu(functional.linear(self.x, weight, bias)) * gates.repeat_interleave(self.block, 1)
        loss = functional.cross_entropy(functional.linear(h, consumer, offset), self.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def parameters(self):
        return [parameter.detach().numpy() for parameter in self.trained]


def networks():
    """The classes above for the installed libraries, by name."""
    found = {"minigrad": InMinigrad, "NumPy": InNumPy}
    return found | {"torch": InTorch} if find_spec("torch") else found


def check(networks, batch, inputs, units, outputs, block):
    """Raise AssertionError unless two steps give the same parameters in every network.

    The gates are deterministic.  Uses float64: in float32, rounding can move a unit to the other side of its threshold.
    """
    given = problem(batch, inputs, units, outputs, block, 0.5, "float64")
    certain = np.random.default_rng(1).random(given["logits"].shape) < 0.5
    given["logits"] = np.where(certain, 60.0, -60.0)
    results = {}
    for name, network in networks.items():
        made = network(**given)
        made.step()
        made.step()
        results[name] = made.parameters()
    for name, parameters in results.items():
        for ours, theirs in zip(results["minigrad"], parameters, strict=True):
            assert_close(name, theirs, ours)


def share_in_kernels(network, rounds, steps=50):
    """The part of a step's time that is spent in compiled kernels, and a profile of the rest.

    Python's profiler sees Numba's compiled functions where Python calls them.  Their own time in the
    profile is the time in the kernel, including the conversion of the arguments.  The profiler makes
    Python functions slower.  So the whole step is timed without it, in turns with profiled steps.
    The profiler does not see BLAS products that NumPy calls.  If there are any, the part is a lower
    bound.

    All times are processor times, which do not include time that other processes use.

    Returns
    -------
    (seconds of a step, seconds of it inside each kernel by name, the profile of all steps), medians
    """
    whole, inside, profiles = [], [], []
    for _ in range(rounds):
        begin = process_time()
        for _ in range(steps):
            network.step()
        whole.append((process_time() - begin) / steps)
        profiles.append(cProfile.Profile(process_time))
        profiles[-1].enable()
        for _ in range(steps):
            network.step()
        profiles[-1].disable()
        compiled = compiled_functions()
        inside.append({compiled[place]: own / steps
                       for place, (_, _, own, _, _) in pstats.Stats(profiles[-1]).stats.items() if place in compiled})
    if not inside[0]:
        raise ValueError("profile: expected kernels in the profile, got none. From Python 3.12 on, the profiler does "
                         "not see compiled functions: use Python 3.11")
    return (median(whole), {name: median(times[name] for times in inside) for name in inside[0]},
            pstats.Stats(*profiles))


def compiled_functions():
    """The names of the loaded kernels, by their location as the profiler reports it."""
    found = {}
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("minigrad.kernels."):
            for function in vars(module).values():
                code = getattr(getattr(function, "py_func", None), "__code__", None)
                if code is not None and Path(code.co_filename).stem != "layout":    # Python calls those as well
                    name = f"{Path(code.co_filename).stem}.{code.co_name}"
                    found[code.co_filename, code.co_firstlineno, code.co_name] = name
    return found
