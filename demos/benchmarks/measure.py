"""How the benchmarks measure time: in turns, on a given number of threads, with NumPy at full speed."""

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
from minigrad.kernels.cpu.processor import model

# Some machines set these variables for an older processor.  NumPy's products then take twice as long.
PRESETS = "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"


# By default, idle threads of OpenBLAS and OpenMP spin for 0.1 s on a core that the next library needs.
SLEEP = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "PASSIVE"}


def without_presets():
    """Restart this command without the presets, and with idle threads that sleep.

    A restart is needed because NumPy reads these variables when it is loaded.
    """
    wanted = {name: value for name, value in os.environ.items() if name not in PRESETS} | SLEEP
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


def interleaved(runs, rounds, burst, clock=None):
    """The median time in seconds of one call of each function in `runs`, a dict from name to function.

    The functions are called in turns, `rounds` times.  A turn is one call that is not timed, and then timed calls
    for `burst` seconds.  The first call fills the caches.

    On one thread the default clock is processor time, which does not include time that other processes use.
    On several threads it is wall time.
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
    """Set the number of threads of NumPy's BLAS, torch and minigrad."""
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
    """The current numbers of threads, as text."""
    counts = {f"{library['internal_api']} ({library['prefix']})": library["num_threads"]
              for library in threadpool_info() if library["user_api"] == "blas"}
    if find_spec("torch"):
        import torch

        counts["torch"] = torch.get_num_threads()
    counts["minigrad"] = mg.get_num_threads()
    return "threads: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def machine():
    """The machine and the versions of all libraries, in three lines."""
    packages = [name for name in ("numpy", "numba", "scipy", "torch") if find_spec(name)]
    blas = [f"{library['internal_api']} {library['version']} for {library.get('architecture', 'any processor')}"
            for library in threadpool_info() if library["user_api"] == "blas"]
    vectors = "no compiled kernels"
    if serving() == "numba":
        from minigrad.kernels.cpu.vectors import VECTOR_BYTES

        vectors = f"vectors of {VECTOR_BYTES} bytes"
    return "\n".join([
        f"{model()}, {os.cpu_count()} cores; {vectors}",
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in packages),
        "BLAS: " + "; ".join(dict.fromkeys(blas)),
    ])


def progress(items):
    """The items, with a progress bar if this is a terminal and tqdm is installed."""
    if find_spec("tqdm") is None:
        return items
    from tqdm import tqdm

    return tqdm(items, leave=False, disable=None)
