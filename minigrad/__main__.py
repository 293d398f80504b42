"""Print what minigrad uses on this machine, or measure from which density on dense products are faster here.

    python -m minigrad              versions, threads, kernels, devices
    python -m minigrad tune         measure for about a minute, and keep the result for later processes
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import minigrad as mg
from minigrad import devices, output
from minigrad.kernels.compiler import serving

#: Packages that affect results and speed.  The name of a wheel of CuPy contains its version of CUDA.
PACKAGES = ("numpy", "numba", "scipy", "numba-cuda", "cupy", "cupy-cuda12x", "cupy-cuda13x")


def versions() -> Iterator[tuple[str, str]]:
    """(name, version) of minigrad, of Python, and of those PACKAGES that are installed."""
    yield "minigrad", mg.__version__
    yield "python", platform.python_version()
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def kernels() -> str:
    """What computes on the CPU, how many compiled kernels are cached, and where."""
    if serving() == "numpy":
        return "NumPy alone, which skips no closed blocks: Numba cannot be imported (python -m pip install numba)"
    if serving() == "python":
        return "plain loops in Python: NUMBA_DISABLE_JIT is set"
    from minigrad.kernels.cpu.lists import list_open

    folder = list_open.stats.cache_path
    if folder is None:
        return "none: no folder is writable, so every process compiles its own (set NUMBA_CACHE_DIR)"
    cached = len(list(Path(folder).glob("*.nbi")))
    return f"{cached} in {folder}" if cached else f"empty, {folder}: the first gated step compiles"


def tile() -> str:
    """The width of the vectors that the kernels use on the CPU."""
    if serving() != "numba":
        return "none"
    from minigrad.kernels.cpu.vectors import VECTOR_BYTES

    if not VECTOR_BYTES:
        return "left to the compiler"
    return f"{8 * VECTOR_BYTES} bits, {VECTOR_BYTES // 4} numbers of float32 at a time"


def dense() -> str:
    """Where the densities come from at which a product is computed densely."""
    if serving() != "numba":
        return "-"
    from minigrad.kernels.cpu import breakeven

    table, why = breakeven.override()
    return f"measured here: {breakeven.override_path()}" if table else f"usual table, {why} (python -m minigrad tune)"


def report() -> Iterator[tuple[str, str]]:
    """The lines of the report, as (name, words)."""
    yield from versions()
    yield "machine", f"{platform.machine()}, {platform.system()}"
    yield "threads", f"{mg.get_num_threads()} for kernels (mg.set_num_threads)"
    yield "vectors", tile()
    yield "dense", dense()
    yield "kernels", kernels()
    fault = devices.fault()
    yield "cuda", f"no: {fault}" if fault else f"yes: {devices.describe('cuda')}"


def tune(path: str | None) -> int:
    """Measure in a new process, where NumPy's BLAS has one thread; returns the exit status."""
    if serving() != "numba":
        print(f"minigrad: there is nothing to measure, since kernels are not compiled: {kernels()}", file=sys.stderr)
        return 1
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
    code = "import sys; from minigrad.kernels.cpu import tune; tune.main(sys.argv[1])"
    return subprocess.run([sys.executable, "-c", code, path or ""], env={**os.environ, **one}, check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """Print the report, or tune; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m minigrad", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    tuning = commands.add_parser("tune", help="measure from which density on dense products are faster here")
    tuning.add_argument("--out", metavar="FILE", help="where to keep the result (default: where minigrad reads it)")
    options = parser.parse_args(arguments)
    output.adapt()
    if options.command == "tune":
        return tune(options.out)
    lines = list(report())
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        print(f"{name:<{width}}  {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
