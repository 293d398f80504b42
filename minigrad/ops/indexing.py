"""Reading entries by index.  The cotangents are added back at the same positions.

Indices are arguments of the primitives and not options.  So a replay computes them again if they depend on a value
that changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices
from minigrad.kernels import Packed, packed_axes
from minigrad.kernels.device import arrays
from minigrad.kernels.device.deferred import require
from minigrad.kernels.tables import add_at, sum_rows
from minigrad.ops.arithmetic import astype
from minigrad.ops.errors import shape_error
from minigrad.ops.masks import moved
from minigrad.ops.packed import Factored
from minigrad.ops.primitives import primitive

if TYPE_CHECKING:
    from minigrad.aliases import DTypeLike, Operand, Result, Shape

__all__ = ["add_along_axis", "gather", "getitem", "one_hot", "scatter_add", "take_along_axis"]


@primitive(integers=True, takes_wanted=True, reads=moved)
def getitem(x: Operand, *index: Any) -> Result:
    """x[index]: integers, slices, None, Ellipsis, arrays or lists of integers and boolean masks, as in NumPy.

    Raises
    ------
    IndexError
        An index is out of range, or it is not an integer, a slice or a mask (for example a float).

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> x[[0, 0, 2]].sum().backward()
    >>> x.grad
    array([2., 0., 1.])
    """
    if arrays.is_device(getattr(x, "values", x)):       # for packed units, where their values are
        index = as_arrays(x, index)
        check_range("getitem", x, index)
    try:
        return x[index]
    except IndexError as error:
        raise IndexError(f"getitem: expected an index into shape {x.shape}, got "
                         f"{', '.join(str(getattr(i, 'shape', i)) for i in index)}: {error}") from None


def getitem_vjp(g, out, x, *index, wanted):
    """Zeros with the cotangent g added at ``index``.  Packed if g is packed."""
    if isinstance(g, Packed):
        if not x.on_device:
            return packed_axes.add_rows(x, index, g)
        g = g.to_dense()
    if (type(g) is np.ndarray and type(x) is np.ndarray and x.size > g.size > 0 and of_rows(index)
            and g.shape[index[0].ndim:] == x.shape[1:]):
        return rows_of_table(g, x, index[0].copy())
    return scatter_add(g, *index, shape=x.shape)


def rows_of_table(g, table, indices):
    """The cotangent of a table of which some rows were looked up, without the other rows."""
    def descend(weight, lr):
        numbers, sums = sum_rows(indices, g, len(table))
        weight[numbers] -= lr * sums

    return Factored(table, (g,), lambda: scatter_add.forward(g, indices, shape=table.shape), descend,
                    rows=lambda: sum_rows(indices, g, len(table)))


getitem.vjps(getitem_vjp)


@primitive(integers=True)
def scatter_add(x: Operand, *index: Any, shape: Shape) -> Result:
    """Zeros of ``shape`` with x added at ``index``.  If an index occurs several times, its entries are added up.

    On a GPU the additions are atomic, so their order is not fixed.  If three or more floats are added at one position,
    the last bits of the sum may differ between runs.  Otherwise results are reproducible.
    """
    index = as_arrays(x, index)
    if of_rows(index):
        out = np.zeros_like(x, shape=shape, order="C")
        add_at(out, index[0], x)
        return out
    out = np.zeros_like(x, shape=shape)
    if any(np.ndim(i) and i.dtype != bool for i in index):
        np.add.at(out, index, x)
    else:
        out[index] = x          # integers, slices and masks have no repeated positions; this is much faster
    return out


scatter_add.vjps(lambda g, out, x, *index, shape: getitem(g, *index))


def of_rows(index):
    """Whether an index is an array of integers for the first axis, and takes the other axes as a whole."""
    if not index or not arrays.is_array(index[0]) or not index[0].ndim or index[0].dtype.kind not in "iu":
        return False
    return all(i is Ellipsis or (isinstance(i, slice) and i == slice(None)) for i in index[1:])


def as_arrays(x, index):
    """``index`` with arrays, on the device of x, in place of lists, tuples and ranges."""
    return tuple(devices.beside(x, i) if isinstance(i, (list, tuple, range)) else i for i in index)


def check_range(name, x, index):
    """Check the integers in an index into an array on a GPU, since CuPy does not: it wraps them around silently."""
    entries = [i for i in index if i is not None]
    rest = x.ndim - sum(map(width, entries))        # the axes that an Ellipsis stands for
    axis = 0
    for i in entries:
        if arrays.is_device(i) and i.dtype.kind in "iu" and i.size:
            check_within(name, i, x.shape[axis])
        axis += rest if i is Ellipsis else width(i)


def width(i):
    """The number of axes that an entry of an index takes, or 0 for an Ellipsis."""
    if i is Ellipsis:
        return 0
    return i.ndim if getattr(i, "dtype", None) == np.bool_ else 1


def check_within(name, indices, length):
    """Raise an IndexError if an index is out of range for an axis of this length."""
    low, high = indices.min(), indices.max()
    require((low >= -length) & (high < length), lambda: IndexError(
        f"{name}: expected indices from {-length} to {length - 1}, got {low} to {high}"))


def along(indices, axis, shape):
    """The full index into an array of ``shape``, from the ``indices`` along one axis."""
    index = [np.arange(n, like=indices).reshape([-1 if a == b else 1 for b in range(len(shape))])
             for a, n in enumerate(shape)]
    index[axis] = indices
    return tuple(index)


@primitive(integers=True)
def take_along_axis(x: Operand, indices: Operand, axis: int = -1) -> Result:
    """Entries of x at ``indices`` along ``axis``.  ``indices`` is an integer array with as many axes as x.

    >>> take_along_axis(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]))
    array([[2.],
           [3.]])
    """
    index = along(indices, axis, x.shape)
    if arrays.is_device(x):
        check_within("take_along_axis", indices, x.shape[axis])
    try:
        return x[index]
    except (IndexError, ValueError):
        raise shape_error("take_along_axis", f"integer indices within axis {axis} of x, of a shape that fits it",
                          "Use x[...] for other indices.", x=x, indices=indices) from None


take_along_axis.vjps(
    lambda g, out, x, indices, axis=-1: add_along_axis(g, indices, axis=axis, shape=x.shape), None)


def gather(x: Operand, axis: int, indices: Operand) -> Result:
    """Entries of x at ``indices`` along ``axis``, in the shape of ``indices``.  PyTorch has the same function.

    It works like ``take_along_axis``.  On its other axes, ``indices`` may be shorter than x: the first entries of x
    are then used.

    >>> gather(np.array([[1.0, 2.0], [3.0, 4.0]]), 1, np.array([[1, 1, 0]]))
    array([[2., 2., 1.]])
    """
    if x.ndim != indices.ndim or not -x.ndim <= axis < x.ndim:
        raise shape_error("gather", f"indices with as many axes as x, and axis {axis} among them",
                          "Use x[...] for other indices.", x=x, indices=indices)
    axis %= x.ndim
    cut = tuple(slice(None) if a == axis else slice(0, n) for a, n in enumerate(indices.shape))
    return take_along_axis(getitem(x, *cut), indices, axis=axis)


@primitive(integers=True)
def add_along_axis(x: Operand, indices: Operand, axis: int, shape: Shape) -> Result:
    """Zeros of ``shape`` with x added at ``indices`` along ``axis``."""
    out = np.zeros_like(x, shape=shape)
    np.add.at(out, along(indices, axis, shape), x)
    return out


add_along_axis.vjps(
    lambda g, out, x, indices, axis, shape: take_along_axis(g, indices, axis=axis), None)


@primitive
def one_hot(labels: Operand, classes: int, dtype: DTypeLike = np.float64) -> Result:
    """One-hot vectors: 1 at each label and 0 elsewhere, along a new last axis of length ``classes``.

    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = np.expand_dims(labels, -1)
    return astype(np.equal(labels, np.arange(classes, like=labels)), dtype)


one_hot.vjps(None)
