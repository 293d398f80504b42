"""Kernels on several threads: interrupts, new numbers of threads, forks and errors do no harm."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels.cpu import jit, threads
from tests.interrupted import PREAMBLE, ROOT, interrupt

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the signals of a POSIX system")

# Arrays that the kernels have to copy first are freed when the call is over.
PROBLEM = """
import numpy as np
from minigrad import kernels
from minigrad.kernels.cpu import threads

threads._WORTH_SHARING = 0
rng = np.random.default_rng(0)
x = np.asfortranarray(rng.standard_normal((128, 400)), np.float32)
g = rng.standard_normal((128, 512)).astype(np.float32)
weight = np.asfortranarray(rng.standard_normal((512, 400)), np.float32)
gates = (rng.random((128, 32)) < 0.3).astype(np.float32)
blocks = kernels.open_blocks(gates)
out = np.empty((512, 400), np.float32)

def forward():
    return kernels.gated_linear(x, weight, None, gates, 16, blocks).values

def to_inputs():
    return kernels.gated_linear_dx(g, weight, gates, blocks, 16)

def to_weight():
    return kernels.gated_linear_dw(g, x, gates, blocks, 16, out=out)

def step():
    kernels.gated_linear_sgd(g, x, gates, blocks, out, None, 0.1)
    return out
"""


@pytest.fixture(autouse=True)
def many_threads(monkeypatch):
    before = kernels.get_num_threads()
    monkeypatch.setattr(threads, "_WORTH_SHARING", 0)
    kernels.set_num_threads(4)
    yield
    kernels.set_num_threads(before)


@pytest.mark.slow
@posix
def test_200_interrupts():
    """No crash; a call has done all its work or none of it; nothing is written once the exception has arrived."""
    status, said = interrupt(PROBLEM + """
kernels.set_num_threads(1)
right = forward(), to_inputs(), to_weight().copy(), step().copy()
kernels.set_num_threads(3)

def work():
    out[...] = np.nan
    for result, wanted in zip((forward(), to_inputs(), to_weight()), right):
        assert (result == wanted).all()
    step()
    assert (out == right[3]).all()

def check():
    first = out.copy()
    time.sleep(.003)
    assert out.tobytes() == first.tobytes()
    assert np.isnan(out).all() or (out == right[2]).all() or (out == right[3]).all()

interrupted(200, work, check)
print("well")
""", longest=0.02)
    assert (status, said) == (0, "well\n")


@pytest.mark.slow
@posix
def test_interrupts_while_kernels_are_compiled(tmp_path):
    status, said = interrupt(PROBLEM.replace("blocks = kernels.open_blocks(gates)", """
import contextlib
def work():
    kernels.open_blocks(gates)
