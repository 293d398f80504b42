"""A tenth of the units are wanted.  Why does it take four attempts until that takes a tenth of the time?

    python -m demos.kernel_step_by_step

The forward product of a gated layer, written again and again, each time for one reason:

    reference    x Wᵀ, then times the gates.  BLAS is as fast as the machine, and computes all of it.
    blocks       a loop in Python over the open blocks, a small product for each.  Nine tenths of the
                 work are gone; what is left is calling, and weights that are read but not reused.
    plain tile   the same loops compiled, block by block, four units at a time: no calls.  Each number
                 that is loaded still serves one sum, or four.
    vector tile  six examples × four units are summed in registers while one loop runs over the inputs:
                 every vector that is loaded is used four or six times.  That is what BLAS does, too.
    cuda         the same tiles on a GPU, where there is one; the time includes fetching the result.

The price of an open block falls with every step, and with the size of blocks, for what they share.

    efficiency = density × time of the reference / time

is 1 where closed blocks cost nothing at all (and a little more where it is cheaper not to multiply by
gates, as the reference does).
"""

import inspect
import sys
from time import perf_counter

import numpy as np

import minigrad as mg
from demos import lesson
from demos.benchmarks import measure as clock
from minigrad.kernels.compiler import serving

if serving() != "numba":
    sys.exit("this lesson is about compiled kernels; install Numba (python -m pip install numba), and do not set "
             "NUMBA_DISABLE_JIT")
from minigrad.kernels import specification
from minigrad.kernels.cpu import plain, tile, vectors

DENSITY, BLOCKS, SHOWN = 0.1, (1, 4, 16, 64), 16        # of which table and bars show one
BATCH, INPUTS, UNITS = 128, 512, 2048
SOURCES = {"reference": "kernels/specification.py: gated_linear", "blocks": "this file: in_python",
           "plain tile": "kernels/cpu/plain.py: sdd",
           "vector tile": "kernels/cpu/tile.py: sdd, on kernels/cpu/vectors.py",
           "cuda": "kernels/cuda/tile.py: sdd (read plain.py first)"}
COLOURS = dict(zip(SOURCES, (lesson.GREY, lesson.ORANGE, lesson.SKY, lesson.BLUE, lesson.GREEN), strict=True))
TRY = """
  DENSITY = 0.5, then 0.9: which step is still worth it?  minigrad.kernels.cpu.breakeven is the table of such answers.
  In cpu/plain.py, _dots takes four units at a time. Make it one, in a copy of the file: what was the four good for?
  In Problem.in_python, go block by block and take all examples that opened it: x[rows] @ weight[units].T. How far is
    that from the tiles, and at which size of block does it meet them?
"""


