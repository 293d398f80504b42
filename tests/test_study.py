"""A study keeps finished runs, does the others, and reports failures: on this machine, on Dask and on MPI."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

import minigrad as mg
from minigrad import study
from tests import study_runs

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def noted(folder, xs, **options):
    return {f"run {x}": {"x": x, "calls": str(folder / "calls"), **options} for x in xs}


def until(true, seconds=30):
    """Wait for something that happens soon.  Fail if it has not happened after a much longer time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"


@contextmanager
def command(*arguments):
    """A process that is killed at the end, with all processes in its group.

    It does not ignore SIGINT, even if these tests were started in the background or by nohup, which ignore it.
    """
    heeding = ("-c", "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
               "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])")
    process = subprocess.Popen([sys.executable, *heeding, *map(str, arguments)], cwd=ROOT, env=ENVIRONMENT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# ---- on this machine ---------------------------------------------------------------------------------------


def test_every_run_is_called_with_its_settings_and_its_result_is_kept(tmp_path):
    runs = {f"x = {x}": {"x": x} for x in (3, -1, 2.5)}
    assert study.run(study_runs.square, runs, tmp_path / "new", jobs=2) == (
        {"x = 3": {"square": 9}, "x = -1": {"square": 1}, "x = 2.5": {"square": 6.25}}, {})
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["x = -1.json", "x = 2.5.json", "x = 3.json"]
    record = json.loads((tmp_path / "new" / "x = 3.json").read_text(encoding="utf-8"))
    assert record["settings"] == {"x": 3}
    assert record["minigrad"] == mg.__version__
    assert study.records(tmp_path / "new")["x = 3"] == record


def test_every_run_has_a_default_generator_of_its_own(tmp_path):
    """The numbers do not depend on the worker, and a repeated run draws them again."""
    runs = {f"run {i}": {"count": 3} for i in range(4)}
    found = [study.run(study_runs.drawn, runs, tmp_path / str(jobs), jobs=jobs).results for jobs in (2, 1)]
    assert len({tuple(draws) for draws in found[0].values()}) == 4
    with ThreadPoolExecutor(4) as executor:
        found.append(study.run(study_runs.drawn, runs, tmp_path / "threads", executor=executor).results)
    assert found[0] == found[1] == found[2]


def test_a_name_too_long_for_a_file_is_refused_before_anything_runs(tmp_path):
    runs = {"short": {"x": 1}, "n" * 246: {"x": 2}}
    with pytest.raises(ValueError, match=r"names of at most 245 bytes.*got one of 246: 'nnn"):
        study.run(study_runs.square, runs, tmp_path)
    assert not list(tmp_path.iterdir())
    name = "é" * 122
    assert study.run(study_runs.fails, {name: {"how": "with a message"}}, tmp_path, jobs=1).failures.keys() == {name}


def test_a_script_that_does_not_guard_its_call_is_told_so(tmp_path):
    """Workers import the script, which starts a study, which starts workers."""
    script = tmp_path / "script.py"
    script.write_text(f"from minigrad import study\nfrom tests.study_runs import square\n"
                      f"study.run(square, {{'one': {{'x': 1}}}}, {str(tmp_path / 'out')!r}, jobs=1)\n")
    with command(script) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    last = said.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: run: the workers ended while they were starting, and no run has started.")
    assert """put the call of run under "if __name__ == '__main__':\"""" in last
    assert not (tmp_path / "out").exists()


def test_a_function_from_a_notebook_is_refused(tmp_path):
    """Its __main__ is no file, like that of python -c."""
    code = (f"from minigrad import study\ndef f(x): return x\n"
            f"study.run(f, {{'one': {{'x': 1}}}}, {str(tmp_path / 'out')!r})")
    with command("-c", code) as process:
        _, said = process.communicate(timeout=60)
    assert "defined in a notebook or at a prompt; put it into a .py file and import it" in said
    assert not (tmp_path / "out").exists()


def test_the_arithmetic_of_a_run_has_one_thread(tmp_path, monkeypatch):
    pytest.importorskip("threadpoolctl", reason="counting the threads of BLAS needs threadpoolctl")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    result = study.run(study_runs.arithmetic, {"threads": {}}, tmp_path, jobs=1).results["threads"]
    assert set(result["blas"]) == {1}
    assert result["minigrad"] == 1
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in os.environ


def test_what_has_a_result_is_not_run_again(tmp_path):
    study.run(study_runs.noted, noted(tmp_path, [1, 2]), tmp_path, jobs=1)
    results, failures = study.run(study_runs.noted, noted(tmp_path, [3, 2, 1]), tmp_path, jobs=1)
    assert list(results.items()) == [("run 3", 9), ("run 2", 4), ("run 1", 1)]
    assert not failures
    assert {x: len(calls) for x, calls in study_runs.begun(tmp_path / "calls").items()} == {1: 1, 2: 1, 3: 1}


def test_a_file_that_is_not_a_whole_result_does_not_count(tmp_path):
    study.run(study_runs.noted, noted(tmp_path, [1, 2, 3]), tmp_path, jobs=1)
    whole = (tmp_path / "run 1.json").read_text(encoding="utf-8")
    (tmp_path / "run 1.json").write_text(whole[:len(whole) // 2], encoding="utf-8")
    (tmp_path / "run 2.json").write_text('{"x": 1}', encoding="utf-8")
    (tmp_path / "run 3.json").rename(tmp_path / ".run 3.json.0123.part")
    with pytest.warns(UserWarning, match=r"run [12].json is not the complete result") as notes:
        results, _ = study.run(study_runs.noted, noted(tmp_path, [1, 2, 3]), tmp_path, jobs=1)
    assert [note.category for note in notes].count(UserWarning) == 2
    assert results == {"run 1": 1, "run 2": 4, "run 3": 9}
    assert [len(calls) for calls in study_runs.begun(tmp_path / "calls").values()] == [2, 2, 2]


def test_a_result_of_other_settings_is_refused(tmp_path):
    study.run(study_runs.square, {"a": {"x": 1}, "b": {"x": 2}}, tmp_path, jobs=1)
    before = (tmp_path / "b.json").read_bytes()
    with pytest.raises(ValueError, match=r"other settings in .*, found b \(b: {'x': 2}, not {'x': 3}\)"):
        study.run(study_runs.square, {"a": {"x": 1}, "b": {"x": 3}, "c": {"x": 4}}, tmp_path, jobs=1)
    assert (tmp_path / "b.json").read_bytes() == before
    assert not (tmp_path / "c.json").exists()


def test_a_run_that_fails_is_reported_and_tried_again_and_takes_no_other_down(tmp_path, capsys):
    hows = ["with a message", "as it cannot be sent", "by leaving", "with a result that JSON cannot hold", "not"]
    runs = {how: {"how": how} for how in hows}
    results, failures = study.run(study_runs.fails, runs, tmp_path, jobs=1)
    assert results == {"not": "not"}
    assert list(failures) == hows[:4]
    assert 'raise ValueError("this run is wrong")' in failures["with a message"]
    assert "set is not JSON serializable" in failures["with a result that JSON cannot hold"]
    told = capsys.readouterr().err
    for how in hows[:4]:
        assert (tmp_path / f"{how}.error.txt").read_text(encoding="utf-8") == failures[how]
        assert f"{how}: failed\n{failures[how]}" in told

    mended = {how: {"x": 2} for how in hows[:4]}
    assert study.run(study_runs.square, mended, tmp_path, jobs=1).failures == {}
    assert not list(tmp_path.glob("*.error.txt"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_is_killed_costs_no_result(jobs, tmp_path):
    calls = str(tmp_path / "calls")
    once = int(jobs == 1)       # with two jobs run 2 may be lost before it began, and would then die in its second turn
    runs = {f"run {x}": {"x": x, "calls": calls, "times": times} for x, times in ((0, 0), (1, 9), (2, once), (3, 0))}
    results, failures = study.run(study_runs.dies, runs, tmp_path, jobs=jobs)
    assert results == {"run 0": 0, "run 2": 4, "run 3": 9}
    assert list(failures) == ["run 1"]
    assert "died twice, the second time when no other run was active" in failures["run 1"]
    begun = {x: len(pids) for x, pids in study_runs.begun(calls).items()}
    assert begun == {0: 1, 1: 2, 2: 2, 3: 1} if jobs == 1 else max(begun.values()) <= 2


def test_a_study_that_is_killed_resumes_and_leaves_no_worker_behind(tmp_path):
    arguments = "-m", "tests.study_runs", tmp_path, "local", 5, 0.4
    with command(*arguments) as process:
        until(lambda: study.records(tmp_path))
        until(lambda: len(study_runs.begun(tmp_path / "calls")) >= 3)
        process.kill()
        process.wait()
        finished = study.records(tmp_path)
        workers = {pid for pids in study_runs.begun(tmp_path / "calls").values() for pid in pids}
        until(lambda: not any(map(is_alive, workers)))
    assert 1 <= len(finished) < 5
    with command(*arguments) as process:
        assert process.wait(60) == 0
    begun = study_runs.begun(tmp_path / "calls")
    assert {name: record["result"] for name, record in study.records(tmp_path).items()} == {
        f"run {x}": x * x for x in range(5)}
    assert all(len(begun[record["settings"]["x"]]) == 1 for record in finished.values())
    assert all(study.records(tmp_path)[name] == record for name, record in finished.items())


def test_an_interrupt_keeps_results_and_begins_nothing_more(tmp_path):
    with command("-m", "tests.study_runs", tmp_path, "local", 9, 300) as process:
        begun = partial(study_runs.begun, tmp_path / "calls")
        until(lambda: begun().keys() == {0, 1, 2} and study.records(tmp_path))
        os.killpg(process.pid, signal.SIGINT)                       # as a terminal does
        _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert list(study.records(tmp_path)) == ["run 0"]
    assert begun().keys() == {0, 1, 2}
    assert not any(is_alive(pid) for pids in begun().values() for pid in pids)


# ---- executors of others -----------------------------------------------------------------------------------


def test_any_executor_will_do_and_is_left_open(tmp_path):
    with ThreadPoolExecutor(2) as executor:
        runs = {str(x): {"x": x} for x in range(5)}
        results, failures = study.run(study_runs.square, runs, tmp_path, executor=executor)
        assert executor.submit(abs, -1).result() == 1
    assert results == {str(x): {"square": x * x} for x in range(5)}
    assert not failures


def test_what_a_broken_executor_took_along_is_reported(tmp_path):
    runs = {f"run {x}": {"x": x, "calls": str(tmp_path / "calls"), "times": int(x == 1)} for x in range(4)}
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        results, failures = study.run(study_runs.dies, runs, tmp_path, executor=executor)
    assert results == {"run 0": 0}
    assert set(failures) == {"run 1", "run 2", "run 3"}
    assert study.run(study_runs.dies, runs, tmp_path, jobs=1).results == {f"run {x}": x * x for x in range(4)}


@pytest.fixture
def dask(tmp_path):
    """The address of a scheduler on this machine, and its two workers, in processes of their own."""
    pytest.importorskip("distributed", reason="the tests with Dask need distributed")
    address = tmp_path / "scheduler.json"
    with command("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                 "--scheduler-file", address):
        until(address.exists)
        until(lambda: address.read_text(encoding="utf-8").endswith("}"))
        host = json.loads(address.read_text(encoding="utf-8"))["address"]
        worker = partial(command, "-m", "distributed.cli.dask_worker", host, "--nthreads", 1, "--no-nanny",
                         "--no-dashboard", "--local-directory", tmp_path)
        with worker() as one, worker() as other:
            yield host.replace("tcp://", "dask://"), [one, other]


def test_dask_carries_a_study_and_loses_a_worker_half_way(dask, tmp_path):
    address, workers = dask
    pids = {process.pid for process in workers}
    folder = tmp_path / "study"
    with command("-m", "tests.study_runs", folder, address, 12, 0.3) as process:
        begun = partial(study_runs.begun, folder / "calls")
        until(lambda: {pid for calls in begun().values() for pid in calls} == pids)
        until(lambda: study.records(folder))
        workers[0].kill()
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert out == f"{study.Outcome({f'run {x}': x * x for x in range(12)}, {})}\n"
    assert {pid for calls in begun().values() for pid in calls} == pids
    assert len(study.records(folder)) == 12
    assert any(calls == [workers[0].pid, workers[1].pid] for calls in begun().values())      # what was lost


def test_mpi_carries_a_study(tmp_path):
    pytest.importorskip("mpi4py", reason="the test with MPI needs mpi4py", exc_type=ImportError)
    if not shutil.which("mpiexec"):
        pytest.skip("the test with MPI needs mpiexec")
    environment = ENVIRONMENT | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                                 "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    process = subprocess.run(["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", "tests.study_runs",
                              str(tmp_path), "mpi", "4", "0.2"],
                             cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{study.Outcome({f'run {x}': x * x for x in range(4)}, {})}\n"
    assert len({pid for pids in study_runs.begun(tmp_path / "calls").values() for pid in pids}) == 2


# ---- wrong arguments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "error", "message"), [
    ({"runs": {"../a": {}}}, ValueError, r"names of letters, .*got '\.\./a'"),
    ({"runs": {"": {}}}, ValueError, "got ''"),
    ({"runs": {3: {}}}, ValueError, "got 3"),
    ({"runs": {"a": [1]}}, TypeError, r"a dict of the arguments of the function for 'a', got \[1\]"),
    ({"runs": {"a": {"x": {1}}}}, TypeError, r"settings that JSON can hold for 'a', got {'x': \{1\}}"),
    ({"executor": "slurm"}, ValueError, "'dask://host:port' or a .*, got 'slurm'"),
    ({"executor": "dask://host"}, ValueError, "got 'dask://host'"),
    ({"executor": "mpi", "jobs": 2}, ValueError, "no jobs for an executor that has its own workers, got 2"),
    ({"jobs": 0}, ValueError, "at least 1 job, got 0"),
    ({"jobs": True}, ValueError, "at least 1 job, got True"),
    ({"function": lambda x: x}, TypeError, "that another process can import, .*top level of a module"),
])
def test_wrong_arguments_are_refused_before_anything_is_run(wrong, error, message, tmp_path):
    right = {"function": study_runs.square, "runs": {"a": {"x": 1}}, "folder": tmp_path / "made"}
    with pytest.raises(error, match=message):
        study.run(**right | wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("executor", "module", "extra"), [
    ("dask://localhost:1", "distributed", "dask"), ("mpi", "mpi4py.futures", "mpi")])
def test_a_missing_package_is_named_with_its_extra(executor, module, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install -e \"\.\[{extra}\]"):
        study.run(study_runs.square, {"a": {"x": 1}}, tmp_path, executor=executor)
