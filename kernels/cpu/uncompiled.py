"""The functions that `layers` calls without Numba: those of `driver`, written in NumPy like `specification`.

Packed values are copied to dense arrays with zeros at closed blocks. So every block is computed, and none is skipped.
"""

import numpy as np

from .. import specification
from ..blocks import OpenBlocks
from ..checks import check_finite_gates
from ..device.work import allocated, empty, zeros

__all__ = ["add_bias", "contiguous", "dsd", "dsd_both", "dw", "dw_both", "empty", "gate_products", "in_one_call",
           "open_blocks", "scale", "sdd", "sdd_both", "sum_examples", "zeros"]


def contiguous(array):
    """The array itself, because NumPy accepts any strides."""
    return array


def open_blocks(gates):
    """The OpenBlocks of gates (B, G)."""
    check_finite_gates(gates)
    blocks = OpenBlocks(gates.shape, *specification.open_blocks(gates), bool(((gates == 0) | (gates == 1)).all()))
    allocated(blocks.nbytes)
    return blocks


def in_one_call(x, weight, bias, gates):
    """False: without compiled kernels, one example is computed in the same way as many."""
    return False


def sdd(x, weight, blocks, block):
    """values (n_open, block) = x weightᵀ at the open blocks."""
    return blocks.gather(x @ weight.T, block)


def sdd_both(x, weight, blocks, block):
    """The same for a packed x."""
    return sdd(x.to_dense(), weight, blocks, block)


def dsd(values, weight, blocks, out):
    """out (B, D) += packed values times weight; returns out."""
    out += blocks.scatter(values) @ weight
    return out


def dsd_both(values, weight, blocks, x_blocks, x_block):
    """The same at the open blocks of a packed x: values (x_blocks.n_open, x_block)."""
    return x_blocks.gather(blocks.scatter(values) @ weight, x_block)


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x, for (keep, rate) = (0, 1) or (1, -lr)."""
    product = blocks.scatter(values).T @ x
    if keep:
        out += values.dtype.type(rate) * product
    else:
        out[...] = product


def dw_both(values, x, blocks, out, rate):
    """out (H, D) += rate · valuesᵀ x for a packed x."""
    dw(values, x.to_dense(), blocks, out, 1, rate)


def add_bias(values, bias, blocks):
    """values += bias of each open block."""
    values += bias.reshape(-1, values.shape[1])[blocks.indices]


def scale(values, gates, blocks, out):
    """out = gate · values at each open block."""
    np.multiply(gates[blocks.rows, blocks.indices][:, None], values, out=out)


def sum_examples(values, blocks, out, rate):
    """out (H,) += rate · the sum of values over examples."""
    out += values.dtype.type(rate) * blocks.scatter(values).sum(axis=0)


def gate_products(g, values, gates, blocks, out):
    """out (B, G) at open gates = g · values / gate, summed over the block."""
    where = blocks.rows, blocks.indices
    out[where] = (g * values).sum(axis=1) / gates[where].astype(g.dtype)
