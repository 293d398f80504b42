"""Sorting along an axis.  Sorted values have a derivative, and positions have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import described, is_whole
from minigrad.ops.indexing import getitem, take_along_axis
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import flip, one_axis

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["argsort", "sort", "topk"]


@primitive
def argsort(x: Operand, axis: int = -1) -> Result:
    """Positions along ``axis`` of the entries of x in ascending order.  Equal entries keep their order.

    NaN comes last.  The result has integers in the shape of x.  It has no derivative.
    """
    return np.argsort(x, axis=one_axis("argsort", axis, np.ndim(x)), kind="stable")


argsort.vjps(None)


def sort(x: Operand, axis: int = -1) -> Result:
    """x in ascending order along ``axis``, an int.  NaN comes last.

    Each cotangent goes back to the position from which its entry was moved.  Equal entries keep their order.

    >>> import minigrad as mg
    >>> x = mg.tensor([3.0, 1.0, 2.0], requires_grad=True)
    >>> (mg.sort(x) * [1.0, 10.0, 100.0]).sum().backward()
    >>> x.grad
    array([100.,   1.,  10.])
    """
    axis = one_axis("sort", axis, x.ndim)
    return take_along_axis(x, argsort(x, axis=axis), axis=axis)


def topk(x: Operand, k: int, axis: int = -1, largest: bool = True) -> tuple[Result, Result]:
    """The k largest entries along ``axis`` in descending order, and their positions.

    Parameters
    ----------
    x : real, with at least k entries along ``axis``.
    k : int, at least 0.
    axis : int.
    largest : False for the k smallest, in ascending order.

    Returns
    -------
    (values, positions), both in the shape of x, with length k along ``axis``.  Equal entries keep their order.
    NaN is treated as larger than every number.  Only the values have a derivative.

    Raises
    ------
    ValueError
        k is not an integer from 0 to the length of the axis.

    >>> topk(np.array([[3.0, 1.0, 2.0]]), 2)
    (array([[3., 2.]]), array([[0, 2]]))
    """
    axis = one_axis("topk", axis, x.ndim)
    length = x.shape[axis]
    if not is_whole(k) or k > length:
        raise ValueError(f"topk: expected k as an int from 0 to {length}, the length of axis {axis}, got "
                         f"{described(k)}. Choose another k")
    if largest:     # reversed twice, so that equal entries keep their order
        order = length - 1 - flip(argsort(flip(x, axis), axis=axis), axis)
    else:
        order = argsort(x, axis=axis)
    positions = getitem(order, *[slice(None)] * axis, slice(0, k))
    return take_along_axis(x, positions, axis=axis), positions
