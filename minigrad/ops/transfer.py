"""Moving arrays between devices.  For all other primitives, the arguments have to be on one device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from minigrad import devices
from minigrad.ops.packed import dense
from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["to_device"]


@elementwise(integers=True)
def to_device(x: Operand, device: str) -> Result:
    """x on ``device``, "cpu" or "cuda".  The cotangent is moved back to the device of x.

    >>> import numpy as np
    >>> to_device(np.ones(2), "cpu")
    array([1., 1.])
    """
    return devices.put(dense(x), device)


to_device.vjps(lambda g, out, x, device: to_device(g, device=devices.of(getattr(x, "value", x))))
