"""Joining arrays along an axis, and splitting them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import described
from minigrad.ops.errors import shape_error
from minigrad.ops.indexing import getitem
from minigrad.ops.masks import moved_together
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import axes_of, expand_dims, reshape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minigrad.aliases import Operand, Result

__all__ = ["concatenate", "hstack", "split", "stack", "vstack"]


@primitive(integers=True, name="concatenate", reads=moved_together)
def join(*arrays, axis):
    """The primitive behind ``concatenate``, with one argument per array."""
    try:
        return np.concatenate(arrays, axis=axis)
    except ValueError:
        raise shape_error("concatenate", f"shapes that agree except along axis {axis}", "Reshape them first.",
                          **{f"arrays[{i}]": x for i, x in enumerate(arrays)}) from None


def join_vjp(g, out, argnum, *arrays, axis):
    """The part of the cotangent that belongs to array number ``argnum``."""
    (axis,) = axes_of(axis, g.ndim)
    start = sum(x.shape[axis] for x in arrays[:argnum])
    return getitem(g, *[slice(None)] * axis, slice(start, start + arrays[argnum].shape[axis]))


join.vjp_of_each(join_vjp)


def listed(name, arrays):
    """``arrays`` as a list.  Raises an error if it is not a sequence of arrays, or if it is empty."""
    items = list(arrays) if isinstance(arrays, Iterable) else [arrays]
    others = [described(x) for x in items if not hasattr(x, "shape") and not isinstance(x, (list, tuple))]
    if others or not items:
        kind = TypeError if others else ValueError
        raise kind(f"{name}: expected a list of Tensors or arrays, got {', '.join(others) or 'none'}. "
                   f"Use {name}([x, y])")
    return items


def concatenate(arrays: Sequence[Operand], axis: int = 0) -> Result:
    """Arrays joined along ``axis``, an int.

    >>> concatenate([np.array([1.0]), np.array([2.0, 3.0])])
    array([1., 2., 3.])
    """
    return join(*listed("concatenate", arrays), axis=axis)


def stack(arrays: Sequence[Operand], axis: int = 0) -> Result:
    """Arrays of one shape joined along a new axis.

    >>> stack([np.array([1.0, 2.0]), np.array([3.0, 4.0])], axis=1)
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = listed("stack", arrays)
    if len({x.shape if hasattr(x, "shape") else np.shape(x) for x in arrays}) > 1:
        raise shape_error("stack", "arrays of one shape", "Broadcast them first.",
                          **{f"arrays[{i}]": x for i, x in enumerate(arrays)})
    return join(*(expand_dims(x, axis) for x in arrays), axis=axis)


def vstack(arrays: Sequence[Operand]) -> Result:
    """Arrays joined along their first axis.  Vectors and scalars are used as rows.

    >>> vstack([np.array([1.0, 2.0]), np.array([[3.0, 4.0]])])
    array([[1., 2.],
           [3., 4.]])
    """
    return concatenate([x if x.ndim > 1 else reshape(x, shape=(1, -1)) for x in arrays])


def hstack(arrays: Sequence[Operand]) -> Result:
    """Arrays joined along their second axis.  Vectors and scalars are joined along one axis.

    >>> hstack([np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])])
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = [x if x.ndim else reshape(x, shape=(1,)) for x in arrays]
    return concatenate(arrays, axis=min(1, *(x.ndim - 1 for x in arrays)) if arrays else 0)


def split(x: Operand, sections: int | tuple[int, ...], axis: int = 0) -> list[Result]:
    """x split along ``axis``: into ``sections`` equal parts, or before each of the positions in a tuple.

    >>> split(np.arange(5.0), (2, 3))
    [array([0., 1.]), array([2.]), array([3., 4.])]
    """
    (axis,) = axes_of(axis, x.ndim)
    length = x.shape[axis]
    if isinstance(sections, int):
        if sections < 1 or length % sections:
            raise shape_error("split", f"a length along axis {axis} that {sections} divides",
                              "For unequal parts, pass a tuple of positions.", x=x)
        sections = tuple(range(length // sections, length, length // sections))
    cuts = (0, *sections, length)
    return [getitem(x, *[slice(None)] * axis, slice(a, b)) for a, b in pairwise(cuts)]
