"""Kernels read and write only inside their arrays."""

import ctypes
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import specification
from minigrad.kernels.cpu import dispatch, driver
from minigrad.kernels.device import work

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_plain_tile_under_bounds_checking(tmp_path):
    """Numba checks every index of the plain tile and of the list and epilogue passes."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels/test_layers.py",
         "-k", "plain and float32 and (gated or consumer) and (real or sparse)"],
        cwd=ROOT, env={**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


class Pages:
    """Makes arrays between two pages of memory.  An access to these pages ends the process."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.maps = []

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        inner = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(-1, inner + 2 * mmap.PAGESIZE)
        self.maps.append(memory)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for page in (address, address + mmap.PAGESIZE + inner):
            assert libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        start = mmap.PAGESIZE + (inner - size if self.at_end else 0)
        return np.frombuffer(memory, np.uint8, size, start).view(dtype).reshape(shape)

    def zeros(self, shape, dtype):
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def copy(self, array):
        copied = self.empty(array.shape, array.dtype)
        copied[...] = array
        return copied


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False], ids=["end", "start"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (7, 67, 3, 1), (13, 100, 4, 5), (20, 303, 3, 16), (3, 16, 2, 4)],
                         ids=str)
def test_nothing_beyond_the_arrays_is_touched(shape, dtype, at_end, monkeypatch):
    examples, inputs, count, block = shape
    rng = np.random.default_rng(5)
    pages = Pages(at_end)
    monkeypatch.setattr(work, "empty", pages.empty)
    for module in (dispatch, driver, work):
        monkeypatch.setattr(module, "zeros", pages.zeros)
    monkeypatch.setattr(dispatch, "dense_is_faster", lambda *case: False)

    def normal(*shape):
        return pages.copy(rng.standard_normal(shape).astype(dtype))

    x, weight, g, bias = (normal(examples, inputs), normal(count * block, inputs),
                          normal(examples, count * block), normal(count * block))
    gates = pages.copy((rng.random((examples, count)) * (rng.random((examples, count)) < 0.6)).astype(dtype))
    blocks = kernels.open_blocks(gates)
    blocks = kernels.OpenBlocks(blocks.shape, *(pages.copy(getattr(blocks, name)) for name in (
        "indptr", "indices", "block_indptr", "examples", "positions")), binary=blocks.binary)
    packed = kernels.Packed.gather(g, blocks, block)
    packed = packed.with_values(pages.copy(packed.values))

    out = kernels.gated_linear(x, weight, bias, gates, block, blocks)
    np.testing.assert_allclose(out.to_dense(), specification.gated_linear(x, weight, bias, gates, block),
                               atol=1e-3)
    kernels.gated_linear(x, weight, bias, gates, block)
    kernels.gated_linear_dx(packed, weight, gates, blocks, block)
    kernels.gated_linear_dw(packed, x, gates, blocks, block)
    kernels.gated_linear_db(packed, gates, blocks, block)
    kernels.gated_linear_dgates(packed, x, weight, bias, gates, out, "open")
    kernels.gated_linear_sgd(packed, x, gates, blocks, weight, bias, 0.1)
    consumer = normal(count * block, inputs).T
    kernels.packed_linear(packed, consumer)
    kernels.packed_linear_dh(x, consumer, blocks, block)
    kernels.packed_linear_dw(x, packed)
    kernels.packed_linear_sgd(x, packed, consumer, None, 0.1)
    both = normal(2 * 3, count * block)
    two = pages.copy((rng.random((examples, 2)) < 0.5).astype(dtype))
    above = kernels.gated_linear(packed, both, None, two, 3)
    kernels.gated_linear_dx(above, both, two, above.blocks, 3, x_blocks=blocks)
    kernels.gated_linear_dw(above, packed, two, above.blocks, 3)
    kernels.gated_linear_sgd(above, packed, two, above.blocks, both, None, 0.1)
