"""Joining arrays along an axis, and taking them apart again."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from minigrad.arguments import described
from minigrad.ops.errors import misfit
from minigrad.ops.indexing import getitem
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import axes_of, expand_dims, reshape

__all__ = ["concatenate", "hstack", "split", "stack", "vstack"]


@primitive(integers=True, name="concatenate")
def join(*arrays, axis):
    """The primitive behind ``concatenate``, with one argument per array."""
    try:
        return np.concatenate(arrays, axis=axis)
    except ValueError:
        raise misfit("concatenate", f"shapes that agree except along axis {axis}", "Reshape them first.",
                     **{f"arrays[{i}]": x for i, x in enumerate(arrays)}) from None


def part_of_joined(g, out, argnum, *arrays, axis):
    """The part of the cotangent at the place of one array."""
    (axis,) = axes_of(axis, g.ndim)
    start = sum(x.shape[axis] for x in arrays[:argnum])
    return getitem(g, *[slice(None)] * axis, slice(start, start + arrays[argnum].shape[axis]))


join.vjp_of_each(part_of_joined)


def listed(name, arrays):
    """The arrays as a list, if that is what they are."""
    found = list(arrays) if isinstance(arrays, Iterable) else [arrays]
    others = [described(x) for x in found if not hasattr(x, "shape") and not isinstance(x, (list, tuple))]
    if others or not found:
        kind = TypeError if others else ValueError
        raise kind(f"{name}: expected a list of Tensors or arrays, got {', '.join(others) or 'none'}. "
                   f"Use {name}([x, y])")
    return found


def concatenate(arrays, axis=0):
    """Arrays joined end to end along ``axis``, an int.

    >>> concatenate([np.array([1.0]), np.array([2.0, 3.0])])
    array([1., 2., 3.])
    """
    return join(*listed("concatenate", arrays), axis=axis)


def stack(arrays, axis=0):
    """Arrays of one shape joined along a new axis.

    >>> stack([np.array([1.0, 2.0]), np.array([3.0, 4.0])], axis=1)
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = listed("stack", arrays)
    if len({x.shape if hasattr(x, "shape") else np.shape(x) for x in arrays}) > 1:
        raise misfit("stack", "arrays of one shape", "Broadcast them first.",
                     **{f"arrays[{i}]": x for i, x in enumerate(arrays)})
    return join(*(expand_dims(x, axis) for x in arrays), axis=axis)


def vstack(arrays):
    """Arrays joined along their first axis; vectors and numbers count as rows.

    >>> vstack([np.array([1.0, 2.0]), np.array([[3.0, 4.0]])])
    array([[1., 2.],
           [3., 4.]])
    """
    return concatenate([x if x.ndim > 1 else reshape(x, shape=(1, -1)) for x in arrays])


def hstack(arrays):
    """Arrays joined along their second axis, or vectors and numbers along their only one.

    >>> hstack([np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])])
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = [x if x.ndim else reshape(x, shape=(1,)) for x in arrays]
    return concatenate(arrays, axis=min(1, *(x.ndim - 1 for x in arrays)) if arrays else 0)


def split(x, sections, axis=0):
    """x cut along ``axis``: into ``sections`` equal parts, or before the positions in a tuple.

    >>> split(np.arange(5.0), (2, 3))
    [array([0., 1.]), array([2.]), array([3., 4.])]
    """
    (axis,) = axes_of(axis, x.ndim)
    length = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or length % sections:
            raise misfit("split", f"a length that {sections} divides along axis {axis}",
                         "Pass the positions to cut at as a tuple.", x=x)
        sections = tuple(range(length // sections, length, length // sections))
    cuts = (0, *sections, length)
    return [getitem(x, *[slice(None)] * axis, slice(a, b)) for a, b in pairwise(cuts)]
