"""The time of one random number, next to NumPy's generator with the same Philox.

    python -m demos.benchmarks.draws
"""

import argparse

import numpy as np

import minigrad as mg
from demos.benchmarks import measure
from minigrad.kernels import bernoulli_gates


def runs(rows, units):
    """{name: function that draws an array of numbers (rows, units)}."""
    shape = rows, units
    ours, numpys = mg.Generator(0), np.random.Generator(np.random.Philox(0))
    found = {}
    for dtype in (np.float64, np.float32):
        logits, u = ours.normal(shape, dtype), ours.uniform(shape)
        name = np.dtype(dtype).name
        found |= {
            f"uniform, {name}": lambda dtype=dtype: ours.uniform(shape, dtype),
            f"uniform, {name}, NumPy": lambda dtype=dtype: numpys.random(shape, dtype),
            f"normal, {name}": lambda dtype=dtype: ours.normal(shape, dtype),
            f"normal, {name}, NumPy": lambda dtype=dtype: numpys.standard_normal(shape, dtype),
            f"logistic, {name}": lambda dtype=dtype: ours.logistic(shape, dtype),
            f"gates of given uniforms, {name}": lambda logits=logits, u=u: bernoulli_gates(logits, u),
        }
    found["logistic, float64, NumPy"] = lambda: numpys.logistic(size=shape)
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, help="turns of each function (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few numbers, as a test")
    given = parser.parse_args(argv)

    rows, units = (8, 16) if given.quick else (256, 1024)
    with measure.threads(1):
        print(measure.machine())
        print(measure.thread_counts())
        seconds = measure.interleaved(runs(rows, units), given.rounds, burst=0 if given.quick else 0.02)
    print(f"{rows * units} numbers, median of {given.rounds} turns")
    for name in sorted(seconds):
        print(f"{name:34}{1e9 * seconds[name] / (rows * units):8.2f} ns per number")
    return seconds


if __name__ == "__main__":
    measure.without_presets()
    main()
