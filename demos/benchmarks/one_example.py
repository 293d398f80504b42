"""How long does one example take, when a network computes only its open units?

    python -m demos.benchmarks.one_example              about a minute
    python -m demos.benchmarks.one_example --quick      the same at tiny sizes, some seconds

A network of three layers answers one example at a time.  The hidden layer is gated, in blocks.  Its gates come from a
small network: a product of two narrow matrices, and a threshold.  The threshold opens a given share of the blocks.

    compiled            mg.compile_one: one compiled call, the gater included
    layer by layer      the same network under no_grad
    NumPy, torch        the same network with all units and without gates or gater

Inputs differ from call to call, so the open weights do not stay in the fastest cache.  All results are compared before
they are timed.
"""

import argparse
from importlib.util import find_spec

import numpy as np

import minigrad as mg
from demos.benchmarks import measure
from demos.benchmarks.layer import rotating

# inputs, hidden units, outputs, units of a block, rank of the gater
NETWORKS = (768, 3072, 768, 16, 8), (1024, 8192, 1024, 16, 8), (784, 2048, 10, 1, 48)
QUICK = ((32, 64, 8, 16, 2), (32, 64, 8, 1, 2))
SHARES = 0.1, 0.03
INPUTS = 64


def network(inputs, hidden, outputs, block, rank, share):
    """(a function of one example, its layers, inputs): a share of the blocks is open, over all inputs."""
    rng = mg.Generator(0)
    layer = mg.nn.GatedLinear(inputs, hidden, rng, block=block)
    above = mg.nn.Linear(hidden, outputs, rng, gated_inputs=True)
    narrow, gater = mg.nn.Linear(inputs, rank, rng), mg.nn.Linear(rank, hidden // block, rng)
    examples = list(np.random.default_rng(0).standard_normal((INPUTS, 1, inputs)).astype(np.float32))
    scores = [gater(narrow(x)).numpy() for x in examples]
    threshold = np.quantile(scores, 1 - share).astype(np.float32)

    def answer(x):
        return above(mg.relu(layer(x, gater(narrow(x)) > threshold)))

    return answer, (layer, above), examples


def libraries(answer, layers, examples):
    """Functions of one example, by name."""
    layer, above = layers
    compiled = mg.compile_one(answer, examples[0])
    weights = [np.ascontiguousarray(parameter.numpy()) for parameter in (layer.weight, layer.bias, above.weight,
                                                                         above.bias)]

    def in_numpy(x):
        w, b, v, c = weights
        h = x @ w.T
        h += b
        np.maximum(h, 0, out=h)
        h = h @ v.T
        h += c
        return h

    found = {"compiled": compiled, "layer by layer": mg.no_grad()(answer), "NumPy": in_numpy}
    if find_spec("torch"):
        import torch

        w, b, v, c = (torch.from_numpy(array.copy()) for array in weights)

        @torch.inference_mode()
        def in_torch(x):
            return torch.addmm(c, torch.relu_(torch.addmm(b, torch.from_numpy(x), w.t())), v.t())

        found["torch"] = in_torch
    return found


def check(answer, compiled, examples):
    for x in examples:
        np.testing.assert_allclose(compiled(x), answer(x).numpy(), rtol=1e-4, atol=1e-5)


def main(argv=None):
    """Print the table; returns its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each, default 9")
    options = parser.parse_args(argv)
    print(measure.machine())
    print(f"one thread, float32, median of {options.rounds} interleaved rounds, microseconds per example")
    rows = []
    with measure.threads(1):
        for sizes in QUICK if options.quick else NETWORKS:
            for share in SHARES:
                answer, layers, examples = network(*sizes, share)
                functions = libraries(answer, layers, examples)
                check(answer, functions["compiled"], examples[:8])
                runs = {name: rotating(function, examples) for name, function in functions.items()}
                seconds = measure.interleaved(runs, options.rounds, 1e-4 if options.quick else 0.01)
                rows.append((sizes, share, seconds))
                if len(rows) == 1:
                    print(f"\n{'network':16}{'block':>6}{'open':>6}" + "".join(f"{name:>16}" for name in functions)
                          + "".join(f"{'speed-up, ' + name:>18}" for name in functions if name in ("NumPy", "torch")))
                print(f"{'-'.join(map(str, sizes[:3])):16}{sizes[3]:6}{share:6.0%}"
                      + "".join(f"{1e6 * seconds[name]:16.1f}" for name in functions)
                      + "".join(f"{seconds[name] / seconds['compiled']:18.1f}" for name in ("NumPy", "torch")
                                if name in functions))
    return rows


if __name__ == "__main__":
    measure.without_presets()
    main()
