"""Where arrays live: "cpu", in NumPy's arrays, or "cuda", on an NVIDIA GPU in CuPy's.

    x = mg.tensor(data, device="cuda")              made there
    network = mg.nn.ConditionalNetwork(rng, device="cuda")
    network.to("cpu")                               moved, parameters and the memories of rules
    x.numpy(), x.item()                             brought back, which waits for the GPU

All arguments of a primitive have to be in one place; nothing is moved unasked.  A GPU is used only if a trial
shows that it can be: ``usable("cuda")`` raises and says what is missing.  Without a GPU the same code runs, and
is tested, in Numba's simulator: start Python with NUMBA_ENABLE_CUDASIM=1 in its environment, and "cuda" is there
as "cuda (simulated)".  It is for finding mistakes, thousands of times slower than either.

A program takes its device like this, before it spends time on anything else:

    parser.add_argument("--device", choices=devices.NAMES, default="cpu")
    device = devices.usable(parser.parse_args().device)

What is not known on the host is not waited for: conditions such as finite costs are looked at when a value is
next fetched (``kernels.device.deferred``), so an error may name a step that is some steps back.
"""

import functools
import os
import re
import threading
import warnings

import numpy as np

from minigrad.kernels.compiler import serving
from minigrad.kernels.device import arrays, transfer

#: The names that ``device=`` takes.
NAMES = ("cpu", "cuda")

#: Seconds after which a driver that does not answer counts as broken.
PATIENCE = 60

INSTALL = 'Install both: pip install "minigrad-neurons[cuda]"'
SIMULATE = "without a GPU, NUMBA_ENABLE_CUDASIM=1 in the environment simulates one"


def of(value):
    """The device of an array, or of packed units."""
    return "cuda" if arrays.is_device(getattr(value, "values", value)) else "cpu"


def usable(device):
    """``device`` itself, if it is a device's name and can be used here.

    Raises
    ------
    ValueError
        Another name.
    RuntimeError
        There is no usable GPU: what was looked for and not found, with a remedy.

    >>> usable("cpu")
    'cpu'
    """
    if not isinstance(device, str) or device not in NAMES:
        raise ValueError(f"device: expected one of {', '.join(map(repr, NAMES))}, got {device!r}")
    if device == "cuda" and fault():
        raise RuntimeError(f"device 'cuda' cannot be used: {fault()}")
    return device


def put(array, device):
    """``array`` on ``device``: itself if it is there, otherwise a copy in the same memory order."""
    if of(array) == usable(device):
        return array
    if device == "cpu":
        return transfer.to_host(array)
    try:
        return transfer.to_device(array)
    except MemoryError as error:
        raise MemoryError(f"device 'cuda': no memory for an array of shape {array.shape} and dtype {array.dtype} "
                          f"({error}). Use smaller batches, or drop what is not needed") from error


def beside(like, sequence):
    """A list of numbers or indices as an array on the device of the array ``like``; of integers if it is empty."""
    array = np.asarray(sequence)
    return put(array if array.size else array.astype(int), of(like))


def check_cpu(name, x):
    """Refuse a Tensor x that is not on the CPU, where alone the function ``name`` works."""
    if x.device != "cpu":
        raise ValueError(f"{name}: expected a computation on 'cpu', got one on {x.device!r}. Build it there: rules and "
                         "primitives are the same on all devices")


def describe(device):
    """A device's name with what it stands for here.

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
def fault():
    """Why "cuda" cannot be used here, with a remedy, in words; "" where it can."""
    if arrays.simulated():
        return ""
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0" and serving() != "numpy":
        return "NUMBA_ENABLE_CUDASIM was set after Numba had been imported. Set it before Python starts"
    found = []
    trial = threading.Thread(target=lambda: found.append(look()), daemon=True)
    trial.start()
    trial.join(PATIENCE)
    if not found:
        return f"the driver has not answered for {PATIENCE} s. See whether nvidia-smi does; restarting may help"
    return found[0]


def look():
    """What stands between this process and a GPU, found by trying; "" for nothing."""
    try:
        from numba import cuda
    except ImportError as error:
        return f"Numba has no CUDA target ({first_line(error)}). {INSTALL}"
    if not cuda.is_available():
        if cuda.cuda_error() is None:
            return f"Numba finds no libnvvm of a CUDA toolkit to compile kernels with. {INSTALL}"
        return (f"no GPU with a working driver was found ({first_line(cuda.cuda_error())}). "
                f"See whether nvidia-smi lists one; {SIMULATE}")
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be imported ({first_line(error)}). {INSTALL}"
    try:
        driver, toolkit = cupy.cuda.runtime.driverGetVersion(), cupy.cuda.runtime.runtimeGetVersion()
        if driver // 1000 < toolkit // 1000:
            return (f"the driver is for CUDA {driver // 1000} and too old for CuPy's CUDA {toolkit // 1000}. "
                    f"Update the driver, or pip install cupy-cuda{driver // 1000}x in place of this CuPy")
        try_it(cuda, cupy)
    except MemoryError as error:
        return f"the GPU's memory is full ({first_line(error)}). End what else runs there; nvidia-smi lists it"
    except Exception as error:      # compilers, linkers and drivers fail in a dozen ways that mean the same
        return (f"a trial kernel did not compile and run ({type(error).__name__}: {first_line(error)}). CuPy, Numba's "
                f"CUDA target, toolkit and driver have to be for one version of CUDA. {INSTALL}")
    return ""


def try_it(cuda, cupy):
    """Compile a kernel with Numba, run it on an array of CuPy's, and look at the result."""

    @cuda.jit
    def double(x):
        x[0] = x[0] + x[0]

    array = cupy.ones(1, "float32")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")      # of one thread: it leaves the GPU idle
        double[1, 1](array)
    if array.get() != 2:
        raise RuntimeError(f"1 + 1 gave {array.get()[0]}")


def first_line(error):
    """An error's first line with a word in it: CuPy's begin with a ruled line.

    >>> first_line("====\\nFailed to import CuPy.")
    'Failed to import CuPy'
    """
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if re.search(r"\w", line)),
                "no reason given")
