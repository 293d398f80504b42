"""Threads that run kernels, in a way that an interrupt (Ctrl-C) cannot leave a call half done.

Numba's own parallel layer competes with the threads of BLAS for the same cores. The threads here work
only while a kernel runs. The work of a kernel is divided without changing the order of any sum, so results
have the same bits for every number of threads. (This does not hold for dense products by BLAS.)

After a product on several threads, the idle threads of OpenBLAS keep their cores busy for about a tenth of a
second. Kernels that run in that time have to share the cores with them. If your program alternates between
products and kernels on all cores, start Python with OPENBLAS_THREAD_TIMEOUT=4 in the environment.

**How a call runs.** The work of a call is divided into tasks. The tasks are in a queue. The thread that makes the
call offers them to other threads, the workers. Then the caller and the workers take one task after another from
the queue, until it is empty. Each offer has a lock. A worker that accepts the offer takes the lock, and releases it
when its work is done. If the lock is already taken, the worker declines the offer. At the end the caller takes the
locks of all its offers. So it waits for all workers that accepted an offer, and no worker can accept one later.

**Workers** start when they are first needed, and wait for offers until the process ends. They are never stopped:
``set_num_threads`` only changes a number, which each call reads once. A forked child has no workers and starts its
own. If no thread can be started, as in a browser, the caller does all tasks itself.

**Interrupts.** On Ctrl-C, Python raises KeyboardInterrupt in the main thread. This happens between two steps of
Python code, and never inside a function that is written in C. So anything that must not be left half done is one
call of such a function. ``deque(iterator, maxlen=0)`` is one: it runs an iterator to its end. (``map``, ``chain``
and ``starmap``, from which the iterators here are made, are written in C too. Compiled kernels count as C as well.)
So an interrupt comes before the first task begins, or after the last one has ended. Waiting must be one such call
as well. The locks of Python's ``threading`` stop waiting when a signal arrives. So this file uses the lower-level
locks of Python, ``PyThread_acquire_lock``. The import of Numba and the compilation of a kernel cannot be one such
call. So a worker does them, because only the main thread is ever interrupted.

One kind of program can still interrupt a call: a tracer, such as a debugger, which runs Python code everywhere. So
every offer refers to the arrays that the kernel uses, and their memory is not freed while a worker uses it.
"""

from __future__ import annotations

import ctypes
import os
from _thread import get_ident, start_new_thread
from collections import deque
from functools import partial
from itertools import chain, pairwise, repeat, starmap
from queue import SimpleQueue
from threading import main_thread

import numpy as np

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_count = _cores

# It takes tens of microseconds to wake a thread. For less than about 1 ms of work, one thread is faster.
_WORTH_SHARING = 40_000_000  # multiply-adds

# Functions for the lower-level locks. A lock is a number here. Only `_acquire` can wait; it releases the GIL meanwhile.
_new_lock = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
_acquire = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("PyThread_acquire_lock", ctypes.pythonapi))
_release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyThread_release_lock", ctypes.pythonapi))


