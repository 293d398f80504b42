"""Entries added around an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.arguments import described
from minigrad.ops.constants import holds
from minigrad.ops.errors import shape_error
from minigrad.ops.indexing import getitem
from minigrad.ops.primitives import primitive

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["pad"]

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@primitive(integers=True, name="pad")
def pad_constant(x, width, value):
    """The primitive behind ``pad`` with a constant: ``width`` is ((before, after), ...), one pair for each axis."""
    return np.pad(x, width, mode="constant", constant_values=value)


pad_constant.vjps(lambda g, out, x, width, value: getitem(
    g, *(slice(before, before + n) for (before, _), n in zip(width, x.shape, strict=True))))


def pad(x: Operand, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Result:
    """x with entries added at the ends of its axes, as in NumPy's pad.

    Parameters
    ----------
    pad_width : the number of entries: an int for all ends, a pair (before, after) for all axes, or a pair for each
        axis.
    mode : "constant" adds the number ``constant_values``.  "edge" repeats the last entry.  "reflect" mirrors x without
        repeating the last entry, "symmetric" mirrors x and repeats it.  "wrap" continues with the entries from the
        other end.  The cotangents of copies are added to the cotangent of the original entry.

    Raises
    ------
    ValueError
        ``mode`` is unknown, a width is negative, the widths do not fit the axes, or x has no entries to copy.

    >>> pad(np.array([1.0, 2.0, 3.0]), (1, 2))
    array([0., 1., 2., 3., 0., 0.])
    >>> pad(np.array([1.0, 2.0, 3.0]), 1, mode="reflect")
    array([2., 1., 2., 3., 2.])
    """
    if mode not in MODES:
        raise ValueError(f"pad: expected mode to be one of {', '.join(map(repr, MODES))}, got {mode!r}")
    try:
        width = np.broadcast_to(np.asarray(pad_width, int), (x.ndim, 2)).tolist()
    except (TypeError, ValueError):
        width = None
    if width is None or np.min(width, initial=0) < 0:
        raise shape_error("pad", "widths of at least 0: an int, a pair (before, after), or a pair for each axis",
                          "To remove entries, use x[...].", x=x, pad_width=pad_width)
    if mode == "constant":
        if not isinstance(constant_values, (bool, int, float, np.generic)):
            raise TypeError(f"pad: expected a number as constant_values, got {described(constant_values)}. For "
                            "several constants, call pad several times")
        if not holds(x.dtype, constant_values):
            raise TypeError(f"pad: expected a constant that dtype {x.dtype} can hold, got {constant_values!r}. "
                            "Use .astype(float) first")
        return pad_constant(x, width=tuple(map(tuple, width)), value=constant_values)
    for axis, ends in enumerate(width):
        if any(ends):
            if not x.shape[axis]:
                raise shape_error("pad", f"entries to copy along axis {axis}", "Use mode='constant'.", x=x)
            positions = np.pad(np.arange(x.shape[axis]), ends, mode=mode).tolist()
            x = getitem(x, *[slice(None)] * axis, positions)
    return x
