"""Arrays filled with one number, like another array: same shape, dtype and device.  They have no derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import DTypeLike, Operand, Result

__all__ = ["full_like", "ones_like", "zeros_like"]


@elementwise(integers=True, casts=True)
def zeros_like(x: Operand, dtype: DTypeLike | None = None) -> Result:
    """Zeros in the shape of x.  The dtype is that of x by default."""
    return np.zeros_like(x, dtype=dtype)


@elementwise(integers=True, casts=True)
def ones_like(x: Operand, dtype: DTypeLike | None = None) -> Result:
    """Ones in the shape of x.  The dtype is that of x by default."""
    return np.ones_like(x, dtype=dtype)


@elementwise(integers=True, casts=True)
def full_like(x: Operand, value: float, dtype: DTypeLike | None = None) -> Result:
    """An array in the shape of x, filled with the number ``value``.  The dtype is that of x by default.

    >>> full_like(np.zeros(2), 7)
    array([7., 7.])
    """
    if not holds(dtype or x.dtype, value):
        raise TypeError(f"full_like: expected a value that dtype {np.dtype(dtype or x.dtype)} can hold, got {value!r}. "
                        "Pass dtype=float")
    return np.full_like(x, value, dtype=dtype)


def holds(dtype, value):
    """Whether ``dtype`` can hold the number ``value``.  Floating dtypes round, so they hold every number.

    >>> holds("uint8", 255), holds("uint8", -1), holds("bool", 2), holds("float32", 0.1)
    (True, False, False, True)
    """
    dtype = np.dtype(dtype)
    try:
        return dtype.kind == "f" or bool(dtype.type(value) == value)
    except OverflowError:
        return False


for function in (zeros_like, ones_like):
    function.vjps(None)
full_like.vjps(None, None)