class Problem:
    """A layer's inputs, weights and gates, and the lists of open blocks that all steps but the first walk."""

    def __init__(self, block, batch=BATCH, inputs=INPUTS, units=UNITS, density=DENSITY):
        numbers = np.random.default_rng(0)
        self.block = block
        self.x = numbers.standard_normal((batch, inputs), np.float32)
        self.weight = numbers.standard_normal((units, inputs), np.float32)
        self.gates = (numbers.random((batch, units // block)) < density).astype(np.float32)
        self.open = mg.kernels.open_blocks(self.gates)

    def dense(self):
        return specification.gated_linear(self.x, self.weight, None, self.gates, self.block)

    def empty(self):
        return np.empty((self.open.n_open, self.block), np.float32)

    def in_python(self):
        values, k = self.empty(), self.block
        for position, (i, j) in enumerate(zip(self.open.rows, self.open.indices, strict=True)):
            values[position] = self.weight[j * k:(j + 1) * k] @ self.x[i]
        return values

    def compiled(self, module):
        """By the kernels of a module, ``plain`` or ``vector``."""
        values, blocks = self.empty(), self.open
        x, weight = (module.operand(module.prepared(a)) for a in (self.x, self.weight))
        module.sdd(0, blocks.shape[1], blocks.block_indptr, blocks.examples, blocks.positions, x, weight, values)
        return values

    def on_cuda(self):
        """A function with all arrays on the GPU beforehand; the values are fetched, which waits for them."""
        x, weight, gates = (mg.tensor(a, device="cuda").data for a in (self.x, self.weight, self.gates))

        def product():
            packed = mg.kernels.gated_linear(x, weight, None, gates, self.block)
            return mg.devices.put(packed.values[:self.open.n_open], "cpu")
        return product


def steps(problem):
    """The steps but the first: functions that return the values of the open blocks; and the reasons for those
    that this machine cannot take.  Both by name.
    """
    found, missing = {"blocks": problem.in_python, "plain tile": lambda: problem.compiled(plain)}, {}
    if vectors.VECTOR_BYTES:
        found["vector tile"] = lambda: problem.compiled(tile)
    else:
        missing["vector tile"] = "this processor has no wide vectors (AVX2 or AVX-512)"
    try:
        if mg.devices.describe("cuda") == "cuda (simulated)":
            missing["cuda"] = "the time of a simulated GPU means nothing"
        else:
            found["cuda"] = problem.on_cuda()
    except RuntimeError as error:
        missing["cuda"] = str(error)
    return found, missing


def measure(blocks, rounds=7, **sizes):
    """Times in units of the reference's, efficiencies, and largest errors relative to the largest value:
    {name of step: array over sizes of block}, each; and why steps are missing, by name.
    """
    ratios, efficiencies, errors = {}, {}, {}
    with clock.threads(1):
        for block in lesson.progress(blocks, unit="size of block", leave=False, disable=None):
            problem = Problem(block, **sizes)
            wanted = mg.kernels.Packed.gather(problem.dense(), problem.open, block).values
            found, missing = steps(problem)
            results = {name: function() for name, function in found.items()}
            on_the_wall = perf_counter if "cuda" in found else None     # no process's clock runs while a GPU computes
            seconds = clock.interleaved({"reference": problem.dense, **found}, rounds, burst=0.01, clock=on_the_wall)
            for name in seconds:
                ratio = seconds[name] / seconds["reference"]
                ratios.setdefault(name, []).append(ratio)
                efficiencies.setdefault(name, []).append(problem.open.density / ratio)
            for name, values in results.items():
                errors.setdefault(name, []).append(float(np.abs(values - wanted).max() / np.abs(wanted).max()))
    return ratios, efficiencies, errors, missing


def show(ratios, efficiencies, errors, missing):
    print("The plain tile's loops, as they are compiled:\n")
    print(inspect.getsource(plain.sdd.py_func))
    shown = BLOCKS.index(SHOWN)
    rows = [[name, SOURCES[name], f"{ratio[shown]:.2f}", f"{efficiencies[name][shown]:.2f}",
             f"{errors[name][shown]:.0e}" if name in errors else ""] for name, ratio in ratios.items()]
    lesson.table([f"blocks of {SHOWN}", "in", "time / reference", "efficiency", "difference"], rows)
    for name, reason in missing.items():
        print(f"{name}, in {SOURCES[name]}, did not run: {reason}")


def draw(ratios, efficiencies):
    figure, (left, right) = lesson.figure(1, 2)
    for name, ratio in ratios.items():
        left.barh(name, ratio[BLOCKS.index(SHOWN)], color=COLOURS[name])
        right.plot(BLOCKS, efficiencies[name], "o-", color=COLOURS[name], label=name)
    left.invert_yaxis()
    left.axvline(DENSITY, color="black", linestyle=":")
    left.annotate("its share of the work", (DENSITY, len(ratios) - 0.8), (5, 0), textcoords="offset points", fontsize=9)
    left.set(xlabel="time / time of the reference")
    left.set_title(f"A gated layer, a tenth open, blocks of {SHOWN}", fontsize=11)
    right.axhline(1, color="black", linestyle=":")
    right.set(xscale="log", yscale="log", xlabel="units in a block", ylabel="efficiency")
    right.set_xticks(BLOCKS, map(str, BLOCKS))
    right.set_xticks([], minor=True)
    right.set_title("What large blocks are good for", fontsize=11)
    right.legend(frameon=False, loc="lower right", fontsize=9)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__).parse_args(argv)
    ratios, efficiencies, errors, missing = measure(BLOCKS)
    show(ratios, efficiencies, errors, missing)
    lesson.close(draw(ratios, efficiencies), given.out, TRY)
    return 0


if __name__ == "__main__":
    clock.without_presets()
    sys.exit(main())
