"""Studies: many independent runs of one function, on the cores of a machine or on many machines.

    results, failures = study.run(train, {"sbn 0": {"rule": "sbn", "seed": 0}, ...}, "out/study")

A study is a function and the settings of its runs, and runs know nothing of each other.  So any
``concurrent.futures.Executor`` can carry it out: processes on this machine, Dask's workers on others
(``"dask://host:port"``), the ranks of an MPI job (``"mpi"``), or an executor of your own.  They decide what
runs where; this file decides what is left to run, and keeps what comes back.

Results come back to the process that started the study, which writes each to a file of its own as it
arrives: so workers need no folder in common.  Started again, a study runs what has no result yet.  That
includes what failed.  A run that takes hours saves checkpoints of its own (``minigrad.checkpoint``).
"""

import hashlib
import json
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import traceback
import warnings
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import NamedTuple

import minigrad
from minigrad import kernels, random
from minigrad.checkpoint import LONGEST, whole_file

__all__ = ["Outcome", "records", "run"]


class Outcome(NamedTuple):
    """What a study gave: ``results`` and ``failures``, dicts from the names of runs to results and tracebacks."""

    results: dict
    failures: dict


def run(function, runs, folder, *, executor="local", jobs=None):
    """Call ``function(**settings)`` for every run that has no result yet, and keep what it returns.

    Parameters
    ----------
    function : callable
        At the top level of a module that workers can import, or a ``functools.partial`` of such a one.
        It returns what JSON can hold: numbers, strings, booleans, None, and lists and dicts of them.
        (Tuples come back as lists, and the keys of dicts as strings.)  Each run has a default generator
        of its own, whose seed belongs to the run's name, so no two runs draw the same.
    runs : dict
        From the name of a run, which becomes a file's, to its settings: a dict of what JSON can hold.
    folder : path-like
        Where results are: ``<name>.json``; and of what failed the traceback: ``<name>.error.txt``.
    executor : str or concurrent.futures.Executor
        ``"local"``: processes on this machine, each with single-threaded arithmetic, so that they do not
        contend for cores.  ``"dask://host:port"``: the workers of the Dask scheduler there (extra
        ``dask``).  ``"mpi"``: the ranks of this MPI job but the first, started as
        ``mpiexec -n 9 python -m mpi4py.futures ...`` (extra ``mpi``).  Dask's and MPI's workers must be able
        to import the function; the threads of their BLAS are set by whoever starts them
        (``OPENBLAS_NUM_THREADS=1``), and one run at a time in a process is best (``dask worker --nthreads 1``).
    jobs : int, optional
        How many local processes; by default one for each core.

    Returns
    -------
    Outcome
        The results of all `runs`, also of those that had one before, and the tracebacks of what failed now.

    Raises
    ------
    ValueError, TypeError
        For a name that is no file's, settings that JSON cannot hold, an unknown executor, a function that
        cannot be sent to another process; or when `folder` has a result of other settings under a name.
        Nothing has been run then.
    RuntimeError
        Local workers cannot start.  Each imports the main script again, so in a script the call has to stand
        under ``if __name__ == "__main__":``.  Nothing has been run then.
    KeyboardInterrupt
        After Ctrl-C.  What has a result keeps it and what has not begun never does.  Local runs that have
        begun are ended; others' workers finish theirs, without anyone to tell.

    Notes
    -----
    A local worker that dies (killed, out of memory) takes the other local runs with it: Python's pool of
    processes ends them.  All that were running are run again, each alone, after the rest; one whose worker
    then dies again has failed.  Local workers end when the process that started them does, however it ends.

    Examples
    --------
    >>> import statistics, tempfile
    >>> runs = {"low": {"data": [1, 2]}, "high": {"data": [3, 4]}, "none": {"data": []}}
    >>> results, failures = run(statistics.fmean, runs, tempfile.mkdtemp(), jobs=1)
    >>> results
    {'low': 1.5, 'high': 3.5}
    >>> print(failures["none"].splitlines()[-1])
    statistics.StatisticsError: fmean requires at least one data point
    """
    folder = Path(folder)
    _check(runs, executor, jobs)
    done = {name: record for name, record in records(folder).items() if name in runs}
    others = [name for name, record in done.items() if _text(record["settings"]) != _text(runs[name])]
    if others:
        name = others[0]
        raise ValueError(f"run: expected no results of other settings in {folder}, found {', '.join(others)} "
                         f"({name}: {done[name]['settings']}, not {runs[name]}); use another folder, or delete them")
    results, failures = {name: record["result"] for name, record in done.items()}, {}
    waiting = {name: settings for name, settings in runs.items() if name not in done}

    with _progress(len(runs), len(done)) as say:
        def keep(name, result, failure):
            """Write a run's result (JSON) or its traceback to its file; one of them is None."""
            if failure is None:
                results[name] = json.loads(result)
                record = {"settings": runs[name], "result": results[name], "minigrad": minigrad.__version__,
                          "finished": datetime.now(UTC).isoformat(timespec="seconds")}
                _write(folder / f"{name}.json", json.dumps(record, indent=1))
                (folder / f"{name}.error.txt").unlink(missing_ok=True)
            else:
                failures[name] = failure
                _write(folder / f"{name}.error.txt", failure)
            say(f"{name}: finished" if failure is None else f"{name}: failed\n{failure}")

        if waiting and executor == "local":
            _run_locally(function, waiting, keep, jobs or _cores())
        elif waiting:
            with _connected(executor) as connected:
                lost = _collect(connected, function, waiting, keep, limit=inf)
            for name in lost | waiting:
                keep(name, None, f"the executor broke down before this run had ended: {connected}\n")
    return Outcome({name: results[name] for name in runs if name in results}, failures)


