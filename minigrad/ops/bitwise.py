"""The operators & | ^ ~ on booleans and on the bits of integers.  They have no derivative."""

import numpy as np

from minigrad.ops.primitives import elementwise

__all__ = ["bitwise_and", "bitwise_or", "bitwise_xor", "invert"]


def check_bits(name, *arguments):
    """Refuse numbers that have no bits to work on."""
    for x in arguments:
        dtype = getattr(x, "dtype", np.dtype(type(x)) if isinstance(x, (bool, int, float)) else np.dtype(object))
        if dtype.kind not in "biu":
            raise TypeError(f"{name}: expected booleans or integers, got {dtype}. Compare first, as in "
                            "(x > 0) & (y > 0), or use mg.logical_and, mg.logical_or, mg.logical_not")


@elementwise
def bitwise_and(x, y):
    """x & y: for booleans, whether both are true.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0])
    >>> (x > 1) & (x < 3)
    tensor([False,  True, False], dtype=bool)
    """
    check_bits("bitwise_and", x, y)
    return np.bitwise_and(x, y)


@elementwise
def bitwise_or(x, y):
    """x | y: for booleans, whether one of them is true, or both."""
    check_bits("bitwise_or", x, y)
    return np.bitwise_or(x, y)


@elementwise
def bitwise_xor(x, y):
    """x ^ y: for booleans, whether exactly one of them is true."""
    check_bits("bitwise_xor", x, y)
    return np.bitwise_xor(x, y)


@elementwise
def invert(x):
    """~x: for booleans, whether x is false."""
    check_bits("invert", x)
    return np.invert(x)


for function in (bitwise_and, bitwise_or, bitwise_xor):
    function.vjps(None, None)
invert.vjps(None)
