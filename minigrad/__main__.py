"""What minigrad finds on this machine: versions, threads, kernels, devices.

    python -m minigrad
"""

import platform
from importlib import metadata
from pathlib import Path

import minigrad as mg
from minigrad import devices, output
from minigrad.kernels.compiler import serving

#: Distributions that matter to results and speed; CuPy's wheels are named after the CUDA they are for.
PACKAGES = ("numpy", "numba", "scipy", "numba-cuda", "cupy", "cupy-cuda12x", "cupy-cuda13x")


def versions():
    """(name, version) of minigrad, Python and what is installed of PACKAGES."""
    yield "minigrad", mg.__version__
    yield "python", platform.python_version()
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def kernels():
    """What computes on the CPU, and where compiled kernels are kept, and how many there are."""
    if serving() == "numpy":
        return "NumPy alone, which skips no closed blocks: Numba cannot be imported (python -m pip install numba)"
    if serving() == "python":
        return "plain loops in Python: NUMBA_DISABLE_JIT is set"
    from minigrad.kernels.cpu.lists import list_open

    folder = list_open.stats.cache_path
    if folder is None:
        return "none: no folder is writable, so every process compiles its own (set NUMBA_CACHE_DIR)"
    kept = len(list(Path(folder).glob("*.nbi")))
    return f"{kept} in {folder}" if kept else f"empty, {folder}: the first gated step compiles"


def tile():
    """How wide the vectors are in which the CPU's kernels compute."""
    if serving() != "numba":
        return "none"
    from minigrad.kernels.cpu.vectors import VECTOR_BYTES

    if not VECTOR_BYTES:
        return "left to the compiler"
    return f"{8 * VECTOR_BYTES} bits, {VECTOR_BYTES // 4} numbers of float32 at a time"


def report():
    """What there is to say, as (name, words)."""
    yield from versions()
    yield "machine", f"{platform.machine()}, {platform.system()}"
    yield "threads", f"{mg.get_num_threads()} for kernels (mg.set_num_threads)"
    yield "vectors", tile()
    yield "kernels", kernels()
    fault = devices.fault()
    yield "cuda", f"no: {fault}" if fault else f"yes: {devices.describe('cuda')}"


def main():
    """Print the report, one thing a line."""
    output.adapt()
    found = list(report())
    width = max(len(name) for name, _ in found)
    for name, words in found:
        print(f"{name:<{width}}  {words}")


if __name__ == "__main__":
    main()
