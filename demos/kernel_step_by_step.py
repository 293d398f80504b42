"""Only a tenth of the units of a layer must be computed.  How can a program do this in a tenth of the time?

    python -m demos.kernel_step_by_step

This lesson computes the forward product of a gated layer in several steps.  Each step is a new version of the program,
and solves one problem of the version before it.  In every file of kernels/ the function has the same name, sdd:

    specification  x Wᵀ, then zeros at closed blocks.  BLAS is as fast as the machine allows, but it computes all
                   blocks.
    blocks         A loop in Python over the open blocks, with a small product for each.  Nine tenths of the work are
                   gone.  But each call takes time, and weights that were read are not used again.
    cpu/plain      The same loops, compiled, block by block, four units at a time.  There are no calls.  But each
                   number that is loaded is used for only one sum, or for four.
    cpu/tile       The sums of six examples × four units stay in registers during one loop over the inputs.  So every
                   vector that is loaded is used four or six times.  BLAS does the same.

Three more steps are for a GPU.  Without a GPU they run in Numba's simulator on a small layer, and the lesson only
compares their results, not their times:

    cuda/plain     One thread computes one number of the result.  It reads all its factors from memory.
    cuda/shared    A square of threads reads squares of both factors into shared memory.  All its threads use them.
    cuda/tile      In addition, each thread keeps several sums in registers.

The time on a GPU includes the copy of the result to the CPU.  The time for an open block decreases with every step.
It also decreases with the size of blocks, because all units of a block use the numbers that were read for it.

    efficiency = density × time of the specification / time

is 1 if closed blocks take no time at all.
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

DENSITY, BLOCKS, SHOWN = 0.1, (1, 4, 16, 64), 16        # the table and the bars show blocks of this size
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
  DENSITY = 0.5, then 0.9. Which step is still faster than the specification? The table in
    minigrad.kernels.cpu.breakeven contains such results.
  In cpu/plain.py, _dots computes four units at a time. Change this to one, in a copy of the file. How much slower is
    it?
  In Problem.in_python, compute block by block, with all examples that open the block: x[rows] @ weight[units].T. How
    much slower is this than the tiles? At which size of block is it as fast?
"""


class Problem:
    """A layer's inputs, weights and gates, and the lists of open blocks.  All steps except the first use the lists."""

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
        """The right values at the open blocks, for comparison with the other steps."""
        return self.open.gather(self.dense(), self.block)

    def in_python(self):
        values, k = self.open.empty(self.block, self.x.dtype), self.block
        for position, (i, j) in enumerate(zip(self.open.rows, self.open.indices, strict=True)):
            values[position] = self.weight[j * k:(j + 1) * k] @ self.x[i]
        return values

    def compiled(self, module):
        """The values, computed by the kernel of a module for the CPU, ``plain`` or ``tile``."""
        blocks, values = self.open, self.open.empty(self.block, self.x.dtype)
        x, weight = (module.operand(module.prepared(a)) for a in (self.x, self.weight))
        module.sdd(0, blocks.shape[1], blocks.block_indptr, blocks.examples, blocks.positions, x, weight, values)
        return values

    def on_cuda(self, name):
        """A function that computes on the GPU and copies the values to the CPU.  Its inputs are already on the GPU."""
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
    """Two dicts by name: functions for all steps except the first, and reasons for steps that cannot run here.

    The functions return the values of the open blocks.
    """
    functions, missing = {"blocks": problem.in_python, "cpu/plain": lambda: problem.compiled(plain)}, {}
    if vectors.VECTOR_BYTES:
        functions["cpu/tile"] = lambda: problem.compiled(tile)
    else:
        missing["cpu/tile"] = "this processor has no wide vectors (AVX2 or AVX-512)"
    try:
        if mg.devices.describe("cuda") == "cuda (simulated)":
            missing |= dict.fromkeys(CUDA, "the time of a simulated GPU has no meaning")
        else:
            functions |= {name: problem.on_cuda(name) for name in CUDA}
    except RuntimeError:
        missing |= dict.fromkeys(CUDA, "there is no GPU")
    return functions, missing


def error(values, expected):
    """The largest error relative to the largest value."""
    return float(np.abs(values - expected).max(initial=0) / np.abs(expected).max(initial=1e-30))


def measure(blocks, rounds=7, **sizes):
    """Times relative to the specification, efficiencies, errors, and the reasons for missing steps.

    Each of the first three is a dict from the name of a step to a list over sizes of block.
    """
    ratios, efficiencies, errors = {}, {}, {}
    with clock.threads(1):
        for block in lesson.progress(blocks, unit="size of block", leave=False, disable=None):
            problem = Problem(block, **sizes)
            expected = problem.expected()
            functions, missing = steps(problem)
            results = {name: function() for name, function in functions.items()}
            # The clock of a process stops while a GPU computes.
            on_the_wall = perf_counter if "cuda/tile" in functions else None
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

    The simulator must be chosen before Numba is imported, so this starts another process.
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
        print(f"{CUDA[0]} to {CUDA[-1]} ran in Numba's simulator, on a small layer, because {missing[CUDA[0]]}.")


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
