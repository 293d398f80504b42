"""Reductions and rows of packed units, computed from their open blocks only.

A closed block consists of zeros. Zeros do not change a sum. They make a product 0, and a maximum at least 0. So each
function first reduces the open blocks, and then combines the result with one 0 if a block is closed.

On a GPU, the CPU does not know the number of open blocks, and packed values have room for all blocks. There the
functions use the dense array.
"""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .device import work
from .gates import open_blocks
from .tables import add_at


def reduce(x, ufunc, axis=None, keepdims=False):
    """``ufunc.reduce`` of packed units over ``axis``: an int, a tuple, or None for both axes."""
    axes = normalize_axis_tuple((0, 1) if axis is None else axis, 2)
    if not axes:
        raise TypeError("expected at least one axis for a Packed array, got axis=(); use .to_dense() first")
    if 0 in x.shape:            # as in NumPy, which raises an error for an empty maximum
        return ufunc.reduce(np.empty(x.shape, x.dtype), axis=axes, keepdims=keepdims)
    examples, count = x.blocks.shape
    x.blocks.touch()
    if len(axes) == 2:
        lengths, most = np.array([x.blocks.n_open]), examples * count
        out = segments(ufunc, ufunc.reduce(x.values, axis=1), np.array([0, x.blocks.n_open]))
        shape = (1, 1)
    elif axes == (1,):
        lengths, most = np.diff(x.blocks.indptr), count
        out = segments(ufunc, ufunc.reduce(x.values, axis=1), x.blocks.indptr)
        shape = (examples, 1)
    else:
        lengths, most = np.diff(x.blocks.block_indptr)[:, None], examples
        out = segments(ufunc, x.values[x.blocks.positions], x.blocks.block_indptr)
        shape = (1, x.shape[1])
    out = np.where(lengths < most, ufunc(out, out.dtype.type(0)), out).reshape(shape)
    return out if keepdims else np.squeeze(out, axes)[()]


def segments(ufunc, values, starts):
    """``ufunc`` over values[starts[i]:starts[i + 1]], for each i.  0 for an empty segment."""
    nonempty = np.diff(starts) > 0
    if not nonempty.any():
        return np.zeros((len(nonempty), *values.shape[1:]), ufunc.reduce(np.zeros(1, values.dtype)).dtype)
    reduced = ufunc.reduceat(values, starts[:-1][nonempty], axis=0)
    out = np.zeros((len(nonempty), *values.shape[1:]), reduced.dtype)
    out[nonempty] = reduced
    work.allocated(out.nbytes)
    return out


def closed(x, axis=None, keepdims=False):
    """The number of units of closed blocks in each result of a reduction over ``axis``."""
    units = reduce(x.with_values(np.ones(x.values.shape, np.int64)), np.add, axis, keepdims)
    axes = normalize_axis_tuple((0, 1) if axis is None else axis, 2)
    return np.prod([x.shape[a] for a in axes], dtype=np.int64) - units


def mean(x, axis=None, keepdims=False):
    """The mean over ``axis``."""
    total = reduce(x, np.add, axis, keepdims)
    return total / (x.size // max(1, np.size(total)))


def var(x, axis=None, keepdims=False, ddof=0):
    """The variance. Each closed unit contributes (0 − mean)², so all of them are added in one product."""
    centre = mean(x, axis, keepdims=True)
    deviations = x.values - gathered(x, np.broadcast_to(centre, x.shape))
    total = reduce(x.with_values(deviations * deviations), np.add, axis, keepdims)
    centre = centre if keepdims else centre.reshape(np.shape(total))
    total = total + (centre * centre) * closed(x, axis, keepdims).astype(centre.dtype)
    return total / (x.size // max(1, np.size(total)) - ddof)


def std(x, axis=None, keepdims=False, ddof=0):
    """The standard deviation over ``axis``."""
    return np.sqrt(var(x, axis, keepdims, ddof))


def gathered(x, dense):
    """The entries of a dense array (B, G·block) at the open blocks of x."""
    return type(x).gather(dense, x.blocks, x.block).values


# -- rows ----------------------------------------------------------------------------------------------

def row_numbers(x, index):
    """The numbers of the rows that an index selects, as an array."""
    rows, *rest = index or (Ellipsis,)
    whole = all(i is Ellipsis or (isinstance(i, slice) and i == slice(None)) for i in rest)
    numbers = np.arange(x.shape[0])[rows] if whole and np.ndim(rows) < 2 else None
    if np.ndim(numbers) != 1 or rows is None:
        raise TypeError("an index of a Packed array: expected rows, as in h[2:5], h[[0, 3]] or h[mask]; use "
                        ".to_dense() first for single rows and for units")
    return numbers


def positions_of(blocks, rows):
    """The positions of the open blocks of some rows, row by row."""
    lengths = np.diff(blocks.indptr)[rows]
    ends = np.cumsum(lengths)
    return np.repeat(blocks.indptr[rows] - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)


def take_rows(x, index):
    """x[index], for an index of rows, packed."""
    if x.on_device:
        dense = x.to_dense()
        gates = x.with_values(np.ones_like(x.values)).to_dense()[:, ::x.block] != 0
        return type(x).gather(dense[index], open_blocks(gates[index]), x.block)
    rows = row_numbers(x, index)
    gates = np.zeros(x.blocks.shape, bool)
    gates[x.blocks.rows, x.blocks.indices] = True
    values = x.values[positions_of(x.blocks, rows)]
    work.allocated(gates.nbytes + values.nbytes)
    work.touched(len(values))
    return type(x)(values, open_blocks(gates[rows]), x.block)


def add_rows(x, index, g):
    """The transpose of ``take_rows``: zeros on the open blocks of x, to which the rows of g are added at ``index``."""
    values = np.zeros_like(x.values)
    add_at(values, positions_of(x.blocks, row_numbers(x, index)), g.values)
    work.allocated(values.nbytes)
    work.touched(len(g.values))
    return x.with_values(values)
