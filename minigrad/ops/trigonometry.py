"""Trigonometric and hyperbolic functions, their inverses, and polar coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.ops.arithmetic import sqrt
from minigrad.ops.logic import not_zero
from minigrad.ops.packed import as_the_argument
from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cos", "cosh", "hypot", "sin", "sinh",
    "tan", "tanh",
]


@elementwise
def sin(x: Operand) -> Result:
    """Sine."""
    return np.sin(x)


sin.vjps(lambda g, out, x: g * cos(x))


@elementwise
def cos(x: Operand) -> Result:
    """Cosine."""
    return np.cos(x)


cos.vjps(lambda g, out, x: -g * sin(x))


@elementwise
def tan(x: Operand) -> Result:
    """Tangent."""
    return np.tan(x)


tan.vjps(lambda g, out, x: g * (1 + out * out))


@elementwise(demand=as_the_argument)
def arctan(x: Operand) -> Result:
    """Inverse tangent, in (-π/2, π/2)."""
    return np.arctan(x)


arctan.vjps(lambda g, out, x: g / (1 + x * x))


@elementwise(demand=as_the_argument)
def sinh(x: Operand) -> Result:
    """Hyperbolic sine."""
    return np.sinh(x)


sinh.vjps(lambda g, out, x: g * cosh(x))


@elementwise
def cosh(x: Operand) -> Result:
    """Hyperbolic cosine."""
    return np.cosh(x)


cosh.vjps(lambda g, out, x: g * sinh(x))


@elementwise(demand=as_the_argument)
def tanh(x: Operand) -> Result:
    """Hyperbolic tangent."""
    return np.tanh(x)


tanh.vjps(lambda g, out, x: g * (1 - out * out))


@elementwise
def arcsin(x: Operand) -> Result:
    """Inverse sine, in [-π/2, π/2]."""
    return np.arcsin(x)


arcsin.vjps(lambda g, out, x: g / sqrt((1 - x) * (1 + x)))


@elementwise
def arccos(x: Operand) -> Result:
    """Inverse cosine, in [0, π]."""
    return np.arccos(x)


arccos.vjps(lambda g, out, x: -g / sqrt((1 - x) * (1 + x)))


@elementwise
def arcsinh(x: Operand) -> Result:
    """Inverse hyperbolic sine."""
    return np.arcsinh(x)


arcsinh.vjps(lambda g, out, x: g / hypot(1, x))


@elementwise
def arccosh(x: Operand) -> Result:
    """Inverse hyperbolic cosine, for x ≥ 1.  The result is at least 0."""
    return np.arccosh(x)


arccosh.vjps(lambda g, out, x: g / (sqrt(x - 1) * sqrt(x + 1)))


@elementwise
def arctanh(x: Operand) -> Result:
    """Inverse hyperbolic tangent, for x in (-1, 1)."""
    return np.arctanh(x)


arctanh.vjps(lambda g, out, x: g / ((1 - x) * (1 + x)))


@elementwise
def hypot(x: Operand, y: Operand) -> Result:
    """√(x² + y²), computed without overflow.  Its derivatives at (0, 0) are defined as 0."""
    return np.hypot(x, y)


hypot.vjps(lambda g, out, x, y: g * (x / not_zero(out)),
           lambda g, out, x, y: g * (y / not_zero(out)))


@elementwise
def arctan2(y: Operand, x: Operand) -> Result:
    """The angle of the point (x, y), in [-π, π].  Its derivatives at (0, 0) are defined as 0.

    >>> arctan2(np.array([1.0, 0.0]), np.array([0.0, -1.0]))
    array([1.57079633, 3.14159265])
    """
    return np.arctan2(y, x)


def arctan2_vjp(g, x, y):
    """g · x / (x² + y²), computed without overflow."""
    radius = not_zero(hypot(x, y))
    return g * (x / radius) / radius


arctan2.vjps(lambda g, out, y, x: arctan2_vjp(g, x, y),
             lambda g, out, y, x: -arctan2_vjp(g, y, x))
