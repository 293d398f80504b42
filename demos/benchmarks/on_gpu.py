"""Everything that only a GPU can show, in one command and within eight minutes.

    python -m demos.benchmarks.on_gpu                   on a machine with a GPU; writes out/on_gpu/
    python -m demos.benchmarks.on_gpu --quick           tiny sizes and few tests, to see that everything runs

One after another, each as a process of its own and with a limit of time:

    tests        tests/cuda on the GPU, at sizes that the simulator cannot do; on 8 cores if pytest-xdist is there
    memcheck     the products under compute-sanitizer: no address out of bounds
    racecheck    the same: no two threads in each other's way in shared memory
    ptx          registers, shared memory and spills of every kernel
    benchmark    a gated layer next to torch (``gated --device cuda``)

What each printed goes to a file, and what belongs into RESULTS.md into results.md beside them, as Markdown.  A step
that lacks what it needs is not run, and results.md says what is missing; nothing is filled in for it.  In Numba's
simulator (NUMBA_ENABLE_CUDASIM=1) tests and benchmark run with --quick, and no time is given.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from minigrad import devices
from minigrad.kernels.device import arrays

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a step which is out of time has for its last words.
PATIENCE = 10

#: Without CuPy's pool, so that the end of an array is the end of its memory.
UNPOOLED = "import sys, cupy, pytest; cupy.cuda.set_allocator(None); sys.exit(pytest.main(sys.argv[1:]))"


@dataclass(frozen=True)
class Step:
    """A command, its limit in seconds, and why it cannot be run here ("" if it can)."""

    name: str
    command: list
    limit: int
    missing: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a step: "passed", "failed", "out of time" or "not run"."""

    step: Step
    result: str
    seconds: float
    printed: str


def main(argv=None):
    """Run all steps and write what they printed; returns the outcomes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out/on_gpu"), metavar="FOLDER", help="default out/on_gpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few tests, to see that everything runs")
    options = parser.parse_args(argv)
    devices.usable("cuda")
    options.out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for step in steps(options.quick):
        print(f"{step.name}: ", end="", flush=True)
        outcomes.append(run(step, options.out / f"{step.name}.txt"))
        print(f"not run: {step.missing}" if step.missing else f"{outcomes[-1].result}, {outcomes[-1].seconds:.0f} s")
        (options.out / "results.md").write_text(markdown(outcomes), encoding="utf-8")
    print(f"\n{options.out / 'results.md'} has all of it, for RESULTS.md")
    return outcomes


def steps(quick):
    """The steps, in the order in which they are run."""
    python, pytest = sys.executable, ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # Most of the time of the tests goes into compiling, which takes a core for each process.
    workers = ["-n", str(min(8, os.cpu_count()))] if find_spec("xdist") and not arrays.simulated() else []
    products = ["tests/cuda/test_cuda_dispatch.py", "-k", "not any_shape and not float64"]
    sanitizer = shutil.which("compute-sanitizer", path=os.pathsep.join(
        [os.environ.get("PATH", ""), "/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer"]))
    lacks = "the simulator is no GPU" if arrays.simulated() else (
        "" if sanitizer else "compute-sanitizer, of a CUDA toolkit, is not on PATH")

    def sanitized(tool):
        return Step(tool, [sanitizer, "--tool", tool, "--error-exitcode", "1", "--launch-timeout", "60", python, "-c",
                           UNPOOLED, "-q", "-p", "no:cacheprovider", *products], 60, lacks)

    chosen = [*products[:2], "windows or nothing"] if quick else [*workers, "tests/cuda"]
    return [
        Step("tests", [python, *pytest, *chosen], 180),
        sanitized("memcheck"),
        sanitized("racecheck"),
        Step("ptx", [python, "-m", "tests.cuda_ptx"], 50,
             "left out with --quick" if quick else no_toolkit()),
        Step("benchmark", [python, "-m", "demos.benchmarks.gated", "--device", "cuda", *["--quick"] * quick], 130),
    ]


def no_toolkit():
    """What is missing to compile kernels to PTX and assemble them; "" where nothing is."""
    told = subprocess.run([sys.executable, "-c", "from tests import cuda_ptx; print(cuda_ptx.toolkit()[1] or '')"],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    return told.stdout.strip()


def run(step, file):
    """Run a step's command, its output to a file."""
    if step.missing:
        return Outcome(step, "not run", 0, "")
    start = perf_counter()
    with file.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(step.command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
                                   env=os.environ | {"PYTHONUNBUFFERED": "1"}, start_new_session=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # under nohup too
        try:
            result = "failed" if process.wait(step.limit) else "passed"
        except subprocess.TimeoutExpired:
            result = "out of time"
        finally:
            stop(process)
    return Outcome(step, result, perf_counter() - start, file.read_text(encoding="utf-8", errors="replace"))


def stop(process):
    """End a process, and those that it started, if it has not ended: asked first, so that pytest says what failed."""
    for request in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, request)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)


def markdown(outcomes):
    """The steps in a table, then the benchmark's tables, then what the rest printed."""
    lines = [f"## On {devices.describe('cuda')}", "", "| step | result | seconds |", "|---|---|---:|"]
    for outcome in outcomes:
        what = f"not run: {outcome.step.missing}" if outcome.step.missing else outcome.result
        lines.append(f"| {outcome.step.name} | {what} | {'–' if outcome.step.missing else f'{outcome.seconds:.0f}'} |")
    for outcome in outcomes:
        printed = outcome.printed.strip()
        if outcome.step.name == "benchmark":
            command = " ".join(["$ python", *outcome.step.command[1:]])
            lines += ["", "### benchmark", "", "```", command, "```", "", printed]
        elif printed:
            kept = printed if outcome.step.name == "ptx" else "\n".join(printed.splitlines()[-12:])
            lines += ["", f"### {outcome.step.name}", "", "```", kept, "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(any(outcome.result in ("failed", "out of time") for outcome in main()))
