"""A closed gate saves the work of its units.  Does it save it in the backward pass as well?

    python -m demos.gates_that_skip
    python -m demos.gates_that_skip --device cuda       a larger layer, timed on a GPU

Forward, a block of units whose gate is 0 need not be computed.  Backward, it has no gradient of its
own.  But the gate has: if it had been open, what would the cost have been?  The gradient that arrives
at a gate is ⟨g, the block's units⟩, and for a closed gate nobody has computed those.

    REINFORCE and all rules that work from costs do not ask: what is closed stays closed.
    Straight-through and its relatives use the gradient at b = 0.  Without it they still train, on
    something else, and nothing tells.  So in minigrad a rule says ``needs_closed_gates``, and the
    layer computes for it what it skipped before: half of the gain is gone.
    Gumbel-sigmoid's gates are never quite 0, so there is nothing to skip.

Left: a training step, timed with either rule, in units of the same step done densely, by the products
of NumPy or CuPy through the same graph.  Right: how much an estimate changes where closed gates go without.
"""

import sys
from time import perf_counter

import numpy as np

import minigrad as mg
from demos import lesson
from demos.benchmarks import measure as clock

SIZES = {"cpu": {"batch": 128, "inputs": 512, "units": 1024}, "cuda": {"batch": 512, "inputs": 4096, "units": 16384}}
BLOCK, OUTPUTS = 16, 10
DENSITIES = 0.02, 0.05, 0.1, 0.2, 0.4, 0.7
TRY = """
  In the network, gates = mg.neurons.noisy_rectifier(logits), which is 0 where it is closed and real where not:
    what does it need to know about a closed gate? And mg.neurons.stochastic_times_smooth(logits)?
  BLOCK = 1, the case of the paper: where does the dense step win now?
  A rule of your own that looks at open gates only, node.grad * node.value * (1 - node.probs): for which costs is its
    mean right? (See demos.straight_through.)
"""


