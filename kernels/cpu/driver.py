"""The functions that `layers` calls for arrays of NumPy, if Numba is installed.

`cuda.driver` has the same functions for arrays of a device, and `uncompiled` has them without Numba. Every
function takes checked arrays. The products are in `dispatch`, which chooses how each one is computed.
"""

import math

import numpy as np

from ..checks import check_finite_gates
from ..device import work
from ..device.work import empty, zeros
from . import epilogue, layout, lists, one_example
from .blocks import HostBlocks
from .dispatch import dsd, dsd_both, dw, dw_both, in_one_call, sdd, sdd_both

__all__ = ["add_bias", "contiguous", "dsd", "dsd_both", "dw", "dw_both", "empty", "gate_products", "in_one_call",
           "open_blocks", "scale", "sdd", "sdd_both", "sum_examples", "values_and_blocks", "zeros"]

_NO_BIAS = {dtype: np.empty(0, dtype) for dtype in (np.dtype(np.float32), np.dtype(np.float64))}


def contiguous(array):
    """The array itself if it is contiguous and aligned, else a copy that is."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def open_blocks(gates):
    """The OpenBlocks of gates (B, G)."""
    if not (gates.flags.c_contiguous and gates.flags.aligned and gates.flags.writeable):
        gates = gates.copy()
    numbers = gates.view(np.uint8) if gates.dtype == np.bool_ else gates
    counts = np.empty(gates.shape[1], np.int32)
    n_open, deviation = lists.count_open(numbers, counts)
    buffer = layout.buffer(gates.shape, n_open)
    lists.list_open(numbers, counts, n_open, buffer)
    return _blocks_of(gates, buffer, n_open, deviation)


def _blocks_of(gates, buffer, n_open, deviation):
    """The OpenBlocks of gates, from the counts and the buffer that `lists` computed."""
    if not math.isfinite(deviation):
        check_finite_gates(gates)
    indptr, block_indptr, indices = layout.sections(buffer, gates.shape, n_open)
    return HostBlocks(gates.shape, indptr, indices[:n_open], block_indptr, binary=deviation == 0)


def values_and_blocks(x, weight, bias, gates, block):
    """The forward product of one example, if `in_one_call` allows it: (packed values, OpenBlocks)."""
    count = gates.shape[1]
    values, counts = np.empty((count, block), x.dtype), np.empty(count, np.int32)
    buffer, by_block = layout.buffer(gates.shape, count), np.empty((2, count), np.int32)
    n_open, deviation = one_example.gated_linear(
        gates, x, weight, _NO_BIAS[x.dtype] if bias is None else bias, counts, buffer, by_block, values)
    blocks, values = _blocks_of(gates, buffer, n_open, deviation), values[:n_open]
    work.allocated(values.nbytes)
    blocks.touch()
    return values, blocks


def add_bias(values, bias, blocks):
    """values += bias of each open block."""
    if blocks.all_open:
        rows = values.reshape(blocks.shape[0], len(bias))
        rows += bias
        return
    epilogue.add_bias(blocks.indices, contiguous(bias), values)


def scale(values, gates, blocks, out):
    """out = gate · values at each open block."""
    epilogue.scale(blocks.indptr, blocks.indices, contiguous(gates), values, out)


def sum_examples(values, blocks, out, rate):
    """out (H,) += rate · the sum of values over examples."""
    if blocks.all_open:
        out += values.dtype.type(rate) * values.reshape(blocks.shape[0], len(out)).sum(axis=0)
        return
    target = contiguous(out)
    epilogue.sum_examples(blocks.indptr, blocks.indices, values, target, values.dtype.type(rate))
    if target is not out:
        out[...] = target


def gate_products(g, values, gates, blocks, out):
    """out (B, G) at open gates = g · values / gate, summed over the block."""
    gates = np.require(gates, dtype=g.dtype, requirements="CA")
    epilogue.gate_products(blocks.indptr, blocks.indices, gates, g, values, out)
