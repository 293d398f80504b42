"""The products of gated layers where there is no Numba: `cpu`'s functions, written in NumPy like `reference`.

Packed values are spread out to dense arrays with zeros at closed blocks, so nothing is skipped. `layers` checks
the arguments.
"""

import numpy as np

from .. import specification
from ..device.work import empty, zeros
from ..packed import Packed

__all__ = ["add_bias", "contiguous", "dsd", "dsd_both", "dw", "dw_both", "empty", "gate_products", "open_lists",
           "packed_values", "scale", "sdd", "sdd_both", "sum_examples", "zeros"]


def _dense(values, blocks):
    return Packed(values, blocks, values.shape[1]).to_dense()


def contiguous(array):
    """The array itself: NumPy takes any strides."""
    return array


def open_lists(gates):
    """The lists of OpenBlocks, and whether all gates are 0 or 1."""
    return *specification.open_blocks(gates), bool(((gates == 0) | (gates == 1)).all())


def packed_values(blocks, block, dtype):
    """Room for the values of a Packed array."""
    return empty((blocks.n_open, block), dtype)


def sdd(x, weight, blocks, block):
    """values (n_open, block) = x weightᵀ at the open blocks."""
    return Packed.sample(x @ weight.T, blocks, block).values


def sdd_both(x, weight, blocks, block):
    """The same for a packed x."""
    return sdd(x.to_dense(), weight, blocks, block)


def dsd(values, weight, blocks, out):
    """out (B, D) += packed values times weight; returns out."""
    out += _dense(values, blocks) @ weight
    return out


def dsd_both(values, weight, blocks, x_blocks, x_block):
    """The same at the open blocks of a packed x: values (x_blocks.n_open, x_block)."""
    return Packed.sample(_dense(values, blocks) @ weight, x_blocks, x_block).values


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x, for (keep, rate) = (0, 1) or (1, -lr)."""
    product = _dense(values, blocks).T @ x
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
    out += values.dtype.type(rate) * _dense(values, blocks).sum(axis=0)


def gate_products(g, values, gates, blocks, out):
    """out (B, G) at open gates = g · values / gate, summed over the block."""
    where = blocks.rows, blocks.indices
    out[where] = (g * values).sum(axis=1) / gates[where].astype(g.dtype)
