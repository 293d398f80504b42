"""Threads that work for a kernel, and calls that an interrupt cannot break.

Numba's own parallel layer competes with the threads of BLAS for the same cores; these threads work
only while a kernel runs. A kernel's work is cut at places that do not change any sum, so results
are the same bits for every number of threads. (Dense BLAS products are not part of this promise.)

After a product on several threads, OpenBLAS lets the idle ones spin for about a tenth of a second, and
kernels that come next then share a core with them. Where products and kernels take turns on all cores,
start Python with OPENBLAS_THREAD_TIMEOUT=4 in the environment.

**How a call runs.** The work of a call is cut into tasks. The tasks wait in a queue. The thread that makes the
call offers them to other threads, the workers. Then everybody takes one task after another from the queue, the
caller too, until none is left. Each offer has a lock. A worker that accepts the offer holds the lock while it
works. A worker that finds the lock taken declines the offer. At the end the caller takes the locks of all its
offers. So it waits for the workers that accepted, and nobody can accept any more.

**Workers** start when they are first needed and wait for offers until the process ends. Nothing shuts them down:
``set_num_threads`` only changes a number, which a call reads once. A forked child has no workers and starts its
own. Where no thread can be started, in a browser for example, the caller does all tasks itself.

**Interrupts.** On Ctrl-C, Python raises KeyboardInterrupt in the main thread. It does so between two steps of
Python code, and never inside a function that is written in C. So whatever must not be left half done is one call
of such a function. ``deque(iterator, maxlen=0)`` is one: it runs an iterator to its end. (``map``, ``chain`` and
``starmap``, which the iterators here are made of, are written in C too, and so are compiled kernels.) An interrupt
therefore comes before the first task has begun, or after the last one has ended. The waiting has to be one such
call as well. The locks of Python's ``threading`` stop waiting when a signal arrives, so the locks here are those
below them, ``PyThread_acquire_lock``. To import Numba or to compile a kernel cannot be one such call, so a worker
does it: only the main thread is ever interrupted.

One thing can still interrupt: a tracer, such as a debugger, which runs Python code everywhere. So every offer holds
the arrays that the kernel works on, and their memory is not freed while a worker uses it.
"""

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

# Waking a thread costs tens of microseconds: below about 1 ms of work one thread is faster.
_WORTH_SHARING = 40_000_000  # multiply-adds

# The locks below Python's own, as numbers. Only `_acquire` can wait; it lets other threads run meanwhile.
_new_lock = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
_acquire = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("PyThread_acquire_lock", ctypes.pythonapi))
_release = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyThread_release_lock", ctypes.pythonapi))


def set_num_threads(count):
    """Let kernels use `count` threads (an int, at least 1; at first: the cores of this process).

    Calls that other threads have begun keep the number that they began with.

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
    n, count = len(cumulative) - 1, _count
    if count == 1 or multiply_adds < _WORTH_SHARING:
        return [(0, n)]
    targets = np.linspace(0, cumulative[-1], count + 1)[1:-1]
    cuts = [0, *np.searchsorted(cumulative, targets).tolist(), n]
    return [(start, stop) for start, stop in pairwise(cuts) if start < stop]


class Team:
    """The workers of this process, and what they share with the threads that need them."""

    def __init__(self):
        self.offers = SimpleQueue()     # functions without arguments, which the workers call
        self.size = 0                   # workers that were started
        self.locks = []                 # free locks that can be used again

    def grow(self, size):
        """Start workers until there are `size`; the number that there is, at most `size`."""
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
    """What a worker does as long as the process lives."""
    while True:
        offers.get()()


def run(function, ranges, *arguments, alive=()):
    """Call function(start, stop, *arguments) for every range, on several threads where there are several.

    When this returns or raises, no such call is running and none will begin. An interrupt comes before all of
    them or after all of them. An error in one of them is raised here.

    Parameters
    ----------
    function : a compiled kernel that returns nothing or numbers, and does nothing for the range (0, 0).
    ranges : list of (start, stop), at least one.
    alive : the arrays whose addresses are among `arguments`.
    """
    if len(ranges) == 1:
        function(*ranges[0], *arguments)
        return
    function(0, 0, *arguments)      # compiles the kernel, if need be, before any task has begun
    team = _team
    helpers = team.grow(len(ranges) - 1)
    # Behind the tasks stands a None for every thread that takes them: it ends the thread's iterator.
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
    # A worker that meets one of these offers later finds no task, so the locks can serve again.  Those of a call
    # that failed or was interrupted are never used again: a few bytes.
    deque(map(_release, locks), maxlen=0)
    team.locks += locks


def calls(function, tasks):
    """An iterator that takes one task after another, and calls the function with it."""
    return starmap(function, iter(tasks.popleft, None))


def accept(lock, function, tasks, errors, alive):
    """An offer, as a worker sees it: decline it if its lock is taken, else work until no task is left."""
    if _acquire(lock, 0):
        try:
            deque(calls(function, tasks), maxlen=0)
        except BaseException as error:
            errors.append(error)
        _release(lock)


def on_worker(function, *arguments):
    """function(*arguments) on a worker, for what an interrupt must not break though it is not one C call.

    The caller waits. An interrupt ends the waiting, but the function goes on to its end. Other threads than the
    main one call the function themselves.
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
    """What a worker does for `on_worker`."""
    try:
        answers.put((function(*arguments), None))
    except BaseException as error:
        answers.put((None, error))


def _after_fork():
    global _team
    _team = Team()      # the threads have stayed in the parent, and may have held any lock


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
