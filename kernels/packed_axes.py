"""Reductions and rows of packed units, read from their open blocks alone.

A closed block holds zeros.  They change a sum by nothing, a product to 0, and a largest entry to at least 0.  So
each function reduces the open blocks, and then takes one 0 into account wherever a block is closed.

On a device the number of open blocks is not known to the host, and packed values have room for all blocks anyway.
There the functions take the dense array.
"""

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .device import work
from .gates import open_blocks


def reduce(x, ufunc, axis=None, keepdims=False):
    """``ufunc.reduce`` of packed units over ``axis``: an int, a tuple, or None for both axes."""
    axes = normalize_axis_tuple((0, 1) if axis is None else axis, 2)
    if not axes:
        raise TypeError("expected at least one axis for a Packed array, got axis=(); use .to_dense() first")
    if 0 in x.shape:            # as NumPy does, which refuses the largest of nothing
        return ufunc.reduce(np.empty(x.shape, x.dtype), axis=axes, keepdims=keepdims)
    examples, count = x.blocks.shape
    work.touched(x.blocks.n_open)
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
    """``ufunc`` over values[starts[i]:starts[i + 1]], for each i; 0 where there are none."""
    some = np.diff(starts) > 0
    if not some.any():
        return np.zeros((len(some), *values.shape[1:]), ufunc.reduce(np.zeros(1, values.dtype)).dtype)
    found = ufunc.reduceat(values, starts[:-1][some], axis=0)
    out = np.zeros((len(some), *values.shape[1:]), found.dtype)
    out[some] = found
    work.allocated(out.nbytes)
    return out


def closed(x, axis=None, keepdims=False):
    """How many units of closed blocks a reduction over ``axis`` meets."""
    units = reduce(x.with_values(np.ones(x.values.shape, np.int64)), np.add, axis, keepdims)
    axes = normalize_axis_tuple((0, 1) if axis is None else axis, 2)
    return np.prod([x.shape[a] for a in axes], dtype=np.int64) - units


def mean(x, axis=None, keepdims=False):
    total = reduce(x, np.add, axis, keepdims)
    return total / (x.size // max(1, np.size(total)))


def var(x, axis=None, keepdims=False, ddof=0):
    """The squared distances from the mean, in open blocks one by one, and in closed ones all at once."""
    centre = mean(x, axis, keepdims=True)
    apart = x.values - sampled(x, np.broadcast_to(centre, x.shape))
    total = reduce(x.with_values(apart * apart), np.add, axis, keepdims)
    centre = centre if keepdims else centre.reshape(np.shape(total))
    total = total + (centre * centre) * closed(x, axis, keepdims).astype(centre.dtype)
    return total / (x.size // max(1, np.size(total)) - ddof)


def std(x, axis=None, keepdims=False, ddof=0):
    return np.sqrt(var(x, axis, keepdims, ddof))


def sampled(x, dense):
    """The entries of a dense array at the open blocks of x."""
    return type(x).sample(dense, x.blocks, x.block).values


# -- rows ----------------------------------------------------------------------------------------------

def row_numbers(x, index):
    """The rows that an index names, as an array of integers."""
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
        return type(x).sample(dense[index], open_blocks(gates[index]), x.block)
    rows = row_numbers(x, index)
    gates = np.zeros(x.blocks.shape, bool)
    gates[x.blocks.rows, x.blocks.indices] = True
    values = x.values[positions_of(x.blocks, rows)]
    work.allocated(gates.nbytes + values.nbytes)
    work.touched(len(values))
    return type(x)(values, open_blocks(gates[rows]), x.block)


def add_rows(x, index, g):
    """Zeros on the open blocks of x with those of g, as many as ``take_rows`` took, added where they came from."""
    values = np.zeros_like(x.values)
    np.add.at(values, positions_of(x.blocks, row_numbers(x, index)), g.values)
    work.allocated(values.nbytes)
    work.touched(len(g.values))
    return x.with_values(values)
