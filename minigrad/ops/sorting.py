"""Order along an axis.  Positions have no derivative; sorted values pass theirs back to where they came from."""

import numpy as np

from minigrad.arguments import described, is_whole
from minigrad.ops.indexing import getitem, take_along_axis
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import flip, one_axis

__all__ = ["argsort", "sort", "topk"]


@primitive
def argsort(x, axis=-1):
    """Positions along ``axis`` that put x into ascending order; equal entries keep theirs.

    NaN comes last.  Integers of x's shape, without a derivative.
    """
    return np.argsort(x, axis=one_axis("argsort", axis, np.ndim(x)), kind="stable")


argsort.vjps(None)


def sort(x, axis=-1):
    """x in ascending order along ``axis``, an int.  NaN comes last.

    Each cotangent goes back to the entry that was moved; of equal entries the first comes first.

    >>> import minigrad as mg
    >>> x = mg.tensor([3.0, 1.0, 2.0], requires_grad=True)
    >>> (mg.sort(x) * [1.0, 10.0, 100.0]).sum().backward()
    >>> x.grad
    array([100.,   1.,  10.])
    """
    axis = one_axis("sort", axis, x.ndim)
    return take_along_axis(x, argsort(x, axis=axis), axis=axis)


def topk(x, k, axis=-1, largest=True):
    """The k largest entries along ``axis``, in descending order, and their positions.

    Parameters
    ----------
    x : real, with at least k entries along ``axis``.
    k : int, from 0.
    axis : int.
    largest : False for the k smallest, in ascending order.

    Returns
    -------
    (values, positions), both of x's shape with length k along ``axis``.  Of equal entries the first comes first.
    NaN counts as larger than every number.  Only the values have a derivative.

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
    if largest:     # in reverse both times, so that of equal entries the first comes first
        order = length - 1 - flip(argsort(flip(x, axis), axis=axis), axis)
    else:
        order = argsort(x, axis=axis)
    positions = getitem(order, *[slice(None)] * axis, slice(0, k))
    return take_along_axis(x, positions, axis=axis), positions
