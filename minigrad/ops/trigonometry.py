"""Trigonometric and hyperbolic functions, their inverses, and polar coordinates."""

import numpy as np

from minigrad.ops.arithmetic import sqrt
from minigrad.ops.logic import not_zero
from minigrad.ops.packed import as_the_argument
from minigrad.ops.primitives import elementwise

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "hypot", "sin", "sinh",
    "tan", "tanh",
]


@elementwise
def sin(x):
    """Sine."""
    return np.sin(x)


sin.vjps(lambda g, out, x: g * cos(x))


@elementwise
def cos(x):
    """Cosine."""
    return np.cos(x)


cos.vjps(lambda g, out, x: -g * sin(x))


@elementwise
def tan(x):
    """Tangent."""
    return np.tan(x)


tan.vjps(lambda g, out, x: g * (1 + out * out))


@elementwise(demand=as_the_argument)
def arctan(x):
    """Inverse tangent, in (-π/2, π/2)."""
    return np.arctan(x)


arctan.vjps(lambda g, out, x: g / (1 + x * x))


@elementwise(demand=as_the_argument)
def sinh(x):
    """Hyperbolic sine."""
    return np.sinh(x)


sinh.vjps(lambda g, out, x: g * cosh(x))


@elementwise
def cosh(x):
    """Hyperbolic cosine."""
    return np.cosh(x)


cosh.vjps(lambda g, out, x: g * sinh(x))


@elementwise(demand=as_the_argument)
def tanh(x):
    """Hyperbolic tangent."""
    return np.tanh(x)


tanh.vjps(lambda g, out, x: g * (1 - out * out))


@elementwise
def arcsin(x):
    """Inverse sine, in [-π/2, π/2]."""
    return np.arcsin(x)


arcsin.vjps(lambda g, out, x: g / sqrt((1 - x) * (1 + x)))


@elementwise
def arccos(x):
    """Inverse cosine, in [0, π]."""
    return np.arccos(x)


arccos.vjps(lambda g, out, x: -g / sqrt((1 - x) * (1 + x)))


@elementwise
def arcsinh(x):
    """Inverse hyperbolic sine."""
    return np.arcsinh(x)


arcsinh.vjps(lambda g, out, x: g / hypot(1, x))


@elementwise
def arccosh(x):
    """Inverse hyperbolic cosine, at least 0, for x from 1."""
    return np.arccosh(x)


arccosh.vjps(lambda g, out, x: g / (sqrt(x - 1) * sqrt(x + 1)))


@elementwise
def arctanh(x):
    """Inverse hyperbolic tangent, for x in (-1, 1)."""
    return np.arctanh(x)


arctanh.vjps(lambda g, out, x: g / ((1 - x) * (1 + x)))


@elementwise
def hypot(x, y):
    """√(x² + y²), without overflow; its derivatives at (0, 0) are taken to be 0."""
    return np.hypot(x, y)


hypot.vjps(lambda g, out, x, y: g * (x / not_zero(out)),
           lambda g, out, x, y: g * (y / not_zero(out)))


@elementwise
def arctan2(y, x):
    """The angle of the point (x, y), in [-π, π]; its derivatives at (0, 0) are taken to be 0.

    >>> arctan2(np.array([1.0, 0.0]), np.array([0.0, -1.0]))
    array([1.57079633, 3.14159265])
    """
    return np.arctan2(y, x)


def slope_of_angle(g, x, y):
    """g · x / (x² + y²), without overflow."""
    radius = not_zero(hypot(x, y))
    return g * (x / radius) / radius


arctan2.vjps(lambda g, out, y, x: slope_of_angle(g, x, y),
             lambda g, out, y, x: -slope_of_angle(g, y, x))
