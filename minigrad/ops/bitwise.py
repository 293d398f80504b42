"""The operators & | ^ ~ on booleans and on the bits of integers.  They have no derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["bitwise_and", "bitwise_or", "bitwise_xor", "invert"]


def check_bits(name, *arguments):
    """Raise a TypeError for arguments that are not booleans or integers."""
    for x in arguments:
        dtype = getattr(x, "dtype", np.dtype(type(x)) if isinstance(x, (bool, int, float)) else np.dtype(object))
        if dtype.kind not in "biu":
            raise TypeError(f"{name}: expected booleans or integers, got {dtype}. Compare first, as in "
                            "(x > 0) & (y > 0), or use mg.logical_and, mg.logical_or, mg.logical_not")


@elementwise
def bitwise_and(x: Operand, y: Operand) -> Result:
    """x & y: for booleans, whether both are true.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0, 3.0])
    >>> (x > 1) & (x < 3)
    tensor([False,  True, False], dtype=bool)
    """
    check_bits("bitwise_and", x, y)
    return np.bitwise_and(x, y)


@elementwise
def bitwise_or(x: Operand, y: Operand) -> Result:
    """x | y: for booleans, whether at least one of them is true."""
    check_bits("bitwise_or", x, y)
    return np.bitwise_or(x, y)


@elementwise
def bitwise_xor(x: Operand, y: Operand) -> Result:
    """x ^ y: for booleans, whether exactly one of them is true."""
    check_bits("bitwise_xor", x, y)
    return np.bitwise_xor(x, y)


@elementwise
def invert(x: Operand) -> Result:
    """~x: for booleans, whether x is false."""
    check_bits("invert", x)
    return np.invert(x)


for function in (bitwise_and, bitwise_or, bitwise_xor):
    function.vjps(None, None)
invert.vjps(None)