class Network:
    """Gated linear units and a linear layer, with logits that open gates with chance ``density``."""

    def __init__(self, rule, density, batch, inputs, units, block=BLOCK, dense=False, device="cpu"):
        numbers = mg.Generator(0, device=device)
        self.rule, self.dense, self.device = rule, dense, device
        self.x = mg.tensor(numbers.normal((batch, inputs), np.float32))
        self.y = mg.tensor(numbers.normal((batch, OUTPUTS), np.float32))
        logits = float(np.log(density / (1 - density))) + numbers.normal((batch, units // block), np.float32) / 100
        self.logits = mg.tensor(logits, requires_grad=True, dtype="float32")
        self.hidden = mg.nn.GatedLinear(inputs, units, numbers, block=block, device=device)
        self.output = mg.nn.Linear(units, OUTPUTS, numbers, gated_inputs=True, device=device)
        self.optimiser = mg.optim.SGD([self.hidden, self.output], lr=1e-3)

    def estimate(self, seed):
        """The gradient of the gates' logits, by one estimate."""
        gates = mg.bernoulli(self.logits, self.rule, rng=mg.Generator(seed, device=self.device))
        if self.dense:
            units = mg.linear(self.x, self.hidden.weight, self.hidden.bias)
            units = units * mg.repeat(gates, self.hidden.block, axis=1)
        else:
            units = self.hidden(self.x, gates)
        loss = mg.expected(((self.output(units) - self.y) ** 2).sum(axis=1))
        self.optimiser.zero_grad()
        self.logits.grad = None
        loss.backward(free=True)
        return self.logits.grad

    def step(self, seed=0):
        self.estimate(seed)
        self.optimiser.step()
        self.output.bias.numpy()        # waits for a GPU, if the step is on one


def change(name):
    """How much of a rule's estimate is lost where closed gates get no gradient, and what the rule says."""
    rule = getattr(mg.estimators, name)()
    declared = "grad" in rule.needs and rule.needs_closed_gates
    network = Network(rule, 0.3, batch=8, inputs=12, units=24, block=4)
    rule.needs_closed_gates = True
    for seed in range(3):           # let it learn, if it does
        network.step(seed)
    with mg.testing.frozen_memories():      # both estimates from what it has learned so far
        whole = network.estimate(9)
        rule.needs_closed_gates = False
        without = network.estimate(9)
    return float(np.linalg.norm(without - whole) / max(np.linalg.norm(whole), 1e-30)), declared


def times(densities, sizes, rounds=9, device="cpu"):
    """Seconds of a training step in units of the dense one: arrays over densities by name."""
    on_the_wall = perf_counter if device == "cuda" else None        # no process's clock runs while a GPU computes
    found = {"Reinforce": [], "StraightThrough": []}
    with clock.threads(1):
        for density in lesson.progress(densities, unit="density", leave=False, disable=None):
            made = {**sizes, "density": density, "device": device}
            networks = {name: Network(getattr(mg.estimators, name)(), **made) for name in found}
            networks["dense"] = Network(mg.estimators.StraightThrough(), dense=True, **made)
            for network in networks.values():
                network.step()          # kernels may have to be compiled
            seconds = clock.interleaved({name: n.step for name, n in networks.items()}, rounds, 0.005, on_the_wall)
            for name in found:
                found[name].append(seconds[name] / seconds["dense"])
    return found


def show(ratios, changes):
    lesson.table(["time / dense, at density", *map(str, DENSITIES)],
                 [[name, *(f"{r:.2f}" for r in ratio)] for name, ratio in ratios.items()])
    print()
    lesson.table(["rule", "says it needs closed gates", "change without"],
                 [[name, "yes" if declared else "no", f"{size:.2g}"] for name, (size, declared) in changes.items()])


def draw(ratios, changes):
    figure, (left, right) = lesson.figure(1, 2, height=5.8)
    for (name, ratio), colour, marker in zip(ratios.items(), (lesson.BLUE, lesson.RED), "os", strict=True):
        left.plot(DENSITIES, ratio, color=colour, marker=marker, markersize=5, label=name)
    left.plot(DENSITIES, DENSITIES, ":", color=lesson.GREY, label="ideal: work in proportion")
    left.axhline(1, color="black", linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="density of open gates", ylabel="time / time of the dense step")
    for axis, ticks in ((left.xaxis, DENSITIES), (left.yaxis, (0.02, 0.05, 0.1, 0.2, 0.5, 1))):
        axis.set_ticks(ticks, map(str, ticks))
        axis.set_ticks([], minor=True)
    left.set_title(f"A training step, blocks of {BLOCK} units", fontsize=11)
    left.legend(frameon=False, loc="lower right")
    names = sorted(changes, key=lambda name: (changes[name][0], name), reverse=True)
    for place, (size, declared) in enumerate(changes[name] for name in names):
        right.plot([0, size], [place, place], "-", color=lesson.RED, linewidth=3)
        right.plot(size, place, "o", markersize=5, color=lesson.RED if declared else lesson.BLUE)
    right.set_yticks(range(len(names)), names)
    right.tick_params(axis="y", labelsize=8)
    right.set(xlabel="change of the estimate, relative", ylim=(len(names) - 0.4, -0.6))
    right.set_title("Closed gates' gradients left out:\nred where the rule says that it needs them", fontsize=11)
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, device="cpu")
    given = parser.parse_args(argv)
    if mg.devices.describe(given.device) == "cuda (simulated)":
        parser.error("--device: expected a GPU, got one that is simulated, whose time means nothing")
    ratios = times(DENSITIES, SIZES[given.device], device=given.device)
    changes = {name: change(name) for name in mg.estimators.__all__}
    show(ratios, changes)
    lesson.close(draw(ratios, changes), given.out, TRY)
    return 0


if __name__ == "__main__":
    clock.without_presets()
    sys.exit(main())
