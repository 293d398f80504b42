"""Kernels and arrays of the device, on a GPU where there is one and else in Numba's CUDA simulator:

    NUMBA_ENABLE_CUDASIM=1 python -m pytest tests/cuda

In any other run these tests are skipped, and say so. The simulator runs a kernel's Python, a thread of Python for
each of the GPU's, so it shows wrong indices and wrong sums. What it does not show, and what covers that:

| the simulator                                      | covered by                                                  |
| -------------------------------------------------- | ----------------------------------------------------------- |
| compiles nothing: types, registers, spills         | the tests of PTX, which compile every kernel for a GPU      |
| lets some threads of a block skip a barrier        | every barrier here stands where all threads of a block      |
|                                                    | pass, in loops with the same trips for all: by review       |
| gives two shared arrays made on one line the same  | one array to a line, or one in all: by review               |
| memory                                             |                                                             |
| `kernel[grid, threads]` changes the kernel         | launches name grid and threads each time (`launch`)         |
| exchanges the name `cuda` file by file, for all    | device functions that use it stand in their kernel's file;  |
| threads at once                                    | a call across files fails now and then                      |
| runs blocks of a grid one after another, and       | no kernel waits for another block; each number is written   |
| thread by thread between barriers                  | by one thread; tests vary threads and grids                 |
| knows negative indices, Python's integers and      | the tests of PTX (no f64 in single precision); indices are  |
| double precision throughout a scalar expression    | not negative: by review                                     |
| waits for everything, and has no streams           | transfers are counted: a warm step has none but the loss's  |
| multiplies and adds apart                          | PTX: no fused multiply-add where bits must be the CPU's     |
"""

import sys

import pytest

from minigrad import devices
from minigrad.kernels import arrays


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
