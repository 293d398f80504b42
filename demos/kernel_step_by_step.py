"""A tenth of the units are wanted.  Why does it take four attempts until that takes a tenth of the time?

    python -m demos.kernel_step_by_step

The forward product of a gated layer, written again and again, each time for one reason.  In every file of
kernels/ it has the same name, sdd:

    specification  x Wᵀ, then zeros at closed blocks.  BLAS is as fast as the machine, and computes all of it.
    blocks         a loop in Python over the open blocks, a small product for each.  Nine tenths of the
                   work are gone; what is left is calling, and weights that are read but not reused.
    cpu/plain      the same loops compiled, block by block, four units at a time: no calls.  Each number
                   that is loaded still serves one sum, or four.
    cpu/tile       six examples × four units are summed in registers while one loop runs over the inputs:
                   every vector that is loaded is used four or six times.  BLAS does the same.

On a GPU there are three more, which need one to be timed.  Without a GPU they run here in Numba's simulator, on a
small layer, and only their results are compared:

    cuda/plain     a thread for each number of the result, which reads all that it multiplies from memory.
    cuda/shared    a square of threads reads squares of both factors into shared memory, and uses them together.
    cuda/tile      in addition, each thread keeps several sums in registers.  The time includes fetching the result.

The price of an open block falls with every step.  It also falls with the size of blocks, since the units of a block
share what is read for it.

    efficiency = density × time of the specification / time

is 1 where closed blocks cost nothing at all.
"""

import inspect
import json
import os
import subprocess
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
SMALL = {"block": 8, "batch": 9, "inputs": 8, "units": 16, "density": 0.5}      # for the simulator
SOURCES = {"specification": "kernels/specification.py: sdd", "blocks": "this file: in_python",
           "cpu/plain": "kernels/cpu/plain.py: sdd", "cpu/tile": "kernels/cpu/tile.py: sdd",
           "cuda/plain": "kernels/cuda/plain.py: sdd", "cuda/shared": "kernels/cuda/shared.py: sdd",
           "cuda/tile": "kernels/cuda/tile.py: sdd"}
CUDA = [name for name in SOURCES if name.startswith("cuda")]
COLOURS = dict(zip(SOURCES, (lesson.GREY, lesson.ORANGE, lesson.SKY, lesson.BLUE, lesson.RED, lesson.PURPLE,
                             lesson.GREEN), strict=True))
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
        return specification.sdd(self.x, self.weight, self.gates, self.block)

    def expected(self):
        """The values at the open blocks, which all other steps compute."""
        return self.open.gather(self.dense(), self.block)

    def in_python(self):
        values, k = self.open.empty(self.block, self.x.dtype), self.block
        for position, (i, j) in enumerate(zip(self.open.rows, self.open.indices, strict=True)):
            values[position] = self.weight[j * k:(j + 1) * k] @ self.x[i]
        return values

    def compiled(self, module):
        """By the kernel of a module for the CPU, ``plain`` or ``tile``."""
        blocks, values = self.open, self.open.empty(self.block, self.x.dtype)
        x, weight = (module.operand(module.prepared(a)) for a in (self.x, self.weight))
        module.sdd(0, blocks.shape[1], blocks.block_indptr, blocks.examples, blocks.positions, x, weight, values)
        return values

    def on_cuda(self, name):
        """A function that computes on the GPU and fetches the values; all other arrays are there beforehand."""
        from minigrad.kernels.cuda import dispatch, plain, shared

        module = {"cuda/plain": plain, "cuda/shared": shared, "cuda/tile": dispatch}[name]
        x, weight, gates = (mg.tensor(a, device="cuda").data for a in (self.x, self.weight, self.gates))
        blocks = mg.kernels.open_blocks(gates)

        def product():
            values = blocks.empty(self.block, x.dtype)
            module.sdd(x, weight, blocks, values)
            return mg.devices.put(values[:self.open.n_open], "cpu")
        return product


