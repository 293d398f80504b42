"""The products of gated layers on the CPU: which kernel, cut how, on how many threads.

Every function takes checked arrays; `layers` checks them.
"""

import numpy as np

from ..device.work import allocated, empty, touched, zeros
from ..packed import Packed
from . import epilogue, plain, threads
from .breakeven import dense_is_faster
from .vectors import VECTOR_BYTES

if VECTOR_BYTES:
    from . import tile
else:
    tile = plain

# A panel, the rows that many blocks visit times some columns, should stay in a core's own cache.
_PANEL_BYTES = 512 * 1024


def _lists(blocks):
    return blocks.block_indptr, blocks.examples, blocks.positions


def _counted(array):
    """An array that BLAS allocated, counted."""
    allocated(array.nbytes)
    return array


def contiguous(array):
    """The array itself where loops can walk it as it lies, else a copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def packed_values(blocks, block, dtype):
    """Room for the values of a Packed array."""
    return empty((blocks.n_open, block), dtype)


def _panel(rows, itemsize):
    """Columns per panel: few enough for the cache, enough for full tiles and for several threads."""
    return 256 if rows * 256 * itemsize <= _PANEL_BYTES else 128


def sdd(x, weight, blocks, block):
    """values (n_open, block) = x weightᵀ at the open blocks."""
    if dense_is_faster("sdd", blocks, block, x.shape[1]):
        return Packed.sample(_counted(x @ weight.T), blocks, block).values
    values = packed_values(blocks, block, x.dtype)
    touched(blocks.n_open)
    x, weight = tile.prepared(x), tile.prepared(weight)
    ranges = threads.shares(blocks.block_indptr, values.size * weight.shape[1])
    threads.run(tile.sdd, ranges, *_lists(blocks), tile.operand(x), tile.operand(weight), values,
                alive=(x, weight))
    return values


def sdd_both(x, weight, blocks, block):
    """The same for a packed x."""
    if dense_is_faster("both", x.blocks, x.block, weight.shape[1]):
        return sdd(x.to_dense(), weight, blocks, block)
    values = packed_values(blocks, block, x.dtype)
    weight = tile.prepared(weight)
    pairs = _pairs(blocks, x.blocks)
    touched(pairs)
    ranges = threads.shares(blocks.block_indptr, pairs * block * x.block)
    threads.run(tile.sdd_both, ranges, *_lists(blocks), x.blocks.indptr, x.blocks.indices,
                np.ascontiguousarray(x.values), tile.operand(weight), values, alive=weight)
    return values


def dsd(values, weight, blocks, out):
    """out (B, D), contiguous, += packed values times weight; returns out."""
    if dense_is_faster("dsd", blocks, values.shape[1], out.shape[1]):
        out += _counted(Packed(values, blocks, values.shape[1]).to_dense() @ weight)
        return out
    touched(blocks.n_open)
    weight = tile.prepared(weight)
    multiply_adds = values.size * out.shape[1]
    if values.shape[1] == 1:
        # Blocks of one unit: nothing to keep in registers between the examples of a block. Seen
        # from an example, though, this is the sum that dw forms for a unit.
        entries = np.arange(blocks.n_open, dtype=np.int32)
        allocated(entries.nbytes)
        ranges = threads.shares(blocks.indptr, multiply_adds)
        threads.run(tile.dw, ranges, _panel(len(weight), out.itemsize), blocks.indptr, blocks.indices,
                    entries, values, tile.operand(weight), tile.operand(out), 1, values.dtype.type(1),
                    alive=(weight, out))
        return out
    panel = _panel(len(out), out.itemsize)
    panels = -(-out.shape[1] // panel)
    ranges = threads.shares(np.arange(panels + 1), multiply_adds)
    threads.run(tile.dsd, ranges, panel, *_lists(blocks), values, tile.operand(weight), out, alive=weight)
    return out


def dsd_both(values, weight, blocks, x_blocks, x_block):
    """The same at the open blocks of a packed x: values (x_blocks.n_open, x_block)."""
    if dense_is_faster("both", x_blocks, x_block, weight.shape[1]):
        out = zeros((x_blocks.shape[0], weight.shape[1]), values.dtype)
        return Packed.sample(dsd(values, weight, blocks, out), x_blocks, x_block).values
    out = zeros((x_blocks.n_open, x_block), values.dtype)
    weight = tile.prepared(weight)
    pairs = _pairs(blocks, x_blocks)
    touched(pairs)
    ranges = threads.shares(x_blocks.indptr, pairs * values.shape[1] * x_block)
    threads.run(tile.dsd_both, ranges, *_lists(blocks), x_blocks.indptr, x_blocks.indices, values,
                tile.operand(weight), out, alive=weight)
    return out


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x, for (keep, rate) = (0, 1) or (1, -lr)."""
    if not keep and dense_is_faster("dw", blocks, values.shape[1], out.shape[1]):
        np.matmul(Packed(values, blocks, values.shape[1]).to_dense().T, x, out=out)
        return
    touched(blocks.n_open)
    x, target = tile.prepared(x), tile.prepared(out)
    ranges = threads.shares(blocks.block_indptr, values.size * out.shape[1])
    threads.run(tile.dw, ranges, _panel(len(x), x.itemsize), *_lists(blocks), values, tile.operand(x),
                tile.operand(target), keep, values.dtype.type(rate), alive=(x, target))
    if target is not out:
        out[...] = target


def dw_both(values, x, blocks, out, rate):
    """out (H, D) += rate · valuesᵀ x for a packed x."""
    if dense_is_faster("both", x.blocks, x.block, out.shape[1]):
        dw(values, x.to_dense(), blocks, out, 1, rate)
        return
    target = tile.prepared(out)
    pairs = _pairs(blocks, x.blocks)
    touched(pairs)
    ranges = threads.shares(blocks.block_indptr, pairs * values.shape[1] * x.block)
    threads.run(tile.dw_both, ranges, *_lists(blocks), values, x.blocks.indptr, x.blocks.indices,
                np.ascontiguousarray(x.values), tile.operand(target), values.dtype.type(rate), alive=target)
    if target is not out:
        out[...] = target


def add_bias(values, bias, blocks):
    """values += bias of each open block."""
    epilogue.add_bias(blocks.indices, contiguous(bias), values)


def scale(values, gates, blocks, out):
    """out = gate · values at each open block."""
    epilogue.scale(blocks.indptr, blocks.indices, contiguous(gates), values, out)


def sum_examples(values, blocks, out, rate):
    """out (H,) += rate · the sum of values over examples."""
    target = contiguous(out)
    epilogue.sum_examples(blocks.block_indptr, blocks.positions, values, target, values.dtype.type(rate))
    if target is not out:
        out[...] = target


def gate_products(g, values, gates, blocks, out):
    """out (B, G) at open gates = g · values / gate, summed over the block."""
    gates = np.require(gates, dtype=g.dtype, requirements="CA")
    epilogue.gate_products(blocks.indptr, blocks.indices, gates, g, values, out)


def _pairs(blocks, x_blocks):
    """The number of (open output block, open input block) pairs."""
    return int(np.dot(np.diff(blocks.indptr).astype(np.int64), np.diff(x_blocks.indptr)))
