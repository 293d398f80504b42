"""Entries added around an array."""

import numpy as np

from minigrad.arguments import described
from minigrad.ops.constants import holds
from minigrad.ops.errors import misfit
from minigrad.ops.indexing import getitem
from minigrad.ops.primitives import primitive

__all__ = ["pad"]

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@primitive(integers=True, name="pad")
def padded(x, width, value):
    """The primitive behind ``pad`` with a constant: ``width`` is ((before, after), ...), one pair for each axis."""
    return np.pad(x, width, mode="constant", constant_values=value)


padded.vjps(lambda g, out, x, width, value: getitem(
    g, *(slice(before, before + n) for (before, _), n in zip(width, x.shape, strict=True))))


def pad(x, pad_width, mode="constant", constant_values=0):
    """x with entries added at the ends of its axes, as by NumPy's pad.

    Parameters
    ----------
    pad_width : how many: an int for all ends, (before, after) for all axes, or such a pair for each axis.
    mode : "constant" adds ``constant_values``, a number; "edge" repeats the entry at the end, "reflect" mirrors x
        at it, "symmetric" mirrors x behind it, and "wrap" goes on at the other end.  The cotangents of copies are
        added to that of their entry.

    Raises
    ------
    ValueError
        An unknown mode, negative widths, widths that do not fit the axes, or nothing to copy from.

    >>> pad(np.array([1.0, 2.0, 3.0]), (1, 2))
    array([0., 1., 2., 3., 0., 0.])
    >>> pad(np.array([1.0, 2.0, 3.0]), 1, mode="reflect")
    array([2., 1., 2., 3., 2.])
    """
    if mode not in MODES:
        raise ValueError(f"pad: expected a mode out of {', '.join(map(repr, MODES))}, got {mode!r}")
    try:
        width = np.broadcast_to(np.asarray(pad_width, int), (x.ndim, 2)).tolist()
    except (TypeError, ValueError):
        width = None
    if width is None or np.min(width, initial=0) < 0:
        raise misfit("pad", "widths of at least 0, as an int, (before, after), or such a pair for each axis",
                     "To cut entries off, use x[...].", x=x, pad_width=pad_width)
    if mode == "constant":
        if not isinstance(constant_values, (bool, int, float, np.generic)):
            raise TypeError(f"pad: expected a number as constant_values, got {described(constant_values)}. Pad again "
                            "for each other constant")
        if not holds(x.dtype, constant_values):
            raise TypeError(f"pad: expected a constant that dtype {x.dtype} can hold, got {constant_values!r}. "
                            "Use .astype(float) first")
        return padded(x, width=tuple(map(tuple, width)), value=constant_values)
    for axis, ends in enumerate(width):
        if any(ends):
            if not x.shape[axis]:
                raise misfit("pad", f"entries to copy along axis {axis}", "Use mode='constant'.", x=x)
            places = np.pad(np.arange(x.shape[axis]), ends, mode=mode).tolist()
            x = getitem(x, *[slice(None)] * axis, places)
    return x
