"""What is a flipped bit worth in matrix products?

    python -m demos.benchmarks.flips

A Bernoulli decoder: D binary units, a linear layer to 784 pixels, cross-entropy with an image.  LocalExpectation
asks what it would have cost with each unit flipped, BitFlip and PrunedFlip with one unit a row.  A
flip changes the pre-activations by one column of the weight, a change of rank one; the full replay
multiplies the matrices again, once for each flip.  Both give the same estimate, which is checked.
One backward pass is timed, the two taking turns, in the median over the rounds.
"""

import argparse

import numpy as np

import minigrad as mg
from demos.benchmarks.measure import interleaved, machine, progress, thread_counts, threads, without_presets
from minigrad.estimators import BitFlip, LocalExpectation, PrunedFlip

PIXELS = 784


def in_full(rule):
    """The same rule with a full replay for every flip."""
    class InFull(rule):
        def backward(self, node):
            def cost_flipped(units):
                at_unit = np.arange(node.shape[1]) == np.broadcast_to(units, (len(units), node.shape[0]))[..., None]
                return np.stack([node.cost_at(np.where(here, 1 - node.value, node.value)) for here in at_unit])

            node.cost_flipped = cost_flipped
            return super().backward(node)
    return InFull()


def problem(rule, batch, units, dtype):
    """A function that makes one backward pass through the decoder, and returns the gradient of the logits."""
    numbers = np.random.default_rng(0)
    logits = mg.tensor(numbers.normal(size=(batch, units)), requires_grad=True, dtype=dtype)
    weight = mg.tensor(numbers.normal(size=(PIXELS, units)) / units**0.5, dtype=dtype)
    bias = mg.tensor(numbers.normal(size=PIXELS), dtype=dtype)
    images = numbers.integers(0, 2, (batch, PIXELS)).astype(dtype)

    bits = mg.bernoulli(logits, rule, rng=mg.Generator(1))
    costs = mg.binary_cross_entropy(mg.linear(bits, weight, bias), images).sum(axis=1)
    loss = mg.expected(costs)
    return lambda: mg.grad(loss, logits).data


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64], help="examples")
    parser.add_argument("--units", type=int, nargs="+", default=[50, 200], help="binary units, D")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--burst", type=float, default=0.2, help="seconds a turn lasts, for short passes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args(arguments)

    table = []
    cases = [(rule, batch, units) for rule in (LocalExpectation, BitFlip, PrunedFlip)
             for batch in options.batch for units in options.units]
    with threads(options.threads):
        print(f"{machine()}\n{thread_counts()}; {options.dtype}, median of {options.rounds} turns\n")
        for rule, batch, units in progress(cases):
            runs = {"rank one": problem(rule(), batch, units, options.dtype),
                    "in full": problem(in_full(rule), batch, units, options.dtype)}
            np.testing.assert_allclose(runs["rank one"](), runs["in full"](), rtol=1e-2, atol=1e-4)
            table.append((rule.__name__, batch, units, interleaved(runs, options.rounds, options.burst)))
    print(f"{'rule':18}{'batch':>6}{'D':>6}{'in full, ms':>14}{'rank one, ms':>15}{'ratio':>8}")
    for name, batch, units, seconds in table:
        full, one = seconds["in full"], seconds["rank one"]
        print(f"{name:18}{batch:6}{units:6}{1e3 * full:14.2f}{1e3 * one:15.2f}{full / one:8.1f}")
    return table


if __name__ == "__main__":
    without_presets()
    main()
