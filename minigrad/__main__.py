"""Print what minigrad uses on this machine: versions, threads, kernels, devices.

    python -m minigrad
"""

from __future__ import annotations

import platform
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


def report() -> Iterator[tuple[str, str]]:
    """The lines of the report, as (name, words)."""
    yield from versions()
    yield "machine", f"{platform.machine()}, {platform.system()}"
    yield "threads", f"{mg.get_num_threads()} for kernels (mg.set_num_threads)"
    yield "vectors", tile()
    yield "kernels", kernels()
    fault = devices.fault()
    yield "cuda", f"no: {fault}" if fault else f"yes: {devices.describe('cuda')}"


def main() -> None:
    """Print the report."""
    output.adapt()
    lines = list(report())
    width = max(len(name) for name, _ in lines)
    for name, words in lines:
        print(f"{name:<{width}}  {words}")


if __name__ == "__main__":
    main()