interrupted(8, work, lambda: None)
blocks = kernels.open_blocks(gates)
""") + """
assert blocks.n_open == gates.sum()
work = forward
interrupted(2, work, lambda: None)      # and end while the kernel is compiled
""", longest=0.3, NUMBA_CACHE_DIR=str(tmp_path))
    assert status == 0, said
    assert "Error" not in said


def test_the_number_of_threads_changes_while_others_compute():
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal((40, 300)), rng.standard_normal((40, 64))
    gates = (rng.random((40, 16)) < 0.4).astype(float)
    blocks = kernels.open_blocks(gates)

    def results():
        return [kernels.gated_linear_dw(g, x, gates, blocks, 4),
                kernels.gated_linear(x, g.T @ x, None, gates, 4).values]

    kernels.set_num_threads(1)
    right = results()
    wrong, calls, done = [], [0, 0], threading.Event()

    def compute(which):
        while not done.is_set():
            try:
                same = all(np.array_equal(a, b) for a, b in zip(results(), right, strict=True))
            except BaseException as error:
                same = error
            calls[which] += 1
            if same is not True:
                wrong.append(same)

    computing = [threading.Thread(target=compute, args=(which,)) for which in range(2)]
    for thread in computing:
        thread.start()
    for i in range(2000):
        kernels.set_num_threads(2 + i % 4)
        time.sleep(1e-4)
    done.set()
    for thread in computing:
        thread.join()
    assert wrong == []
    assert min(calls) > 10


@pytest.mark.parametrize("failing", range(4))
def test_a_failing_task_is_raised_when_the_others_have_ended(failing):
    begun, ended = [], []

    def task(start, stop):
        if stop:
            begun.append(start)
            time.sleep(0.01 * start)
            if start == failing:
                raise MemoryError(f"task {start}")
            ended.append(start)

    with pytest.raises(MemoryError, match=f"task {failing}"):
        threads.run(task, [(i, i + 1) for i in range(4)])
    assert sorted([*ended, failing]) == sorted(begun)
    time.sleep(0.05)
    assert sorted([*ended, failing]) == sorted(begun)


def test_every_task_is_done_once_by_several_threads():
    for count in (2, 3, 5, 17):
        done = []

        def task(start, stop, done=done):
            if stop:
                time.sleep(1e-3)
                done.append((start, threading.get_ident()))

        threads.run(task, [(i, i + 1) for i in range(count)])
        assert sorted(start for start, _ in done) == list(range(count))
        assert len({worker for _, worker in done}) > 1


def test_where_no_thread_can_be_started(monkeypatch):
    def refuse(function, arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "start_new_thread", refuse)
    monkeypatch.setattr(threads, "_team", threads.Team())
    done = []
    threads.run(lambda start, stop: done.append((start, stop)), [(0, 1), (1, 2)])
    assert done == [(0, 0), (0, 1), (1, 2)]
    assert threads.on_worker(divmod, 7, 2) == (3, 1)


def test_an_offer_that_comes_late_starts_nothing():
    """All workers are busy, so the caller does all tasks itself. Workers see the offers after the call has ended."""
    kernels.set_num_threads(2)
    threads.run(lambda start, stop: None, [(0, 1), (1, 2)])
    free = threading.Event()
    for _ in range(threads._team.size):
        threads._team.offers.put(free.wait)
    done = []

    def task(start, stop):
        if stop:
            done.append(start)
            if start == 1:
                raise ValueError("the second task")

    with pytest.raises(ValueError, match="the second task"):
        threads.run(task, [(i, i + 1) for i in range(4)])
    free.set()
    threads.on_worker(int)
    time.sleep(0.05)
    assert done == [0, 1]


def test_arrays_stay_while_a_worker_uses_them_even_if_a_tracer_raises():
    begun, free = threading.Event(), threading.Event()
    array = np.zeros(3)
    memory = weakref.ref(array)

    def task(start, stop):
        if stop:
            if threading.current_thread() is threading.main_thread():
                begun.wait()
            else:
                begun.set()
                free.wait()

    def tracer(frame, event, _):
        if frame.f_code is not threads.run.__code__:
            return None
        return interrupts if event == "call" else None

    def interrupts(frame, event, _):
        if event == "line" and begun.is_set():
            raise KeyboardInterrupt
        return interrupts

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        threads.run(task, [(0, 1), (1, 2)], alive=array)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        sys.settrace(before)
    del array
    assert interrupted
    assert memory() is not None
    free.set()
    for _ in range(200):
        time.sleep(0.01)
        if memory() is None:
            break
    assert memory() is None


@posix
def test_a_forked_child_starts_its_own_workers():
    program = PREAMBLE + PROBLEM + """
import threading
kernels.set_num_threads(3)
right = to_weight().copy()
done = threading.Event()
def compute():
    while not done.is_set():
        forward()
beside = threading.Thread(target=compute)
beside.start()
for _ in range(20):
    child = os.fork()
    if not child:
        os._exit(0 if all((to_weight() == right).all() for _ in range(5)) and threads._team.size == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (to_weight() == right).all()
done.set()
beside.join()
print("well")
"""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True,
                         timeout=120, check=False)
    assert (ran.returncode, ran.stdout) == (0, "well\n"), ran.stderr


@posix
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_is_forked_while_another_thread_compiles_can_compile():
    held = threading.Event()

    def compiling():
        with jit.global_compiler_lock:
            held.set()
            time.sleep(0.3)

    other = threading.Thread(target=compiling)
    other.start()
    held.wait()
    child = os.fork()
    if not child:
        signal.alarm(60)            # ends a child that waits for ever
        os._exit(jit.kernel(lambda x: x + 1)(41))
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_the_process_ends_beside_threads_that_compute():
    program = PROBLEM + """
import threading
kernels.set_num_threads(3)
to_weight(), forward()
def compute():
    while True:
        to_weight(), forward()
for _ in range(2):
    threading.Thread(target=compute, daemon=True).start()
import time; time.sleep(.1)
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120,
                         check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_bad_thread_counts(count, error):
    with pytest.raises(error):
        kernels.set_num_threads(count)


def test_an_error_in_a_thread_is_raised():
    kernels.set_num_threads(2)

    def fails_early(start, stop):
        if start == 0:
            raise RuntimeError("in a thread")

    with pytest.raises(RuntimeError, match="in a thread"):
        threads.run(fails_early, [(0, 1), (1, 2)])
