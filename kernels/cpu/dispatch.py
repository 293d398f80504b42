"""Choose how a product is computed on the CPU: densely by BLAS, on vectors, or by plain loops; and on how many threads.

Each function is one of the products that `plain` describes. It takes checked arrays of NumPy:

    sdd   values[open] = x weightᵀ         dsd   out += values weight         dw   out = valuesᵀ x

`*_both` are the same products for a packed x. There are three choices. If most blocks are open, BLAS is faster than
skipping closed blocks (`breakeven`). If the processor has wide vectors, `tile` is faster than `plain`. If there is
enough work for several threads, `threads` divides it.
"""

import numpy as np

from ..compiler import serving
from ..device.work import allocated, empty, touched, zeros
from . import plain, threads
from .breakeven import dense_is_faster
from .processor import cache_bytes
from .vectors import VECTOR_BYTES

if VECTOR_BYTES:
    from . import tile
else:
    tile = plain

# A panel is some columns of the rows that many blocks use. It should stay in the cache of one core. Other data passes
# through the same cache, so a panel fills only a part of it.
_OWN_CACHE = cache_bytes(2)


def in_one_call(x, weight, bias, gates):
    """Whether `one_example.gated_linear` accepts these arrays without copies, and one thread is enough for the work."""
    if not isinstance(x, np.ndarray) or threads.worth_sharing(weight.size) or serving() != "numba":
        return False
    for array in (x, weight, gates) if bias is None else (x, weight, gates, bias):
        flags = array.flags
        if array.dtype != x.dtype or not (flags.c_contiguous and flags.aligned and flags.writeable):
            return False
    return True


def sdd(x, weight, blocks, block):
    """values (n_open, block) = x weightᵀ at the open blocks."""
    if dense_is_faster("sdd", blocks, block, x.shape[1], x.itemsize):
        return _packed(_counted(x @ weight.T), blocks, block)
    values = blocks.empty(block, x.dtype)
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
    values = blocks.empty(block, x.dtype)
    weight = tile.prepared(weight)
    pairs = _pairs(blocks, x.blocks)
    touched(pairs)
    ranges = threads.shares(blocks.block_indptr, pairs * block * x.block)
    threads.run(tile.sdd_both, ranges, *_lists(blocks), x.blocks.indptr, x.blocks.indices,
                np.ascontiguousarray(x.values), tile.operand(weight), values, alive=weight)
    return values


def dsd(values, weight, blocks, out):
    """out (B, D), contiguous, += packed values times weight; returns out."""
    if dense_is_faster("dsd", blocks, values.shape[1], out.shape[1], out.itemsize):
        out += _counted(_dense(values, blocks) @ weight)
        return out
    touched(blocks.n_open)
    weight = tile.prepared(weight)
    multiply_adds = values.size * out.shape[1]
    if values.shape[1] == 1:
        # With one unit per block, the kernel for dsd would load and store its sums for each unit. The kernel for dw
        # keeps its sums in registers. Usually it sums over the examples of a unit; here, over the units of an example.
        entries = np.arange(blocks.n_open, dtype=np.int32)
        allocated(entries.nbytes)
        ranges = threads.shares(blocks.indptr, multiply_adds)
        threads.run(tile.dw, ranges, _panel(len(weight), out.shape[1], out.itemsize, 2), blocks.indptr, blocks.indices,
                    entries, values, tile.operand(weight), tile.operand(out), 1, values.dtype.type(1),
                    alive=(weight, out))
        return out
    panel = _panel(*out.shape, out.itemsize, 4)
    panels = -(-out.shape[1] // panel)
    ranges = threads.shares(np.arange(panels + 1), multiply_adds)
    threads.run(tile.dsd, ranges, panel, *_lists(blocks), values, tile.operand(weight), out, alive=weight)
    return out


def dsd_both(values, weight, blocks, x_blocks, x_block):
    """The same at the open blocks of a packed x: values (x_blocks.n_open, x_block)."""
    if dense_is_faster("both", x_blocks, x_block, weight.shape[1]):
        out = zeros((x_blocks.shape[0], weight.shape[1]), values.dtype)
        return _packed(dsd(values, weight, blocks, out), x_blocks, x_block)
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
    if dense_is_faster("step" if keep else "dw", blocks, values.shape[1], out.shape[1], out.itemsize):
        if not keep:
            np.matmul(_dense(values, blocks).T, x, out=out)
            return
        if np.diff(blocks.block_indptr).all():      # else 0 · inf could change the rows of a closed block
            _dense_step(_dense(values, blocks), x, out, values.dtype.type(rate))
            return
    touched(blocks.n_open)
    x, target = tile.prepared(x), tile.prepared(out)
    ranges = threads.shares(blocks.block_indptr, values.size * out.shape[1])
    threads.run(tile.dw, ranges, _panel(*x.shape, x.itemsize, 2), *_lists(blocks), values, tile.operand(x),
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


def _dense_step(g, x, out, rate):
    """out (H, D) += rate · gᵀ x. A part of the rows is computed at a time, so that the product stays in a cache."""
    rows = max(32, cache_bytes(3) // 8 // max(1, out.shape[1] * out.itemsize))
    product = empty((min(rows, len(out)), out.shape[1]), out.dtype)
    for low in range(0, len(out), rows):
        part = out[low:low + rows]
        step = np.matmul(g[:, low:low + rows].T, x, out=product[:len(part)])
        step *= rate
        part += step


def _dense(values, blocks):
    """Packed values as a dense array (B, G·block). It may be a view of the values."""
    if blocks.all_open:
        return values.reshape(blocks.shape[0], blocks.shape[1] * values.shape[1])
    return blocks.scatter(values)


def _packed(product, blocks, block):
    """The open blocks of a dense product (B, G·block), packed. They may be a view of the product."""
    if blocks.all_open:
        blocks.touch()
        return product.reshape(-1, block)
    return blocks.gather(product, block)


def _lists(blocks):
    return blocks.block_indptr, blocks.examples, blocks.positions


def _pairs(blocks, x_blocks):
    """The number of (open output block, open input block) pairs."""
    return int(np.dot(np.diff(blocks.indptr).astype(np.int64), np.diff(x_blocks.indptr)))


def _panel(rows, columns, itemsize, part):
    """Columns per panel: as many as fit into 1 / `part` of the cache, but at least 256, so that tiles are full."""
    fitting = _OWN_CACHE // (part * max(1, rows) * itemsize) // 128 * 128
    return max(1, min(columns, max(256, fitting)))


def _counted(array):
    """Count the memory of an array that BLAS allocated, and return the array."""
    allocated(array.nbytes)
    return array