def records(folder):
    """The finished runs in a folder: a dict from name to a dict with "settings", "result", "minigrad", "finished".

    "minigrad" is the version that wrote it and "finished" the time (UTC).  A file that is not the whole of such a
    record does not count: a warning names it.
    """
    found = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = {key: record[key] for key in ("settings", "result", "minigrad", "finished")}
        except (ValueError, TypeError, KeyError) as error:
            warnings.warn(f"{path} is not a whole result of a run and does not count "
                          f"({type(error).__name__}: {error})", stacklevel=2)
    return found


# ---- what is sent to workers ---------------------------------------------------------------------------------


def _call(function, name, settings):
    """(result in JSON, None) or (None, traceback): strings, which every executor can carry."""
    kernels.set_num_threads(1)
    rng = random.Generator(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    try:
        with random.default_generator(rng):
            return json.dumps(function(**settings)), None
    except (Exception, SystemExit):
        return None, traceback.format_exc()


def _collect(executor, function, waiting, keep, limit):
    """Submit what is `waiting`, at most `limit` at a time, and keep the answers as they come.

    Returns the runs that were lost with a broken executor, as they were in `waiting`, from which what was
    submitted is taken out.
    """
    running, lost = {}, {}
    try:
        while running or (waiting and not lost):
            while waiting and len(running) < limit and not lost:
                name, settings = next(iter(waiting.items()))
                try:
                    running[executor.submit(_call, function, name, settings)] = name, settings
                except BrokenExecutor:
                    return lost | dict(running.values())
                del waiting[name]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, settings = running[future]
                if answer := _answer(future):
                    keep(name, *answer)
                else:
                    lost[name] = settings
                del running[future]
    except KeyboardInterrupt:
        for future, (name, _) in running.items():
            if not future.cancel() and future.done() and (answer := _answer(future)):
                keep(name, *answer)
        raise
    finally:
        for future in running:
            future.cancel()
    return lost


def _answer(future):
    """What `_call` returned; a traceback where the executor could not carry it; None where it broke down."""
    try:
        return future.result()
    except BrokenExecutor:
        return None
    except Exception:
        return None, traceback.format_exc()


# ---- where: this machine, or others ----------------------------------------------------------------------------

ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")


def _run_locally(function, waiting, keep, jobs):
    """Together first; what was running when a worker died, alone."""
    try:
        pickled = pickle.dumps(function)
    except Exception as error:
        raise TypeError(f"run: expected a function that another process can import, got {function!r} ({error}); "
                        "define it at the top level of a module") from error
    main = sys.modules["__main__"]
    if b"__main__" in pickled and not hasattr(main, "__file__"):
        raise TypeError(f"run: expected a function that another process can import, got {function!r}, which was "
                        "defined in a notebook or at a prompt; put it into a .py file and import it from there")
    lost = {}
    while waiting:
        with _processes(min(jobs, len(waiting))) as executor:
            try:
                executor.submit(_begun).result()
            except BrokenExecutor as error:
                raise RuntimeError(
                    "run: the workers ended while they were starting, and no run has begun. Each worker imports the "
                    'main script again: put the call of run under "if __name__ == \'__main__\':", and look above '
                    "for an error that the script raises when it is imported") from error
            lost |= _collect(executor, function, waiting, keep, limit=jobs)
    for name, settings in lost.items():
        with _processes(1) as executor:
            if _collect(executor, function, {name: settings}, keep, limit=1):
                keep(name, None, "its worker died, and died again where it ran alone: killed, or out of memory\n")


@contextmanager
def _processes(jobs):
    """An executor of fresh processes, in which NumPy loads with one thread; they end when its block is left."""
    from concurrent.futures.process import ProcessPoolExecutor  # a tenth of what `import minigrad` may take

    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    try:
        os.environ.update(ONE_THREAD)
        with theirs, ours, ProcessPoolExecutor(jobs, context, _begin, (theirs,)) as executor:
            try:
                yield executor
            except BaseException:
                ours.close()
                raise
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(lifeline):
    """In a worker: leave Ctrl-C to its parent, and end as soon as that closes the lifeline, by will or by dying."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _begun():
    """Nothing; that it returns shows that a worker has started."""


def _end_with(lifeline):
    lifeline.poll(None)
    os._exit(1)


@contextmanager
def _connected(executor):
    """The executor that a name stands for, left in the end as it was found."""
    if isinstance(executor, Executor):
        yield executor
    elif executor == "mpi":
        try:
            from mpi4py.futures import MPIPoolExecutor
        except ImportError as missing:
            raise _without("mpi", missing) from missing
        with MPIPoolExecutor() as pool:
            yield pool
    else:
        try:
            from distributed import Client
        except ImportError as missing:
            raise _without("dask", missing) from missing
        with Client(f"tcp://{executor.removeprefix('dask://')}") as client:
            yield client.get_executor(pure=False)


def _without(extra, missing):
    return ImportError(f'run: {missing}; python -m pip install "minigrad-neurons[{extra}]"')


# ---- arguments, files, progress --------------------------------------------------------------------------------


def _check(runs, executor, jobs):
    """Refuse wrong arguments of ``run``."""
    for name, settings in runs.items():
        if not (isinstance(name, str) and re.fullmatch(r"\w[\w .,=+-]*", name)):
            raise ValueError(f"run: expected names of letters, digits and ' .,=+-_', which begin with one of the "
                             f"first two, got {name!r}; they become the names of files")
        if len(name.encode()) > LONGEST - len(".error.txt"):
            raise ValueError(f"run: expected names of at most {LONGEST - len('.error.txt')} bytes, which become the "
                             f"names of files, got one of {len(name.encode())}: {name!r}; choose a shorter one")
        if not isinstance(settings, dict):
            raise TypeError(f"run: expected a dict of the arguments of the function for {name!r}, got {settings!r}")
        try:
            _text(settings)
        except (TypeError, ValueError) as error:
            raise TypeError(f"run: expected settings that JSON can hold for {name!r}, got {settings} ({error}); "
                            "use numbers, strings, booleans, None, and lists and dicts of them") from error
    known = isinstance(executor, Executor) or executor in ("local", "mpi") or (
        isinstance(executor, str) and re.fullmatch(r"dask://[^/]+:\d+", executor))
    if not known:
        raise ValueError("run: expected the executor 'local', 'mpi', 'dask://host:port' or a "
                         f"concurrent.futures.Executor, got {executor!r}")
    if jobs is not None and executor != "local":
        raise ValueError(f"run: expected no jobs for an executor that has its own workers, got {jobs}; leave it out")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ValueError(f"run: expected at least 1 job, got {jobs!r}")


def _text(settings):
    return json.dumps(settings, sort_keys=True)


def _write(path, text):
    with whole_file(path) as file:
        file.write(text.encode())


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(total, done):
    """A function for the line about each run that ends, above a bar if tqdm is installed (the demos extra)."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    with tqdm(total=total, initial=done, unit="run") as bar:
        def say(line):
            bar.write(line, file=sys.stderr)
            bar.update()

        yield say
