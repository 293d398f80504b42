"""Tests of kernels and arrays of the device, on a GPU if there is one, else in Numba's CUDA simulator:

    NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda

Without a GPU and without the simulator, these tests are skipped. The simulator runs the Python code of a kernel, with
one Python thread for each thread of the GPU. So it finds wrong indices and wrong sums. It cannot find everything. This
table lists its limits, and how each one is covered:

| the simulator                                      | covered by                                                  |
| -------------------------------------------------- | ----------------------------------------------------------- |
| compiles nothing: types, registers, spills         | tests/test_cuda_ptx.py, which compiles every kernel for     |
|                                                    | GPUs that need not be there                                 |
| lets some threads of a block skip a barrier        | every barrier stands where all threads of a block pass, in  |
|                                                    | loops with the same trips for all: by review                |
| gives two shared arrays made on one line the same  | one array to a line, or one in all: by review               |
| memory                                             |                                                             |
| gives threads that ask at once different arrays,   | repaired (`cuda.simulator`), and full of rubbish, as are    |
| and arrays that are often full of zeros            | empty arrays of the stand-in for CuPy                       |
| `kernel[grid, threads]` changes the kernel         | launches name grid and threads each time (`cuda.grid`)    |
| exchanges the name `cuda` file by file, for all    | device functions that use it stand in their kernel's file:  |
| threads at once                                    | by review                                                   |
| runs blocks of a grid one after another, and has   | no kernel waits for another block; a number is written by   |
| no caches                                          | one thread; tests vary threads and grids                    |
| knows negative indices, and integers and floats of | the tests of PTX (no f64 in single precision); indices are  |
| Python's width                                     | not negative: by review                                     |
| copies nothing, waits for nothing, has no streams  | transfers are counted: a warm step has none but the loss's; |
|                                                    | all launches go to the default stream, as CuPy's do         |
| multiplies and adds apart                          | PTX: nothing is fused where bits must be the CPU's          |
| says nothing of speed                              | demos/benchmarks on a GPU                                   |
"""

import sys

import pytest

from minigrad import devices
from minigrad.kernels.device import arrays


def pytest_collection_modifyitems(items):
    mine = [item for item in items if item.path.is_relative_to(__file__.rpartition("/")[0])]
    for item in mine:
        if not arrays.simulated():
            item.add_marker("gpu")
        if devices.fault():
            item.add_marker(pytest.mark.skip(reason=f"neither a GPU nor the simulator: {devices.fault()}"))


@pytest.fixture(autouse=True, scope="session")
def quick_simulator():
    """Threads of the simulator take turns often, so that barriers are reached soon."""
    before = sys.getswitchinterval()
    if arrays.simulated():
        sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
