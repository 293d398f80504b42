"""Primitives that rearrange or repeat entries: shapes and axes."""

from __future__ import annotations

import operator
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import described, is_whole
from minigrad.ops.alternatives import same_entries
from minigrad.ops.masks import moved, union
from minigrad.ops.primitives import along_axes, primitive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minigrad.aliases import Operand, Result, Shape

__all__ = [
    "broadcast_to", "expand_dims", "flip", "moveaxis", "repeat", "reshape", "roll", "squeeze",
    "swapaxes", "tile", "transpose",
]


def axes_of(axis, ndim):
    """The axes that an ``axis`` argument names, as a tuple of ints from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(type(a) is int and -ndim <= a < ndim for a in axes):
        if not all(is_whole(a, -inf) for a in axes):
            raise TypeError(f"axis: expected an int, a tuple of ints or None, got {described(axis)}. "
                            "Axes are numbered from 0, or backwards from -1")
        if all(-ndim <= a < ndim for a in axes):
            return tuple(int(a) % ndim for a in axes)
        raise ValueError(f"axis: expected axes from {-ndim} to {ndim - 1} for an array of {ndim} axes, got {axis}. "
                         "To insert axes, use expand_dims")
    return tuple(a % ndim for a in axes)


def one_axis(name, axis, ndim):
    """The ``axis`` argument of a function that works along one axis, as an int from 0 to ndim - 1."""
    if not is_whole(axis, -inf):
        raise TypeError(f"{name}: expected axis as an int, got {described(axis)}. To use all entries, "
                        "call x.reshape(-1) first")
    if ndim == 0:
        raise ValueError(f"{name}: expected at least one axis, got a scalar. Use x.reshape(1)")
    return axes_of(int(axis), ndim)[0]


@primitive(integers=True, reads=union)
def broadcast_to(x: Operand, shape: Shape) -> Result:
    """x broadcast to ``shape``: repeated along new axes and along axes of length 1."""
    return np.broadcast_to(x, shape)


broadcast_to.vjps(lambda g, out, x, shape: g)       # Primitive.fit_cotangent sums over the broadcast axes


@primitive(integers=True, batching=same_entries, linear=((0,),), reads=moved)
def reshape(x: Operand, shape: int | Shape) -> Result:
    """x in another shape, with its entries in the same order.  One length may be -1."""
    return np.reshape(x, shape)


reshape.vjps(lambda g, out, x, shape: reshape(g, shape=x.shape))


@primitive(integers=True, batching=same_entries, reads=moved)
def expand_dims(x: Operand, axis: int | tuple[int, ...]) -> Result:
    """x with a new axis of length 1 at position ``axis`` of the result, an int or a tuple."""
    return np.expand_dims(x, axis)


expand_dims.vjps(lambda g, out, x, axis: reshape(g, shape=x.shape))


@primitive(integers=True, batching=same_entries, reads=moved)
def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Result:
    """x without the axes of length 1 that are in ``axis``, or by default without all of them."""
    return np.squeeze(x, axis)


squeeze.vjps(lambda g, out, x, axis=None: reshape(g, shape=x.shape))


@primitive(integers=True, reads=moved)
def transpose(x: Operand, axes: Sequence[int] | None = None) -> Result:
    """x with its axes in the order ``axes``; by default in reverse order."""
    return np.transpose(x, axes)


def transpose_vjp(g, out, x, axes=None):
    if axes is None:
        return transpose(g)
    axes = axes_of(tuple(axes), x.ndim)
    return transpose(g, axes=tuple(axes.index(a) for a in range(x.ndim)))


transpose.vjps(transpose_vjp)


@primitive(integers=True, reads=moved)
def swapaxes(x: Operand, axis1: int, axis2: int) -> Result:
    """x with two axes exchanged."""
    return np.swapaxes(x, axis1, axis2)


swapaxes.vjps(lambda g, out, x, axis1, axis2: swapaxes(g, axis1, axis2))


@primitive(integers=True, reads=moved)
def moveaxis(x: Operand, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Result:
    """x with the axes ``source`` (an int or a tuple) moved to ``destination``.  The others keep their order."""
    return np.moveaxis(x, source, destination)


moveaxis.vjps(lambda g, out, x, source, destination: moveaxis(g, destination, source))


@along_axes(integers=True, reads=moved)
def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Result:
    """x with its entries in reverse order along ``axis`` (an int, a tuple, or None for all)."""
    return np.flip(x, axis)


flip.vjps(lambda g, out, x, axis=None: flip(g, axis))


@primitive(integers=True, reads=moved)
def roll(x: Operand, shift: int | tuple[int, ...], axis: int | tuple[int, ...] | None = None) -> Result:
    """x with its entries moved by ``shift`` positions along ``axis``.  Entries beyond the end return at the start."""
    return np.roll(x, shift, axis)


def roll_vjp(g, out, x, shift, axis=None):
    return roll(g, tuple(map(operator.neg, shift)) if isinstance(shift, tuple) else -shift, axis)


roll.vjps(roll_vjp)


def repeat(x: Operand, repeats: int, axis: int) -> Result:
    """x with each entry along ``axis`` repeated ``repeats`` times, an int.

    >>> repeat(np.array([1.0, 0.0]), 3, axis=0)
    array([1., 1., 1., 0., 0., 0.])
    """
    if not is_whole(repeats):
        raise TypeError(f"repeat: expected repeats as an int of at least 0, got {described(repeats)}. "
                        "For other counts per entry, use x[np.repeat(np.arange(n), repeats)]")
    axis = one_axis("repeat", axis, x.ndim)
    before, after = x.shape[:axis + 1], x.shape[axis + 1:]
    wide = broadcast_to(expand_dims(x, axis + 1), (*before, repeats, *after))
    return reshape(wide, (*before[:-1], before[-1] * repeats, *after))


def tile(x: Operand, reps: int | tuple[int, ...]) -> Result:
    """x repeated as a whole, ``reps`` times along each of the last axes.  ``reps`` is an int or a tuple.

    >>> tile(np.array([1.0, 2.0]), 2)
    array([1., 2., 1., 2.])
    """
    reps = reps if isinstance(reps, tuple) else (reps,)
    ndim = max(len(reps), x.ndim)
    reps = (1,) * (ndim - len(reps)) + reps
    shape = (1,) * (ndim - x.ndim) + x.shape
    apart = reshape(x, tuple(n for length in shape for n in (1, length)))
    wide = broadcast_to(apart, tuple(n for pair in zip(reps, shape, strict=True) for n in pair))
    return reshape(wide, tuple(r * n for r, n in zip(reps, shape, strict=True)))
