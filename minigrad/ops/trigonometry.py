"""Trigonometric and hyperbolic functions."""

import numpy as np

from minigrad.ops.alternatives import elementwise
from minigrad.ops.primitive import as_the_argument, primitive

__all__ = ["arctan", "cos", "cosh", "sin", "sinh", "tan", "tanh"]


@primitive
def sin(x):
    """Sine."""
    return np.sin(x)


sin.vjps(lambda g, out, x: g * cos(x))


@primitive
def cos(x):
    """Cosine."""
    return np.cos(x)


cos.vjps(lambda g, out, x: -g * sin(x))


@primitive
def tan(x):
    """Tangent."""
    return np.tan(x)


tan.vjps(lambda g, out, x: g * (1 + out * out))


@primitive
def arctan(x):
    """Inverse tangent, in (-π/2, π/2)."""
    return np.arctan(x)


arctan.vjps(lambda g, out, x: g / (1 + x * x))
arctan.demand = as_the_argument


@primitive
def sinh(x):
    """Hyperbolic sine."""
    return np.sinh(x)


sinh.vjps(lambda g, out, x: g * cosh(x))
sinh.demand = as_the_argument


@primitive
def cosh(x):
    """Hyperbolic cosine."""
    return np.cosh(x)


cosh.vjps(lambda g, out, x: g * sinh(x))


@primitive
def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)


tanh.vjps(lambda g, out, x: g * (1 - out * out))
tanh.demand = as_the_argument


for function in (arctan, cos, cosh, sin, sinh, tan, tanh):
    function.carries = elementwise
