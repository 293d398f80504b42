"""How the benchmarks measure: on NumPy at its full speed, interleaved, on a stated number of threads."""

import gc
import os
import platform
import sys
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from time import perf_counter, process_time

from threadpoolctl import threadpool_info, threadpool_limits

import minigrad as mg
from minigrad.kernels.compiler import serving

# Some machines preset these, for a processor older than their own; NumPy's products then take twice as long.
PRESETS = "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"


# Idle threads of OpenBLAS and OpenMP spin for a tenth of a second, on a core that the next library's turn needs.
SLEEP = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "PASSIVE"}


def without_presets():
    """Start this command again without the presets, and with threads that sleep when they are idle.

    NumPy reads these variables when it is loaded.
    """
    wanted = {name: value for name, value in os.environ.items() if name not in PRESETS} | SLEEP
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


def interleaved(runs, rounds, burst, clock=None):
    """Median seconds of one call of each function in `runs`, a dict from name to function.

    They take turns, `rounds` times.  A turn is as many calls as last `burst` seconds, each timed, after
    one that is not, so that no short call pays for the caches as another left them.

    On one thread the clock is that of the process, which stands still while others have the processor;
    on several it is that on the wall, unless another is given.
    """
    clock = clock or (process_time if mg.get_num_threads() == 1 else perf_counter)
    calls = {}
    for name, run in runs.items():
        begin = clock()
        run()
        calls[name] = max(1, round(burst / (clock() - begin)))
    seconds = {name: [] for name in runs}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                if calls[name] > 1:
                    run()
                for _ in range(calls[name]):
                    begin = clock()
                    run()
                    seconds[name].append(clock() - begin)
    finally:
        gc.enable()
    return {name: median(times) for name, times in seconds.items()}


@contextmanager
def threads(count):
    """Let NumPy's BLAS, torch and minigrad use `count` threads each."""
    before = mg.get_num_threads()
    with threadpool_limits(count, user_api="blas"):
        mg.set_num_threads(count)
        if find_spec("torch"):
            import torch

            torch.set_num_threads(count)
        try:
            yield
        finally:
            mg.set_num_threads(before)


def thread_counts():
    """The thread counts in force, in words."""
    counts = {f"{library['internal_api']} ({library['prefix']})": library["num_threads"]
              for library in threadpool_info() if library["user_api"] == "blas"}
    if find_spec("torch"):
        import torch

        counts["torch"] = torch.get_num_threads()
    counts["minigrad"] = mg.get_num_threads()
    return "threads: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def machine():
    """The machine and the versions of what is measured, in a few lines."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), processor)
    packages = [name for name in ("numpy", "numba", "scipy", "torch") if find_spec(name)]
    blas = [f"{library['internal_api']} {library['version']} for {library.get('architecture', 'any processor')}"
            for library in threadpool_info() if library["user_api"] == "blas"]
    vectors = "no compiled kernels"
    if serving() == "numba":
        from minigrad.kernels.cpu.vectors import VECTOR_BYTES

        vectors = f"vectors of {VECTOR_BYTES} bytes"
    return "\n".join([
        f"{processor}, {os.cpu_count()} cores; {vectors}",
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages),
        "BLAS: " + "; ".join(dict.fromkeys(blas)),
    ])


def progress(items):
    """The items, with a progress bar in a terminal where tqdm is installed."""
    if find_spec("tqdm") is None:
        return items
    from tqdm import tqdm

    return tqdm(items, leave=False, disable=None)