def steps(problem):
    """The steps but the first: functions that return the values of the open blocks; and the reasons for those
    that this machine cannot take.  Both by name.
    """
    functions, missing = {"blocks": problem.in_python, "cpu/plain": lambda: problem.compiled(plain)}, {}
    if vectors.VECTOR_BYTES:
        functions["cpu/tile"] = lambda: problem.compiled(tile)
    else:
        missing["cpu/tile"] = "this processor has no wide vectors (AVX2 or AVX-512)"
    try:
        if mg.devices.describe("cuda") == "cuda (simulated)":
            missing |= dict.fromkeys(CUDA, "the time of a simulated GPU means nothing")
        else:
            functions |= {name: problem.on_cuda(name) for name in CUDA}
    except RuntimeError:
        missing |= dict.fromkeys(CUDA, "there is no GPU")
    return functions, missing


def error(values, expected):
    """The largest error relative to the largest value."""
    return float(np.abs(values - expected).max(initial=0) / np.abs(expected).max(initial=1e-30))


def measure(blocks, rounds=7, **sizes):
    """Times in units of the specification's, efficiencies, and errors: {name of step: array over sizes of block},
    each; and why steps are missing, by name.
    """
    ratios, efficiencies, errors = {}, {}, {}
    with clock.threads(1):
        for block in lesson.progress(blocks, unit="size of block", leave=False, disable=None):
            problem = Problem(block, **sizes)
            expected = problem.expected()
            functions, missing = steps(problem)
            results = {name: function() for name, function in functions.items()}
            on_the_wall = perf_counter if "cuda/tile" in functions else None   # a process's clock stops for a GPU
            seconds = clock.interleaved({"specification": problem.dense, **functions}, rounds, burst=0.01,
                                        clock=on_the_wall)
            for name in seconds:
                ratio = seconds[name] / seconds["specification"]
                ratios.setdefault(name, []).append(ratio)
                efficiencies.setdefault(name, []).append(problem.open.density / ratio)
            for name, values in results.items():
                errors.setdefault(name, []).append(error(values, expected))
    return ratios, efficiencies, errors, missing


def simulated():
    """The errors of the steps for a GPU, by name, on a SMALL layer in Numba's simulator.

    Numba is told to simulate before it is imported, so this takes a process of its own.
    """
    program = ("import json; from demos import kernel_step_by_step as lesson; "
               "problem = lesson.Problem(**lesson.SMALL); "
               "print(json.dumps({name: lesson.error(problem.on_cuda(name)(), problem.expected()) "
               "for name in lesson.CUDA}))")
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the steps for a GPU do not run in Numba's simulator: {done.stderr.strip()}")
    return json.loads(done.stdout)


def show(ratios, efficiencies, errors, missing):
    print("The loops of cpu/plain, as they are compiled:\n")
    print(inspect.getsource(plain.sdd.py_func))
    shown = BLOCKS.index(SHOWN)
    rows = [[name, SOURCES[name], f"{ratio[shown]:.2f}", f"{efficiencies[name][shown]:.2f}",
             f"{errors[name][shown]:.0e}" if name in errors else ""] for name, ratio in ratios.items()]
    in_simulator = simulated() if CUDA[0] in missing else {}
    rows += [[name, SOURCES[name], "simulated", "", f"{in_simulator[name]:.0e}"] for name in in_simulator]
    lesson.table([f"blocks of {SHOWN}", "in", "time / specification", "efficiency", "difference"], rows)
    for name, reason in missing.items():
        if name not in in_simulator:
            print(f"{name}, in {SOURCES[name]}, did not run: {reason}")
    if in_simulator:
        print(f"{CUDA[0]} to {CUDA[-1]} ran in Numba's simulator, on a small layer, since {missing[CUDA[0]]}.")


def draw(ratios, efficiencies):
    figure, (left, right) = lesson.figure(1, 2)
    for name, ratio in ratios.items():
        left.barh(name, ratio[BLOCKS.index(SHOWN)], color=COLOURS[name])
        right.plot(BLOCKS, efficiencies[name], "o-", color=COLOURS[name], label=name)
    left.invert_yaxis()
    left.axvline(DENSITY, color="black", linestyle=":")
    left.annotate("its share of the work", (DENSITY, len(ratios) - 0.8), (5, 0), textcoords="offset points", fontsize=9)
    left.set(xlabel="time / time of the specification")
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
