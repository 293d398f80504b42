"""The time of one step of Adam for all parameters of the paper's network, next to NumPy and torch.

    python -m demos.benchmarks.adam

A second table has the time of a step on a large table of words of which a batch uses few, with and without lazy steps.
"""

import argparse
from importlib.util import find_spec

import numpy as np

import minigrad as mg
from demos.benchmarks import measure
from demos.benchmarks.layer import assert_close
from minigrad.kernels.specification import adam_step
from minigrad.ops.packed import is_finite

RATE, BETAS, EPSILON = 1e-3, (0.9, 0.999), 1e-8


def parameters(scale):
    """float32 arrays with the shapes of the paper's network.  All widths are divided by `scale`."""
    network = mg.nn.ConditionalNetwork(mg.Generator(0), inputs=784 // scale, hidden=400 // scale, units=2000 // scale)
    return [x.numpy() for x in network.parameters()]


def in_minigrad(start, gradients):
    leaves = [mg.tensor(x, requires_grad=True) for x in start]
    optimiser = mg.optim.Adam(leaves, RATE, BETAS, EPSILON)
    for x, gradient in zip(leaves, gradients, strict=True):
        x.grad = gradient
    return optimiser.step, lambda: [x.numpy() for x in leaves]


def in_numpy(start, gradients):
    """The formulas, one array at a time."""
    (beta1, beta2), steps = BETAS, 0
    start = [x.copy(order="K") for x in start]
    means, squares = ([np.zeros_like(x) for x in start] for _ in range(2))

    def step():
        nonlocal steps
        steps += 1
        for x, gradient, mean, square in zip(start, gradients, means, squares, strict=True):
            if not is_finite(gradient):
                raise ValueError("expected finite gradients")
            adam_step(x, gradient, mean, square, RATE / (1 - beta1**steps), BETAS, (1 - beta2**steps) ** 0.5,
                      EPSILON)
    return step, lambda: start


def in_torch(start, gradients, **options):
    import torch

    leaves = [torch.tensor(x, requires_grad=True) for x in start]
    for x, gradient in zip(leaves, gradients, strict=True):
        x.grad = torch.tensor(gradient)
    return (torch.optim.Adam(leaves, RATE, BETAS, EPSILON, **options).step,
            lambda: [x.detach().numpy() for x in leaves])


def steps_on_words(count, features, used):
    """Steps on a table (count, features) with the gradient of a batch of ``used`` words, by optimiser."""
    words = np.random.default_rng(0).integers(0, count, used)
    steps = {}
    for name, lazy in (("minigrad", False), ("minigrad, lazy", True)):
        table = mg.nn.Embedding(count, features, mg.Generator(0))
        table(words).sum().backward()
        steps[name] = mg.optim.Adam(table, RATE, BETAS, EPSILON, lazy=lazy).step
    if find_spec("torch"):
        import torch

        for name, make in (("torch, fused", lambda x: torch.optim.Adam(x, RATE, BETAS, EPSILON, fused=True)),
                           ("torch, SparseAdam", lambda x: torch.optim.SparseAdam(x, RATE, BETAS, EPSILON))):
            sparse = name == "torch, SparseAdam"
            table = torch.nn.Embedding(count, features, sparse=sparse)
            table(torch.from_numpy(words)).sum().backward()
            steps[name] = make(list(table.parameters())).step
    return steps


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, help="measurements of each library (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a small network, as a test")
    given = parser.parse_args(argv)

    start = parameters(scale=20 if given.quick else 1)
    gradients = [np.empty_like(x) for x in start]        # torch's fused step needs the same memory order
    rng = np.random.default_rng(0)
    for x in gradients:
        x[...] = rng.standard_normal(x.shape)
    makers = {"minigrad": in_minigrad, "NumPy": in_numpy}
    if find_spec("torch"):
        makers |= {"torch": in_torch, "torch, fused": lambda *given: in_torch(*given, fused=True)}
    with measure.threads(1):
        made = {name: make(start, gradients) for name, make in makers.items()}
        for _ in range(3):
            for step, _ in made.values():
                step()
        for name, (_, result) in made.items():
            for wanted, found in zip(made["minigrad"][1](), result(), strict=True):
                assert_close(name, found, wanted)
        seconds = measure.interleaved({name: step for name, (step, _) in made.items()}, given.rounds, burst=0.05)
        size = (1000, 4, 10) if given.quick else (100_000, 64, 1024)
        on_words = measure.interleaved(steps_on_words(*size), given.rounds, burst=0.05)
        print(measure.machine())
        print(measure.thread_counts())
    print(f"a step of Adam on {sum(x.size for x in start)} parameters, float32, median of {given.rounds} rounds")
    show(seconds)
    print(f"a step of Adam on a table of {size[0]} words of {size[1]} numbers, of which a batch uses {size[2]}")
    show(on_words)
    return seconds, on_words


def show(seconds):
    for name, time in seconds.items():
        print(f"{name:18}{1000 * time:8.3f} ms  {time / seconds['minigrad']:5.2f} × minigrad's")


if __name__ == "__main__":
    measure.without_presets()
    main()
