"""Devices: the errors if "cuda" cannot be used, and the report of ``python -m minigrad``."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import devices
from minigrad.__main__ import main

numba_cuda = pytest.importorskip("numba.cuda", reason="this Numba has no CUDA target")


@pytest.fixture(autouse=True)
def looked_at_afresh():
    devices.fault.cache_clear()
    yield
    devices.fault.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    """A machine that seems to have everything that a GPU needs.  Each test removes one part."""
    monkeypatch.setattr(numba_cuda, "is_available", lambda: True)
    runtime = SimpleNamespace(driverGetVersion=lambda: 12080, runtimeGetVersion=lambda: 12090)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    monkeypatch.setattr(devices, "try_it", lambda cuda, cupy: None)
    return SimpleNamespace(runtime=runtime)


def raising(error):
    def function(*_):
        raise error
    return function


def test_nothing_is_wrong_with_a_gpu_that_works(gpu):
    assert devices.fault() == ""
    assert devices.usable("cuda") == "cuda"


def test_what_is_missing_is_named_with_a_remedy(gpu, monkeypatch):
    def fault():
        devices.fault.cache_clear()
        with pytest.raises(RuntimeError, match=r"^device 'cuda' cannot be used: ") as caught:
            mg.tensor([1.0], device="cuda")
        return str(caught.value)

    monkeypatch.setattr(devices, "try_it", raising(OSError("\n\nlibnvvm.so.\nmore")))
    assert "did not compile and run (OSError: libnvvm.so). CuPy, Numba's" in fault()
    monkeypatch.setattr(devices, "try_it", raising(MemoryError("Out of memory allocating 512 bytes")))
    assert "memory is full (Out of memory allocating 512 bytes). End other programs" in fault()
    gpu.runtime.driverGetVersion = lambda: 11080
    assert "for CUDA 11 and too old for CuPy's CUDA 12. Update the driver, or pip install cupy-cuda11x" in fault()
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "CuPy cannot be imported" in fault()
    assert 'python -m pip install -e ".[cuda]"' in fault()
    monkeypatch.setattr(numba_cuda, "is_available", lambda: False)
    monkeypatch.setattr(numba_cuda, "cuda_error", lambda: None)
    assert "Numba finds no libnvvm of a CUDA toolkit" in fault()
    monkeypatch.setattr(numba_cuda, "cuda_error", lambda: "\nCUDA_ERROR_NO_DEVICE (100)\n")
    assert "no GPU with a working driver was found (CUDA_ERROR_NO_DEVICE (100)). Check that nvidia-smi" in fault()
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delattr(sys.modules["numba"], "cuda")
    assert "Numba has no CUDA target" in fault()


def test_a_driver_that_does_not_answer_is_not_waited_for(gpu, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(devices, "PATIENCE", 0.01)
    monkeypatch.setattr(devices, "look", answer.wait)
    try:
        with pytest.raises(RuntimeError, match=r"has not answered for 0.01 s. Check that nvidia-smi answers"):
            devices.usable("cuda")
    finally:
        answer.set()


def test_the_trial_compiles_runs_and_looks_at_the_result():
    """With Numba's decorator and CuPy's array replaced: a kernel in Python on an array of NumPy."""
    class Kernel:
        def __init__(self, function):
            self.function = function

        def __getitem__(self, grid):
            assert grid == (1, 1)
            return self.function

    class Array(np.ndarray):
        def get(self):
            return np.asarray(self)

    cupy = SimpleNamespace(ones=lambda n, dtype: np.ones(n, dtype).view(Array))
    devices.try_it(SimpleNamespace(jit=Kernel), cupy)
    with pytest.raises(RuntimeError, match=r"1 \+ 1 gave 1.0"):
        devices.try_it(SimpleNamespace(jit=lambda function: {(1, 1): lambda x: None}), cupy)


def test_the_simulator_must_be_chosen_before_numba_is_imported(monkeypatch):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    with pytest.raises(RuntimeError, match=r"was set after Numba had been imported\. Set it"):
        devices.usable("cuda")


@pytest.mark.parametrize("name", ["gpu", "cuda:0", None, 0])
def test_names_of_devices(name):
    with pytest.raises(ValueError, match="expected one of 'cpu', 'cuda', got"):
        devices.usable(name)


def test_no_memory_is_reported_with_what_it_was_for(gpu, monkeypatch):
    monkeypatch.setattr("minigrad.kernels.device.transfer.to_device", raising(MemoryError("Out of memory")))
    with pytest.raises(MemoryError, match=r"array of shape \(2, 3\) and dtype float64 \(Out of memory\). Use smaller"):
        mg.tensor(np.ones((2, 3)), device="cuda")


def test_everything_takes_the_cpu_by_name():
    x = mg.tensor([1.0], device="cpu")
    assert x.device == "cpu"
    assert x.to("cpu") is x
    assert mg.nn.Linear(1, 1, mg.Generator(0, device="cpu"), device="cpu").to("cpu").weight.device == "cpu"


def test_the_report(gpu, monkeypatch, capsys):
    monkeypatch.setattr(devices, "describe", lambda device: f"{device} (Some GPU)")
    main([])
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert said["minigrad"] == mg.__version__
    assert said["numpy"] == np.__version__
    assert said["threads"].startswith(f"{mg.get_num_threads()} ")
    assert {"python", "numba", "scipy", "machine", "vectors", "kernels"} <= said.keys()
    assert said["cuda"] == "yes: cuda (Some GPU)"


def test_the_report_where_there_is_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(numba_cuda, "is_available", lambda: False)
    monkeypatch.setattr(numba_cuda, "cuda_error", lambda: "no driver")
    main([])
    assert "no: no GPU with a working driver was found (no driver)" in capsys.readouterr().out


@pytest.mark.parametrize(("simulate", "words"), [("0", "cuda"), ("1", "yes: cuda (simulated)")])
def test_the_report_as_a_program(simulate, words):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": simulate}
    done = subprocess.run([sys.executable, "-m", "minigrad"], capture_output=True, text=True, env=environment,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout.splitlines()[-1]
