"""Tests of kernels and arrays of the device, on a GPU if there is one, else in Numba's CUDA simulator:

    NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda

Without a GPU and without the simulator, these tests are skipped. The simulator runs the Python code of a kernel, with
one Python thread for each thread of the GPU. So it finds wrong indices and wrong sums. It cannot find everything. This
table lists its limits, and how each one is covered:

| the simulator                                      | covered by                                                  |
| -------------------------------------------------- | ----------------------------------------------------------- |
| compiles nothing: types, registers, spills         | tests/test_cuda_ptx.py, which compiles every kernel for     |
|                                                    | GPUs, without one                                           |
| lets some threads of a block skip a barrier        | tests/test_cuda_source.py: all threads of a block reach     |
|                                                    | every barrier, the same number of times                     |
| gives two shared arrays made on one line the same  | tests/test_cuda_source.py: at most one array per line       |
| memory                                             |                                                             |
| may give threads of a block different shared       | repaired (`cuda.simulator`); new shared arrays, and empty   |
| arrays, which are often full of zeros              | arrays of the simulated CuPy, are full of NaN               |
| `kernel[grid, threads]` changes the kernel         | each launch sets grid and threads again (`cuda.grid`)       |
| replaces the name `cuda` in one file at a time,    | by review: device functions that use `cuda` are in the file |
| for all threads                                    | of their kernel                                             |
| runs the blocks of a grid one after another, and   | no kernel waits for another block; one thread writes each   |
| has no caches                                      | number; tests use different threads and grids               |
| allows negative indices, and has the integers and  | the tests of PTX (no f64 in single precision); by review:   |
| floats of Python                                   | indices are not negative                                    |
| copies nothing, does not wait, has no streams      | transfers are counted: a warm step has only that of the     |
|                                                    | loss; all launches use the default stream, as CuPy does     |
| does not fuse products with sums                   | the tests of PTX: nothing is fused if bits must be equal to |
|                                                    | those of the CPU                                            |
| does not show the speed                            | demos/benchmarks on a GPU                                   |
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
