"""Devices: "cpu", with NumPy arrays, or "cuda", an NVIDIA GPU, with CuPy arrays.

    x = mg.tensor(data, device="cuda")              makes a tensor on the GPU
    network = mg.nn.ConditionalNetwork(rng, device="cuda")
    network.to("cpu")                               moves parameters and the memories of rules
    x.numpy(), x.item()                             copy to the host, which waits for the GPU

All arguments of a primitive must be on one device.  Nothing is moved automatically.  Before a GPU is used, a trial
kernel runs on it.  If it fails, ``usable("cuda")`` raises an error that says what is missing.

Without a GPU the same code runs, and is tested, in Numba's simulator.  Start Python with NUMBA_ENABLE_CUDASIM=1 in
its environment; "cuda" is then simulated on the CPU.  The simulator is for finding mistakes: it is thousands of
times slower than the CPU or a GPU.

A program should check its device at the start, before it computes anything:

    parser.add_argument("--device", choices=devices.NAMES, default="cpu")
    device = devices.usable(parser.parse_args().device)

On a GPU, conditions such as finite costs are checked later, when the next value is copied to the host
(``kernels.device.deferred``).  An immediate check would have to wait for the GPU.  So an error may come from an earlier
step.
"""

from __future__ import annotations

import functools
import os
import re
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.kernels.compiler import serving
from minigrad.kernels.device import arrays, transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minigrad.tensor import Tensor

#: The values of ``device=``.
NAMES: tuple[str, ...] = ("cpu", "cuda")

#: A driver that does not answer for this many seconds counts as broken.
PATIENCE = 60

INSTALL = 'Install both: in a checkout of minigrad, python -m pip install -e ".[cuda]"'
SIMULATE = "without a GPU, NUMBA_ENABLE_CUDASIM=1 in the environment simulates one"


def of(value: Any) -> str:
    """The device of an array, or of packed units."""
    return "cuda" if arrays.is_device(getattr(value, "values", value)) else "cpu"


def usable(device: str) -> str:
    """``device``, if it is the name of a device that can be used on this machine.

    Raises
    ------
    ValueError
        Another name.
    RuntimeError
        There is no usable GPU.  The message says what is missing and what to do.

    >>> usable("cpu")
    'cpu'
    """
    if not isinstance(device, str) or device not in NAMES:
        raise ValueError(f"device: expected one of {', '.join(map(repr, NAMES))}, got {device!r}")
    if device == "cuda" and fault():
        raise RuntimeError(f"device 'cuda' cannot be used: {fault()}")
    return device


def put(array: Any, device: str) -> Any:
    """``array`` on ``device``: the array itself if it is already there, else a copy in the same memory order.

    Raises
    ------
    MemoryError
        The memory of the GPU is full.
    """
    if of(array) == usable(device):
        return array
    if device == "cpu":
        return transfer.to_host(array)
    try:
        return transfer.to_device(array)
    except MemoryError as error:
        raise MemoryError(f"device 'cuda': no memory for an array of shape {array.shape} and dtype {array.dtype} "
                          f"({error}). Use smaller batches, or drop what is not needed") from error


def beside(like: Any, sequence: Sequence[float]) -> Any:
    """A list of numbers or indices as an array on the device of the array ``like``.  An empty list gives integers."""
    array = np.asarray(sequence)
    return put(array if array.size else array.astype(int), of(like))


def check_cpu(name: str, x: Tensor) -> None:
    """Refuse a Tensor x that is not on the CPU.  The function ``name`` works on the CPU only."""
    if x.device != "cpu":
        raise ValueError(f"{name}: expected a computation on 'cpu', got one on {x.device!r}. Compute it on 'cpu': "
                         "rules and primitives are the same on all devices")


def describe(device: str) -> str:
    """The name of a device.  For "cuda", it also has the name of the GPU, or "simulated".

    >>> describe("cpu")
    'cpu'
    """
    if usable(device) == "cpu":
        return "cpu"
    if arrays.simulated():
        return "cuda (simulated)"
    from numba import cuda

    name = cuda.get_current_device().name
    return f"cuda ({name.decode() if isinstance(name, bytes) else name})"


@functools.cache
def fault() -> str:
    """Why "cuda" cannot be used on this machine, and what to do; "" if it can be used."""
    if arrays.simulated():
        return ""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0" and serving() != "numpy":
        return "NUMBA_ENABLE_CUDASIM was set after Numba had been imported. Set it before Python starts"
    faults: list[str] = []
    trial = threading.Thread(target=lambda: faults.append(look()), daemon=True)
    trial.start()
    trial.join(PATIENCE)
    if not faults:
        return (f"the driver has not answered for {PATIENCE} s. Check that nvidia-smi answers; restarting the machine "
                "may help")
    return faults[0]


def look() -> str:
    """Try to use a GPU.  Returns what is missing, and what to do; "" if nothing is missing."""
    try:
        from numba import cuda
    except ImportError as error:
        return f"Numba has no CUDA target ({first_line(error)}). {INSTALL}"
    if not cuda.is_available():
        if cuda.cuda_error() is None:
            return f"Numba finds no libnvvm of a CUDA toolkit to compile kernels with. {INSTALL}"
        return (f"no GPU with a working driver was found ({first_line(cuda.cuda_error())}). "
                f"Check that nvidia-smi lists one; {SIMULATE}")
    try:
        import cupy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        return f"CuPy cannot be imported ({first_line(error)}). {INSTALL}"
    try:
        driver, toolkit = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
        if driver // 1000 < toolkit // 1000:
            return (f"the driver is for CUDA {driver // 1000} and too old for CuPy's CUDA {toolkit // 1000}. "
                    f"Update the driver, or pip install cupy-cuda{driver // 1000}x in place of this CuPy")
        try_it(cuda, cupy)
    except MemoryError as error:
        return f"the GPU's memory is full ({first_line(error)}). End other programs that use it; nvidia-smi lists them"
    except Exception as error:      # compilers, linkers and drivers raise many kinds of errors
        return (f"a trial kernel did not compile and run ({type(error).__name__}: {first_line(error)}). CuPy, Numba's "
                f"CUDA target, toolkit and driver must be for the same version of CUDA. {INSTALL}")
    return ""


def try_it(cuda: Any, cupy: Any) -> None:
    """Compile a kernel with Numba, run it on a CuPy array, and check the result."""

    @cuda.jit
    def double(x):
        x[0] = x[0] + x[0]

    array = cupy.ones(1, "float32")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")      # a grid of one thread
        double[1, 1](array)
    if array.get() != 2:
        raise RuntimeError(f"1 + 1 gave {array.get()[0]}")


def first_line(error: object) -> str:
    """The first line of an error that contains a word.  Errors of CuPy begin with a line of = signs.

    >>> first_line("====\\nFailed to import CuPy.")
    'Failed to import CuPy'
    """
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if re.search(r"\w", line)),
                "no reason given")
