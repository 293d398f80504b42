"""Arrays full of one number, in the shape and dtype of another and on its device.  They have no derivative."""

import numpy as np

from minigrad.ops.primitives import elementwise

__all__ = ["full_like", "ones_like", "zeros_like"]


@elementwise(integers=True, casts=True)
def zeros_like(x, dtype=None):
    """Zeros in the shape of x, and of its dtype unless another is given."""
    return np.zeros_like(x, dtype=dtype)


@elementwise(integers=True, casts=True)
def ones_like(x, dtype=None):
    """Ones in the shape of x, and of its dtype unless another is given."""
    return np.ones_like(x, dtype=dtype)


@elementwise(integers=True, casts=True)
def full_like(x, value, dtype=None):
    """``value``, a number, in the shape of x, and of its dtype unless another is given.

    >>> full_like(np.zeros(2), 7)
    array([7., 7.])
    """
    if not holds(dtype or x.dtype, value):
        raise TypeError(f"full_like: expected a value that dtype {np.dtype(dtype or x.dtype)} can hold, got {value!r}. "
                        "Pass dtype=float")
    return np.full_like(x, value, dtype=dtype)


def holds(dtype, value):
    """Whether ``dtype`` has the number ``value``, or rounds it as floating dtypes do.

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
