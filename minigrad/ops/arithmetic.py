"""Elementwise primitives: arithmetic, powers, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.arguments import described
from minigrad.ops.logic import equal, greater_equal, logical_and, where
from minigrad.ops.masks import union, where_true
from minigrad.ops.packed import as_the_argument
from minigrad.ops.primitives import FLOATS, elementwise

if TYPE_CHECKING:
    from minigrad.aliases import DTypeLike, Operand, Result

__all__ = [
    "absolute", "add", "astype", "divide", "exp", "expm1", "log", "log1p", "log2", "log10", "multiply", "negative",
    "power", "reciprocal", "sign", "sqrt", "square", "stop_gradient", "subtract",
]


def as_scalar(x, dtype):
    """A Python number as a scalar of ``dtype``, anything else as it is.  (np.log(2.0) would give a float64.)"""
    return x if hasattr(x, "dtype") else dtype.type(x)


@elementwise(integers=True, linear=((0, 1),))
def add(x: Operand, y: Operand) -> Result:
    """x + y."""
    return x + y


add.vjps(lambda g, out, x, y: g,
         lambda g, out, x, y: g)


@elementwise(integers=True, linear=((0, 1),))
def subtract(x: Operand, y: Operand) -> Result:
    """x - y."""
    return x - y


subtract.vjps(lambda g, out, x, y: g,
              lambda g, out, x, y: -g)


def reads_of_product(masks, out, args, move):
    """g · y is the cotangent of x, and is 0 where y is 0; likewise for y."""
    x, y = args
    return union({i: where_true(np.not_equal(other, 0), masks[i]) for i, other in ((0, y), (1, x)) if i in masks})


@elementwise(integers=True, linear=((0,), (1,)), reads=reads_of_product)
def multiply(x: Operand, y: Operand) -> Result:
    """x · y."""
    return x * y


multiply.vjps(lambda g, out, x, y: g * y,
              lambda g, out, x, y: g * x)


def reads_of_quotient(masks, out, args, move):
    """-g · out / y is the cotangent of y, and is 0 where the quotient is 0."""
    return union(masks if 1 not in masks else {**masks, 1: where_true(np.not_equal(out, 0), masks[1])})


@elementwise(linear=((0,),), reads=reads_of_quotient)
def divide(x: Operand, y: Operand) -> Result:
    """x / y."""
    return x / y


divide.vjps(lambda g, out, x, y: g / y,
            lambda g, out, x, y: -(g * out) / y)


@elementwise(integers=True, demand=as_the_argument, linear=((0,),))
def negative(x: Operand) -> Result:
    """-x."""
    return np.negative(x)


negative.vjps(lambda g, out, x: -g)


@elementwise
def reciprocal(x: Operand) -> Result:
    """1 / x."""
    return np.reciprocal(x)


reciprocal.vjps(lambda g, out, x: -g * out * out)


@elementwise(integers=True, demand=as_the_argument)
def absolute(x: Operand) -> Result:
    """|x|.  Its derivative at 0 is defined as 0."""
    return np.absolute(x)


absolute.vjps(lambda g, out, x: g * sign(x))


@elementwise
def sign(x: Operand) -> Result:
    """-1, 0 or 1, the sign of x.  It has no derivative, since it is constant between its jumps."""
    return np.sign(x)


sign.vjps(None)


@elementwise(integers=True)
def square(x: Operand) -> Result:
    """x²."""
    return np.square(x)


square.vjps(lambda g, out, x: 2 * g * x)


@elementwise(demand=as_the_argument)
def sqrt(x: Operand) -> Result:
    """Square root."""
    return np.sqrt(x)


sqrt.vjps(lambda g, out, x: g / (2 * out))


@elementwise(integers=True)
def power(x: Operand, y: Operand) -> Result:
    """x to the power y.

    The derivatives are y·x^(y-1) and x^y·log x.  At x = 0, the first is defined as 0 if y = 0, and the second is
    defined as 0 if y >= 0.  So x⁰ and 0^y have derivatives there.  Second derivatives are correct where they exist.
    The mixed second derivative does not exist at x = 0 for y <= 1.
    """
    return np.power(x, y)


def power_vjp_x(g, out, x, y):
    if not hasattr(y, "dtype"):
        return g * (y * x ** (y - 1)) if y else 0 * g
    return g * y * power(x, where(logical_and(equal(x, 0), equal(y, 0)), 1, y - 1))


def power_vjp_y(g, out, x, y):
    x = as_scalar(x, g.dtype)
    return g * out * log(where(logical_and(equal(x, 0), greater_equal(y, 0)), 1, x))


power.vjps(power_vjp_x, power_vjp_y)


@elementwise
def exp(x: Operand) -> Result:
    """e to the power x."""
    return np.exp(x)


exp.vjps(lambda g, out, x: g * out)


@elementwise(demand=as_the_argument)
def expm1(x: Operand) -> Result:
    """exp(x) - 1, accurate near x = 0."""
    return np.expm1(x)


expm1.vjps(lambda g, out, x: g * (out + 1))


@elementwise
def log(x: Operand) -> Result:
    """Natural logarithm."""
    return np.log(x)


log.vjps(lambda g, out, x: g / x)


@elementwise(demand=as_the_argument)
def log1p(x: Operand) -> Result:
    """log(1 + x), accurate near x = 0."""
    return np.log1p(x)


log1p.vjps(lambda g, out, x: g / (1 + x))


@elementwise
def log2(x: Operand) -> Result:
    """Logarithm to base 2."""
    return np.log2(x)


log2.vjps(lambda g, out, x: g / (math.log(2) * x))


@elementwise
def log10(x: Operand) -> Result:
    """Logarithm to base 10."""
    return np.log10(x)


log10.vjps(lambda g, out, x: g / (math.log(10) * x))


@elementwise(integers=True, casts=True)
def astype(x: Operand, dtype: DTypeLike) -> Result:
    """x converted to ``dtype``: float64, float32, an integer or a boolean dtype.  The cotangent is converted back."""
    try:
        target = np.dtype(dtype)
    except (TypeError, ValueError):
        target = np.dtype(object)
    if target not in FLOATS and target.kind not in "iub":
        raise TypeError("astype: expected float64, float32, an integer or a boolean dtype, got "
                        f"{described(dtype)}. float16 is not supported: use float32")
    return x.astype(target)


astype.vjps(lambda g, out, x, dtype: astype(g, dtype=x.dtype))


@elementwise
def stop_gradient(x: Operand) -> Result:
    """x, without a derivative: no gradient flows back through it."""
    return x


stop_gradient.vjps(None)
