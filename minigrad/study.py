"""Studies: many independent runs of one function, on the cores of one machine or on several machines.

    results, failures = study.run(train, {"sbn 0": {"rule": "sbn", "seed": 0}, ...}, "out/study")

A study is a function and the settings of its runs.  The runs are independent.  So any
``concurrent.futures.Executor`` can do them: processes on this machine, Dask workers on other machines
(``"dask://host:port"``), the ranks of an MPI job (``"mpi"``), or your own executor.  The executor decides where a
run takes place.  This file finds the runs that have no result yet, and saves their results.

The process that started the study writes each result to its own file as soon as it arrives.  So workers need no
shared folder.  If you start a study again, it does the runs that have no result yet, also those that failed.  A run
that takes hours should save its own checkpoints (``minigrad.checkpoint``).
"""

from __future__ import annotations

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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import minigrad
from minigrad import kernels, random
from minigrad.checkpoint import LONGEST, whole_file

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.connection import Connection

    from minigrad import aliases
    from minigrad.aliases import Settings

__all__ = ["Outcome", "records", "run"]


class Outcome(NamedTuple):
    """The outcome of a study: ``results`` and ``failures``, dicts from the names of runs to results and tracebacks."""

    results: dict[str, Any]
    failures: dict[str, str]


def run(function: Callable[..., Any], runs: Mapping[str, Settings], folder: aliases.Path, *,
        executor: str | Executor = "local", jobs: int | None = None) -> Outcome:
    """Call ``function(**settings)`` for every run that has no result yet, and save what it returns.

    Parameters
    ----------
    function : callable
        A function at the top level of a module that workers can import, or a ``functools.partial`` of one.
        It returns values that JSON can hold: numbers, strings, booleans, None, and lists and dicts of them.
        (Tuples become lists, and the keys of dicts become strings.)  Each run has its own default generator.
        Its seed depends on the name of the run, so different runs draw different numbers.
    runs : dict
        From the name of a run to its settings, a dict of values that JSON can hold.  The name is used for files.
    folder : path-like
        The folder for the results, ``<name>.json``, and for the tracebacks of failed runs, ``<name>.error.txt``.
    executor : str or concurrent.futures.Executor
        ``"local"``: processes on this machine.  Each computes with one thread, so that they do not
        compete for cores.  ``"dask://host:port"``: the workers of the Dask scheduler at this address (extra
        ``dask``).  ``"mpi"``: all ranks of this MPI job except the first.  Start the job with
        ``mpiexec -n 9 python -m mpi4py.futures ...`` (extra ``mpi``).  The workers of Dask and MPI must be able
        to import the function.  Start them with one BLAS thread (``OPENBLAS_NUM_THREADS=1``) and one run at a time
        (``dask worker --nthreads 1``).
    jobs : int, optional
        The number of local processes; by default one for each core.

    Returns
    -------
    Outcome
        The results of all `runs`, also of earlier calls, and the tracebacks of the runs that failed in this call.

    Raises
    ------
    ValueError, TypeError
        A name cannot be the name of a file, JSON cannot hold the settings, the executor is unknown, the function
        cannot be sent to another process, or `folder` has a result of this name with other settings.
        No run has started.
    RuntimeError
        Local workers cannot start.  Each worker imports the main script again.  So in a script, the call of ``run``
        must be under ``if __name__ == "__main__":``.  No run has started.
    KeyboardInterrupt
        After Ctrl-C.  Results that have arrived are kept.  Runs that have not started never start.  Local runs that
        have started are ended.  Workers of other executors finish their run, but its result is lost.

    Notes
    -----
    If a local worker dies (because it is killed, or out of memory), Python's pool of processes ends all other workers.
    The lost runs are repeated at the end, one at a time.  If a worker dies again, its run has failed.  Local workers
    always end when the process that started them ends.

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
                         f"({name}: {done[name]['settings']}, not {runs[name]}); use another folder, or delete these "
                         "results")
    results, failures = {name: record["result"] for name, record in done.items()}, {}
    waiting = {name: settings for name, settings in runs.items() if name not in done}

    with _progress(len(runs), len(done)) as say:
        def keep(name: str, result: str | None, failure: str | None) -> None:
            """Write the result of a run (JSON) or its traceback to its file.  One of the two is None."""
            if result is not None:
                results[name] = json.loads(result)
                record = {"settings": runs[name], "result": results[name], "minigrad": minigrad.__version__,
                          "finished": datetime.now(UTC).isoformat(timespec="seconds")}
                _write(folder / f"{name}.json", json.dumps(record, indent=1))
                (folder / f"{name}.error.txt").unlink(missing_ok=True)
            elif failure is not None:
                failures[name] = failure
                _write(folder / f"{name}.error.txt", failure)
            say(f"{name}: finished" if failure is None else f"{name}: failed\n{failure}")

        if waiting and executor == "local":
            _run_locally(function, waiting, keep, jobs or _cores())
        elif waiting:
            with _connected(executor) as connected:
                lost = _collect(connected, function, waiting, keep, limit=inf)
            for name in lost | waiting:
                keep(name, None, f"the executor failed before this run had ended: {connected}\n")
    return Outcome({name: results[name] for name in runs if name in results}, failures)


def records(folder: aliases.Path) -> dict[str, dict[str, Any]]:
    """The finished runs in a folder: a dict from name to a dict with "settings", "result", "minigrad", "finished".

    "minigrad" is the version that wrote the result, and "finished" is the time (UTC).  A file that is not a complete
    record is left out.  A warning names it.
    """
    finished = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            finished[path.stem] = {key: record[key] for key in ("settings", "result", "minigrad", "finished")}
        except (ValueError, TypeError, KeyError) as error:
            warnings.warn(f"{path} is not the complete result of a run and is left out "
                          f"({type(error).__name__}: {error})", stacklevel=2)
    return finished


# ---- what is sent to workers ---------------------------------------------------------------------------------


def _call(function: Callable[..., Any], name: str, settings: Settings) -> tuple[str | None, str | None]:
    """(result in JSON, None) or (None, traceback): strings, which every executor can send."""
    kernels.set_num_threads(1)
    rng = random.Generator(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    try:
        with random.default_generator(rng):
            return json.dumps(function(**settings)), None
    except (Exception, SystemExit):
        return None, traceback.format_exc()


def _collect(executor: Executor, function: Callable[..., Any], waiting: dict[str, Settings],
             keep: Callable[[str, str | None, str | None], None], limit: float) -> dict[str, Settings]:
    """Submit the `waiting` runs, at most `limit` at a time, and `keep` each answer when it arrives.

    A run that is submitted is removed from `waiting`.  Returns the runs that were lost because the executor broke,
    as a dict like `waiting`.
    """
    running: dict[Future[Any], tuple[str, Settings]] = {}
    lost: dict[str, Settings] = {}
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


def _answer(future: Future[Any]) -> tuple[str | None, str | None] | None:
    """The result of `_call`, or a traceback if the executor could not send it, or None if the executor broke."""
    try:
        return future.result()
    except BrokenExecutor:
        return None
    except Exception:
        return None, traceback.format_exc()


# ---- executors: this machine, or others ----------------------------------------------------------------------------

ONE_THREAD: dict[str, str] = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")


def _run_locally(function: Callable[..., Any], waiting: dict[str, Settings],
                 keep: Callable[[str, str | None, str | None], None], jobs: int) -> None:
    """Do the runs in `jobs` processes.  Then repeat the runs that were lost when a worker died, one at a time."""
    try:
        pickled = pickle.dumps(function)
    except Exception as error:
        raise TypeError(f"run: expected a function that another process can import, got {function!r} ({error}); "
                        "define it at the top level of a module") from error
    main = sys.modules["__main__"]
    if b"__main__" in pickled and not hasattr(main, "__file__"):
        raise TypeError(f"run: expected a function that another process can import, got {function!r}, which was "
                        "defined in a notebook or at a prompt; put it into a .py file and import it from that file")
    lost = {}
    while waiting:
        with _processes(min(jobs, len(waiting))) as (executor, end):
            try:
                executor.submit(_begun).result()
            except BrokenExecutor as error:
                raise RuntimeError(
                    "run: the workers ended while they were starting, and no run has started. Each worker imports the "
                    'main script again: put the call of run under "if __name__ == \'__main__\':", and look above '
                    "for an error that the script raises when it is imported") from error
            broken = _collect(executor, function, waiting, keep, limit=jobs)
            if broken:
                end()
            lost |= broken
    for name, settings in lost.items():
        with _processes(1) as (executor, end):
            if _collect(executor, function, {name: settings}, keep, limit=1):
                end()
                keep(name, None, "its worker died twice, the second time when no other run was active. Was it killed, "
                                 "or out of memory?\n")


@contextmanager
def _processes(jobs: int) -> Iterator[tuple[Executor, Callable[[], None]]]:
    """An executor of new processes, in which NumPy computes with one thread, and a function that ends them at once.

    All processes end at the end of the block.  If a worker dies, call the function.  Python's executor may have started
    a new worker at the same moment.  It does not end this worker, and would wait for it forever.
    """
    from concurrent.futures.process import ProcessPoolExecutor  # slow to import, and only local runs need it

    context = multiprocessing.get_context("spawn")
    worker_end, own_end = context.Pipe(duplex=False)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    try:
        os.environ.update(ONE_THREAD)
        with worker_end, own_end, ProcessPoolExecutor(jobs, context, _begin, (worker_end,)) as executor:
            try:
                yield executor, own_end.close
            except BaseException:
                own_end.close()
                raise
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(lifeline: Connection) -> None:
    """Start a worker.  It ignores Ctrl-C, and ends when its parent closes the `lifeline` or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _begun() -> None:
    """Do nothing.  If it returns, a worker has started."""


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)         # returns when the other end is closed
    os._exit(1)


