"""Reading entries by index; the cotangents are added back at the same places.

Indices are arguments, not options, so that a replay sees them change.
"""

import numpy as np

from minigrad import devices
from minigrad.kernels import Packed, packed_axes
from minigrad.kernels.device import arrays
from minigrad.kernels.device.deferred import require
from minigrad.ops.arithmetic import astype
from minigrad.ops.errors import misfit
from minigrad.ops.packed import OPEN
from minigrad.ops.primitives import primitive

__all__ = ["add_along_axis", "gather", "getitem", "one_hot", "scatter_add", "take_along_axis"]


@primitive(integers=True, graded=True)
def getitem(x, *index):
    """x[index]: integers, slices, None, Ellipsis, arrays or lists of integers and boolean masks, as in NumPy.

    Raises
    ------
    IndexError
        An index beyond the ends of x, of floats, or of anything else.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> x[[0, 0, 2]].sum().backward()
    >>> x.grad
    array([2., 0., 1.])
    """
    if arrays.is_device(getattr(x, "values", x)):       # packed units have their values there
        index = as_arrays(x, index)
        check_range("getitem", x, index)
    try:
        return x[index]
    except IndexError as error:
        raise IndexError(f"getitem: expected an index into shape {x.shape}, got "
                         f"{', '.join(str(getattr(i, 'shape', i)) for i in index)}: {error}") from None


def slope_of_getitem(g, out, x, *index, wanted):
    """The cotangents added back; of packed units at the open blocks of their rows."""
    if isinstance(g, Packed):
        if wanted == OPEN and not x.on_device:
            return packed_axes.add_rows(x, index, g)
        g = g.to_dense()
    return scatter_add(g, *index, shape=x.shape)


getitem.vjps(slope_of_getitem)


@primitive(integers=True)
def scatter_add(x, *index, shape):
    """Zeros of ``shape`` with x added at ``index``: entries that an index repeats add up.

    On a GPU they do so by CuPy's atomic additions, in no fixed order: three or more floats at one place may round
    to other last bits in another run. Without repeats, and for two, results are the same bits.
    """
    index = as_arrays(x, index)
    out = np.zeros_like(x, shape=shape)
    if any(np.ndim(i) and i.dtype != bool for i in index):
        np.add.at(out, index, x)
    else:
        out[index] = x          # integers, slices and masks repeat nothing, and this is much faster
    return out


scatter_add.vjps(lambda g, out, x, *index, shape: getitem(g, *index))


def as_arrays(x, index):
    """An index into x whose lists, tuples and ranges are arrays."""
    return tuple(devices.beside(x, i) if isinstance(i, (list, tuple, range)) else i for i in index)


def check_range(name, x, index):
    """Have a device refuse integers beyond the ends of x: it would wrap them round silently."""
    named = [i for i in index if i is not None]
    rest = x.ndim - sum(map(width, named))
    axis = 0
    for i in named:
        if arrays.is_device(i) and i.dtype.kind in "iu" and i.size:
            check_within(name, i, x.shape[axis])
        axis += rest if i is Ellipsis else width(i)


def width(i):
    """How many axes an entry of an index takes up, besides what an Ellipsis stands for."""
    if i is Ellipsis:
        return 0
    return i.ndim if getattr(i, "dtype", None) == np.bool_ else 1


def check_within(name, indices, length):
    low, high = indices.min(), indices.max()
    require((low >= -length) & (high < length), lambda: IndexError(
        f"{name}: expected indices from {-length} to {length - 1}, got {low} to {high}"))


def along(indices, axis, shape):
    """The full index of entries of an array of ``shape`` that ``indices`` name along one axis."""
    index = [np.arange(n, like=indices).reshape([-1 if a == b else 1 for b in range(len(shape))])
             for a, n in enumerate(shape)]
    index[axis] = indices
    return tuple(index)


@primitive(integers=True)
def take_along_axis(x, indices, axis=-1):
    """Entries of x at ``indices``, an integer array with as many axes, along ``axis``.

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
        raise misfit("take_along_axis", f"integer indices within axis {axis} of x, of a shape that fits it",
                     "Use x[...] for other indices.", x=x, indices=indices) from None


take_along_axis.vjps(
    lambda g, out, x, indices, axis=-1: add_along_axis(g, indices, axis=axis, shape=x.shape), None)


def gather(x, axis, indices):
    """PyTorch's gather: entries of x at ``indices`` along ``axis``, of the shape of ``indices``.

    Like ``take_along_axis``; on its other axes ``indices`` may be shorter than x, which is then read from the start.

    >>> gather(np.array([[1.0, 2.0], [3.0, 4.0]]), 1, np.array([[1, 1, 0]]))
    array([[2., 2., 1.]])
    """
    if x.ndim != indices.ndim or not -x.ndim <= axis < x.ndim:
        raise misfit("gather", f"indices with an axis for each of x, and axis {axis} among them",
                     "Use x[...] for other indices.", x=x, indices=indices)
    axis %= x.ndim
    cut = tuple(slice(None) if a == axis else slice(0, n) for a, n in enumerate(indices.shape))
    return take_along_axis(getitem(x, *cut), indices, axis=axis)


@primitive(integers=True)
def add_along_axis(x, indices, axis, shape):
    """Zeros of ``shape`` with x added at ``indices`` along ``axis``."""
    out = np.zeros_like(x, shape=shape)
    np.add.at(out, along(indices, axis, shape), x)
    return out


add_along_axis.vjps(
    lambda g, out, x, indices, axis, shape: take_along_axis(g, indices, axis=axis), None)


@primitive
def one_hot(labels, classes, dtype=np.float64):
    """1 at each label and 0 elsewhere, along a new last axis of length ``classes``.

    >>> one_hot(np.array([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    labels = np.expand_dims(labels, -1)
    return astype(np.equal(labels, np.arange(classes, like=labels)), dtype)


one_hot.vjps(None)