def set_num_threads(count: int) -> None:
    """Let kernels use `count` threads: an int of at least 1. The default is the number of cores of this process.

    A call that is already running in another thread keeps its number of threads.

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
    _count = int(count)


def get_num_threads() -> int:
    """The number of threads that kernels may use."""
    return _count


def worth_sharing(multiply_adds):
    """Whether several threads are faster than one for this amount of work."""
    return _count > 1 and multiply_adds >= _WORTH_SHARING


def shares(cumulative, multiply_adds):
    """Cut items 0..n into ranges of about equal work: a list of (start, stop).

    cumulative : array (n + 1,) that starts at 0: the sum of the work before each item.
    multiply_adds : the total work. It decides whether several threads are worth it.
    """
    n, count = len(cumulative) - 1, _count
    if count == 1 or multiply_adds < _WORTH_SHARING:
        return [(0, n)]
    targets = np.linspace(0, cumulative[-1], count + 1)[1:-1]
    cuts = [0, *np.searchsorted(cumulative, targets).tolist(), n]
    return [(start, stop) for start, stop in pairwise(cuts) if start < stop]


class Team:
    """The workers of this process, and the queue and locks that they share with their callers."""

    def __init__(self):
        self.offers = SimpleQueue()     # functions without arguments, which the workers call
        self.size = 0                   # workers that were started
        self.locks = []                 # free locks that can be used again

    def grow(self, size):
        """Start workers until there are `size`. Return the number of workers, at most `size`."""
        try:
            while self.size < size:
                start_new_thread(work, (self.offers,))
                self.size += 1
        except RuntimeError:    # no more threads can be started
            pass
        return min(size, self.size)

    def lock(self):
        try:
            return self.locks.pop()
        except IndexError:
            return _new_lock()


_team = Team()


def work(offers):
    """The loop of a worker: it accepts offers until the process ends."""
    while True:
        offers.get()()


def run(function, ranges, *arguments, alive=()):
    """Call function(start, stop, *arguments) for every range, on several threads if there are several ranges.

    When this returns or raises, no such call is running, and none will begin later. An interrupt comes before all
    of these calls or after all of them. An error in one of the calls is raised here.

    Parameters
    ----------
    function : a compiled kernel that returns numbers or nothing. For the range (0, 0) it must do nothing.
    ranges : list of (start, stop), at least one.
    alive : the arrays whose addresses are among `arguments`.
    """
    if len(ranges) == 1:
        function(*ranges[0], *arguments)
        return
    function(0, 0, *arguments)      # compiles the kernel, if it is not compiled yet, before any task begins
    team = _team
    helpers = team.grow(len(ranges) - 1)
    # After the tasks, the queue has one None for each thread. It ends the iterator of that thread.
    tasks = deque([(*ends, *arguments) for ends in ranges] + [None] * (helpers + 1))
    locks = [team.lock() for _ in range(helpers)]
    errors = []
    offers = [partial(accept, lock, function, tasks, errors, alive) for lock in locks]
    offer_and_work = chain(map(team.offers.put, offers), calls(function, tasks))
    take_the_locks = map(_acquire, locks, repeat(1))
    try:
        deque(offer_and_work, maxlen=0)
    finally:
        deque(take_the_locks, maxlen=0)
    if errors:
        raise errors.pop()
    # If a worker takes one of these offers later, there is no task left, so the locks can be used again. After a
    # failed or interrupted call, its locks are never used again. They take a few bytes.
    deque(map(_release, locks), maxlen=0)
    team.locks += locks


def calls(function, tasks):
    """An iterator that takes one task after another and calls the function with it."""
    return starmap(function, iter(tasks.popleft, None))


def accept(lock, function, tasks, errors, alive):
    """A worker got an offer: it works until no task is left.  If the lock is taken, it does nothing."""
    if _acquire(lock, 0):
        try:
            deque(calls(function, tasks), maxlen=0)
        except BaseException as error:
            errors.append(error)
        _release(lock)


def on_worker(function, *arguments):
    """Call function(*arguments) on a worker and return its result. So an interrupt cannot stop the function.

    The caller waits for the result. An interrupt ends the waiting, but the function runs to its end. A thread that
    is not the main thread calls the function itself.
    """
    team = _team
    if get_ident() != main_thread().ident or not team.grow(1):     # only the main thread is ever interrupted
        return function(*arguments)
    answers = SimpleQueue()
    team.offers.put(partial(answer, answers, function, arguments))
    result, error = answers.get()
    if error is not None:
        raise error
    return result


def answer(answers, function, arguments):
    """The part of `on_worker` that runs on the worker."""
    try:
        answers.put((function(*arguments), None))
    except BaseException as error:
        answers.put((None, error))


def _after_fork():
    global _team
    _team = Team()      # the child does not have the threads of the parent, and any lock may still be locked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
