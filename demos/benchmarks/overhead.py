"""What is the overhead of recording and differentiating one operation?

    python -m demos.benchmarks.overhead

The benchmark computes a chain of additions and multiplications on an array of four numbers, forward and backward, in
one process: in plain NumPy without a graph, in minigrad, and in PyTorch and HIPS autograd if they are installed
(pip install torch autograd).  The arithmetic of so small an array takes almost no time.  The libraries run in turns on
one thread, and each figure is the median over the rounds.

A second table has softmax over the last axis of larger arrays, in a chain of 200, in the libraries that have it.
"""

import argparse
import gc
from importlib.util import find_spec
from statistics import median
from time import perf_counter

import numpy as np

import minigrad as mg

OPERATIONS, SOFTMAXES = 1000, 200
FACTOR, TERM = 0.999, 0.001


def chain(x):
    for _ in range(OPERATIONS // 2):
        x = x * FACTOR
        x = x + TERM
    return x


def in_numpy(start):
    value, g = chain(start), np.ones(start.shape)
    for _ in range(OPERATIONS // 2):
        g = g * FACTOR
    return value, g


def in_minigrad(start):
    x = mg.tensor(start, requires_grad=True)
    chain(x).sum().backward()
    return x.grad


def in_torch():
    import torch

    torch.set_num_threads(1)

    def run(start):
        x = torch.tensor(start, requires_grad=True)
        chain(x).sum().backward()
        return x.grad.numpy()
    return run


def in_autograd():
    from autograd import grad

    return grad(lambda x: chain(x).sum())


def softmax_in_minigrad(start):
    x = mg.tensor(start, requires_grad=True)
    y = x
    for _ in range(SOFTMAXES):
        y = mg.softmax(y)
    y.sum().backward()
    return x.grad


def softmax_in_torch(start):
    import torch

    x = torch.tensor(start, requires_grad=True)
    y = x
    for _ in range(SOFTMAXES):
        y = torch.softmax(y, -1)
    y.sum().backward()
    return x.grad.numpy()


def timed(libraries, start, operations, rounds):
    """The median time of one operation in µs, by the name of the library."""
    seconds = {name: [] for name in libraries}
    for _ in range(rounds):
        for name, run in libraries.items():
            gc.collect()
            begin = perf_counter()
            run(start)
            seconds[name].append(perf_counter() - begin)
    return {name: median(times) / operations * 1e6 for name, times in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, help="number of measurements of each library")
    rounds = parser.parse_args().rounds

    libraries = {"NumPy, no graph": in_numpy, "minigrad": in_minigrad}
    if find_spec("torch"):
        libraries["PyTorch"] = in_torch()
    if find_spec("autograd"):
        libraries["autograd"] = in_autograd()

    start = np.linspace(-1, 1, 4)
    each = timed(libraries, start, OPERATIONS, rounds)
    floor = each["NumPy, no graph"]
    ours = each["minigrad"] - floor

    print(f"{OPERATIONS} operations on an array of {start.size}, forward and backward, median of {rounds}, 1 thread")
    print(f"{'':18}{'µs per operation':>18}{'above NumPy':>14}{'ratio to minigrad':>20}")
    for name, time in each.items():
        ratio = f"{(time - floor) / ours:.2f}" if time > floor else ""
        print(f"{name:18}{time:18.2f}{time - floor:14.2f}{ratio:>20}")

    libraries = {"minigrad": softmax_in_minigrad} | ({"PyTorch": softmax_in_torch} if find_spec("torch") else {})
    print(f"\nsoftmax, forward and backward, µs per operation, 1 thread\n{'':18}"
          + "".join(f"{name:>18}" for name in libraries))
    for shape in ((4,), (32, 10), (128, 100), (1024, 100)):
        each = timed(libraries, np.random.default_rng(0).standard_normal(shape), SOFTMAXES, rounds)
        print(f"{' × '.join(map(str, shape)):18}" + "".join(f"{time:18.2f}" for time in each.values()))


if __name__ == "__main__":
    main()
