"""A small pool of threads for serial kernels that release the GIL.

Numba's own parallel layer competes with the threads of BLAS for the same cores; these threads run
only while a kernel does. A kernel's work is cut at places that do not change any sum, so results
are the same bits for every number of threads. (Dense BLAS products are not part of this promise.)

After a product on several threads, OpenBLAS lets the idle ones spin for about a tenth of a second, and
kernels that come next then share a core with them. Where products and kernels take turns on all cores,
start Python with OPENBLAS_THREAD_TIMEOUT=4 in the environment.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_count = _cores
_pool = None

# Waking a thread costs tens of microseconds: below about 1 ms of work one thread is faster.
_WORTH_SHARING = 40_000_000  # multiply-adds


def set_num_threads(count):
    """Let kernels use `count` threads (an int, at least 1; at first: the cores of this process).

    >>> from minigrad.kernels import get_num_threads, set_num_threads
    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _count
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
        raise TypeError(f"count: expected an int, got {type(count).__name__}; pass the number of threads")
    if count < 1:
        raise ValueError(f"count: expected at least 1 thread, got {count}; use 1 to run serially")
    if count != _count:
        _count = int(count)
        _forget_pool()


def get_num_threads():
    """The number of threads that kernels may use."""
    return _count


def worth_sharing(multiply_adds):
    """Whether so much work is done faster by several threads."""
    return _count > 1 and multiply_adds >= _WORTH_SHARING


def shares(cumulative, multiply_adds):
    """Cut items 0..n into ranges of about equal work: a list of (start, stop).

    cumulative : array (n + 1,), rising from 0: the work before each item.
    multiply_adds : the work in all, which decides whether sharing is worth it.
    """
    n = len(cumulative) - 1
    if not worth_sharing(multiply_adds):
        return [(0, n)]
    targets = np.linspace(0, cumulative[-1], _count + 1)[1:-1]
    cuts = [0, *np.searchsorted(cumulative, targets).tolist(), n]
    return [(start, stop) for start, stop in itertools.pairwise(cuts) if start < stop]


def run(function, ranges, *arguments):
    """Call function(start, stop, *arguments) for every range, the last one on this thread."""
    global _pool
    if len(ranges) > 1:
        if _pool is None:
            _pool = ThreadPoolExecutor(_count - 1, thread_name_prefix="minigrad")
        waiting = [_pool.submit(function, *ends, *arguments) for ends in ranges[:-1]]
    else:
        waiting = []
    function(*ranges[-1], *arguments)
    for future in waiting:
        future.result()


def _forget_pool():
    global _pool
    if _pool is not None:
        _pool.shutdown(wait=False)
        _pool = None


def _after_fork():
    global _pool
    _pool = None  # the threads stayed in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