@contextmanager
def _connected(executor: Any) -> Iterator[Executor]:
    """The executor that ``executor`` names.  One that the user made is not shut down at the end of the block."""
    if isinstance(executor, Executor):
        yield executor
    elif executor == "mpi":
        try:
            from mpi4py.futures import MPIPoolExecutor  # pyright: ignore[reportMissingImports]
        except ImportError as missing:
            raise _without("mpi", missing) from missing
        with MPIPoolExecutor() as pool:
            yield pool
    else:
        try:
            from distributed import Client  # pyright: ignore[reportMissingImports]
        except ImportError as missing:
            raise _without("dask", missing) from missing
        with Client(f"tcp://{executor.removeprefix('dask://')}") as client:
            yield client.get_executor(pure=False)


def _without(extra: str, missing: ImportError) -> ImportError:
    return ImportError(f'run: {missing}; in a checkout of minigrad, python -m pip install -e ".[{extra}]"')


# ---- arguments, files, progress --------------------------------------------------------------------------------


def _check(runs: Mapping[str, Settings], executor: Any, jobs: int | None) -> None:
    """Refuse wrong arguments of ``run``."""
    for name, settings in runs.items():
        if not (isinstance(name, str) and re.fullmatch(r"\w[\w .,=+-]*", name)):
            raise ValueError(f"run: expected names of letters, digits and ' .,=+-_' that begin with a letter or a "
                             f"digit, got {name!r}; they become the names of files")
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
        raise ValueError(f"run: expected no jobs for an executor that has its own workers, got {jobs}; omit jobs")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ValueError(f"run: expected at least 1 job, got {jobs!r}")


def _text(settings: Any) -> str:
    return json.dumps(settings, sort_keys=True)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[str], None]]:
    """A function that prints a line about a run that has ended.

    It prints above a progress bar if tqdm is installed (the demos extra).
    """
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    with tqdm(total=total, initial=done, unit="run") as bar:
        def say(line: str) -> None:
            bar.write(line, file=sys.stderr)
            bar.update()

        yield say
