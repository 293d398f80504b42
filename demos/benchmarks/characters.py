"""The time of a training step of a small character model, with a gated layer and with dense layers.

    python -m demos.benchmarks.characters
    python -m demos.benchmarks.characters --profile

The network predicts a character from the 16 characters before it:

    x = 16 characters, each looked up in a table of 16 numbers
    gated:  gates = max(V x + b + noise, 0)             256 gates, of which about 5 % are open
            h = gates · max(W x + c, 0)                 8,192 units in blocks of 32
    dense:  h = max(W x + c, 0)                         512 or 2,048 units
    scores = U h + d, for 100 classes

A step computes the mean cross-entropy of 1,024 examples, its gradient, and a step of Adam.  The text is the standard
library of Python.  The learning rate is so small that the share of open gates does not change between measurements.
"""

import argparse
import sysconfig
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import minigrad as mg
from demos.benchmarks import measure
from demos.benchmarks.step import share_in_kernels

CLASSES, LENGTH, FEATURES, BLOCK, RATE = 100, 16, 16, 32, 1e-6
CLOSED = -1.645                     # with this bias and normal noise, a gate is open with probability 0.05


def characters(least=200_000):
    """Numbers from 0 to 99: the characters of some source files.  The rarest share the last number."""
    text = ""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text += path.read_text(encoding="utf-8", errors="replace")
        if len(text) > least:
            break
    common = [letter for letter, _ in Counter(text).most_common(CLASSES - 1)]
    number = {letter: i for i, letter in enumerate(common)}
    return np.array([number.get(letter, CLASSES - 1) for letter in text])


class Batches:
    """Random places in the text: (batch, 16) numbers, and (batch,) numbers that follow."""

    def __init__(self, text, batch):
        self.text, self.batch, self.rng = text, batch, np.random.default_rng(0)

    def next(self):
        starts = self.rng.integers(0, len(self.text) - LENGTH, self.batch)
        return self.text[starts[:, None] + np.arange(LENGTH)], self.text[starts + LENGTH]


class Gated(mg.nn.Module):
    """The network with gates, in minigrad."""

    def __init__(self, text, batch, units):
        self.batches, self.rng = Batches(text, batch), mg.Generator(0)
        self.table = mg.nn.Embedding(CLASSES, FEATURES, self.rng)
        self.make(units, LENGTH * FEATURES)
        self.optimiser = mg.optim.Adam(self, lr=RATE)

    def make(self, units, inputs):
        self.gater = mg.nn.Linear(inputs, units // BLOCK, self.rng, gain=0.1)
        self.gater.bias.data[...] = CLOSED
        self.hidden = mg.nn.GatedLinear(inputs, units, self.rng, block=BLOCK)
        self.output = mg.nn.Linear(units, CLASSES, self.rng, gated_inputs=True)

    def units(self, x):
        gates = mg.neurons.noisy_rectifier(self.gater(x), rng=self.rng)
        self.open = float(np.mean(gates.numpy() > 0))
        return mg.relu(self.hidden(x, gates))

    def step(self):
        given, following = self.batches.next()
        x = self.table(given).reshape(len(given), LENGTH * FEATURES)
        loss = mg.cross_entropy(self.output(self.units(x)), following).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


class Dense(Gated):
    """The network with a dense layer, in minigrad."""

    def make(self, units, inputs):
        self.hidden = mg.nn.Linear(inputs, units, self.rng)
        self.output = mg.nn.Linear(units, CLASSES, self.rng)

    def units(self, x):
        return mg.relu(self.hidden(x))


class InTorch:
    """The network with a dense layer, in torch."""

    def __init__(self, text, batch, units):
        import torch
        from torch import nn

        torch.manual_seed(0)
        self.torch, self.batches = torch, Batches(text, batch)
        self.network = nn.Sequential(nn.Embedding(CLASSES, FEATURES), nn.Flatten(),
                                     nn.Linear(LENGTH * FEATURES, units), nn.ReLU(), nn.Linear(units, CLASSES))
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=RATE, fused=True)

    def step(self):
        given, following = map(self.torch.from_numpy, self.batches.next())
        loss = self.torch.nn.functional.cross_entropy(self.network(given), following)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()


def profile(network, rounds, most=20):
    """Print where the time of a step goes: in each kernel, and in the functions that take the most time besides."""
    steps = 10
    whole, kernels, stats = share_in_kernels(network, rounds, steps)
    print(f"a step without the profiler: {1e3 * whole:.2f} ms; in kernels {1e3 * sum(kernels.values()):.2f} ms")
    others = {}
    for (file, line, function), (_, _, own, _, _) in stats.stats.items():
        name = f"{Path(file).stem}.{function}" if line else function
        if name not in kernels:
            others[name] = others.get(name, 0) + own / (rounds * steps)
    for title, seconds in (("kernels", kernels), ("other functions, with the profiler", others)):
        print(title)
        for name, time in sorted(seconds.items(), key=lambda item: -item[1])[:most]:
            print(f"{1e3 * time:8.2f} ms  {name}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each network (default: %(default)s)")
    parser.add_argument("--profile", action="store_true", help="show where the time of the gated step goes")
    parser.add_argument("--quick", action="store_true", help="small networks, as a test")
    given = parser.parse_args(argv)

    text = characters()
    batch, gated, dense = (32, 256, (16, 32)) if given.quick else (1024, 8192, (512, 2048))
    with measure.threads(1):
        print(measure.machine())
        network = Gated(text, batch, gated)
        if given.profile:
            network.step()
            profile(network, given.rounds)
            return None
        networks = {f"gated {gated:,}": network}
        networks |= {f"dense {units:,}": Dense(text, batch, units) for units in dense}
        if find_spec("torch"):
            networks |= {f"dense {units:,}, torch": InTorch(text, batch, units) for units in dense}
        seconds = measure.interleaved({name: made.step for name, made in networks.items()}, given.rounds,
                                      burst=0.02 if given.quick else 0.3)
    print(f"a training step of {batch} examples, float32, one thread, median of {given.rounds} rounds; "
          f"{100 * network.open:.1f} % of the gates open")
    first = next(iter(seconds.values()))
    for name, time in seconds.items():
        print(f"{name:20}{1e3 * time:8.2f} ms  {time / first:5.2f} × the gated network's")
    return seconds


if __name__ == "__main__":
    measure.without_presets()
    main()
