"""How much faster is a flipped bit as a rank-one change than as a full replay?

    python -m demos.benchmarks.flips

The model is a Bernoulli decoder: D binary units, a linear layer to 784 pixels, cross-entropy with an image.
LocalExpectation needs the cost with each unit flipped.  BitFlip and PrunedFlip need it for one unit of each row.  A
full replay computes the matrix products again: for one flip after the other, or for all flips at once.  But a flip
changes the pre-activations by one column of the weight, a change of rank one.  All ways give the same estimate, which
is checked.  The benchmark times one backward pass of each way in turns, and reports the median over the rounds.  The
cross-entropy of all pixels has to be computed for each flip in any case.
"""

import argparse

import numpy as np

import minigrad as mg
from demos.benchmarks.measure import interleaved, machine, progress, thread_counts, threads, without_presets
from minigrad.estimators import BitFlip, LocalExpectation, PrunedFlip

PIXELS = 784


def replaying(rule, costs_at):
    """The rule with full replays.  ``costs_at(node, values)`` returns costs; values have shape (flips, rows, units)."""
    class Replaying(rule):
        def backward(self, node):
            def cost_flipped(units):
                here = np.arange(node.shape[1]) == np.broadcast_to(units, (len(units), node.shape[0]))[..., None]
                return costs_at(node, np.where(here, 1 - node.value, node.value))

            node.cost_flipped = cost_flipped
            return super().backward(node)
    return Replaying()


def ways(rule):
    """The rule with each way to compute the costs, by name."""
    return {"one by one": replaying(rule, lambda node, values: np.stack([node.cost_at(value) for value in values])),
            "at once": replaying(rule, lambda node, values: node.cost_at(values)),
            "rank one": rule()}


def problem(rule, batch, units, dtype):
    """A function that runs one backward pass through the decoder and returns the gradient of the logits."""
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64], help="examples")
    parser.add_argument("--units", type=int, nargs="+", default=[50, 200], help="binary units, D")
    parser.add_argument("--rounds", type=int, default=7, help="number of turns of each way")
    parser.add_argument("--burst", type=float, default=0.2, help="approximate length of a turn in seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args(arguments)

    table = []
    cases = [(rule, batch, units) for rule in (LocalExpectation, BitFlip, PrunedFlip)
             for batch in options.batch for units in options.units]
    with threads(options.threads):
        print(f"{machine()}\n{thread_counts()}; {options.dtype}, median of {options.rounds} turns\n")
        for rule, batch, units in progress(cases):
            runs = {way: problem(made, batch, units, options.dtype) for way, made in ways(rule).items()}
            for run in runs.values():
                np.testing.assert_allclose(run(), runs["one by one"](), rtol=1e-2, atol=1e-4)
            table.append((rule.__name__, batch, units, interleaved(runs, options.rounds, options.burst)))
    print(f"{'rule':18}{'batch':>6}{'D':>6}{'ms: one by one':>18}{'at once':>10}{'rank one':>10}"
          f"{'ratio to one by one':>22}{'at once':>10}")
    for name, batch, units, seconds in table:
        one_by_one, at_once, rank_one = seconds.values()
        print(f"{name:18}{batch:6}{units:6}{1e3 * one_by_one:18.2f}{1e3 * at_once:10.2f}{1e3 * rank_one:10.2f}"
              f"{one_by_one / rank_one:22.2f}{at_once / rank_one:10.2f}")
    return table


if __name__ == "__main__":
    without_presets()
    main()
