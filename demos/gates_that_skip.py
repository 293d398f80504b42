"""If a gate is closed, forward skips its units.  Can backward skip them, too?

    python -m demos.gates_that_skip
    python -m demos.gates_that_skip --device cuda       a larger layer, timed on a GPU

Forward, a block of units whose gate is 0 is not computed.  Backward, the block has no gradient.  But its gate has a
gradient: how the cost would change if the gate were open.  The gradient of a gate is ⟨g, the block's units⟩, where g is
the gradient of the block's output.  For a closed gate these units were not computed.

    REINFORCE and the other rules that use only costs do not need this gradient.  Backward skips closed blocks, too.
    Straight-through and similar rules use the gradient at b = 0 too.  Without it they still train, but with a
    different estimate and without an error message.  So in minigrad a rule declares ``needs_closed_gates``.  For such
    a rule the layer computes the skipped blocks in backward, and half of the saved time is lost.
    The gates of Gumbel-sigmoid are never exactly 0, so no block is skipped.

Left panel: the time of a training step with each rule, divided by that of the same step computed densely (NumPy or
CuPy products, same graph).  Right panel: the change of the estimate if closed gates get no gradient.
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
  In Network, use gates = mg.neurons.noisy_rectifier(logits), which are 0 or positive. Does backward need the gradient
    of a closed gate? And with mg.neurons.stochastic_times_smooth(logits)?
  BLOCK = 1, as in the paper. At which densities is the dense step faster now?
  Write a rule that only uses open gates: node.grad * node.value * (1 - node.probs). For which costs is it unbiased?
    (See demos.straight_through.)
"""


class Network:
    """Gated linear units and a linear layer.  Each gate is open with probability ``density``."""

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
        """One estimate of the gradient of the gates' logits."""
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
        self.output.bias.numpy()        # waits until a GPU has finished the step


def change(name):
    """The relative change of a rule's estimate without the gradients of closed gates, and whether it needs them."""
    rule = getattr(mg.estimators, name)()
    declared = "grad" in rule.needs and rule.needs_closed_gates
    network = Network(rule, 0.3, batch=8, inputs=12, units=24, block=4)
    rule.needs_closed_gates = True
    for seed in range(3):           # a rule with a memory learns
        network.step(seed)
    with mg.testing.frozen_memories():      # both estimates use the same memory
        whole = network.estimate(9)
        rule.needs_closed_gates = False
        without = network.estimate(9)
    return float(np.linalg.norm(without - whole) / max(np.linalg.norm(whole), 1e-30)), declared


def times(densities, sizes, rounds=9, device="cpu"):
    """The time of a training step divided by that of the dense step: a list over densities for each rule."""
    on_the_wall = perf_counter if device == "cuda" else None        # a process's clock stops while a GPU computes
    found = {"Reinforce": [], "StraightThrough": []}
    with clock.threads(1):
        for density in lesson.progress(densities, unit="density", leave=False, disable=None):
            made = {**sizes, "density": density, "device": device}
            networks = {name: Network(getattr(mg.estimators, name)(), **made) for name in found}
            networks["dense"] = Network(mg.estimators.StraightThrough(), dense=True, **made)
            for network in networks.values():
                network.step()          # compiles kernels if necessary
            seconds = clock.interleaved({name: n.step for name, n in networks.items()}, rounds, 0.005, on_the_wall)
            for name in found:
                found[name].append(seconds[name] / seconds["dense"])
    return found


def show(ratios, changes):
    lesson.table(["time / dense, at density", *map(str, DENSITIES)],
                 [[name, *(f"{r:.2f}" for r in ratio)] for name, ratio in ratios.items()])
    print()
    lesson.table(["rule", "declares that it needs closed gates", "change without them"],
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
        parser.error("--device: expected a GPU, got a simulated one, whose times have no meaning")
    ratios = times(DENSITIES, SIZES[given.device], device=given.device)
    changes = {name: change(name) for name in mg.estimators.__all__}
    show(ratios, changes)
    lesson.close(draw(ratios, changes), given.out, TRY)
    return 0


if __name__ == "__main__":
    clock.without_presets()
    sys.exit(main())
