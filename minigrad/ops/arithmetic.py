"""Elementwise primitives: arithmetic, powers, exponentials and logarithms, each beside its derivatives."""

import math

import numpy as np

from minigrad.arguments import described
from minigrad.ops.logic import equal, greater_equal, logical_and, where
from minigrad.ops.packed import as_the_argument
from minigrad.ops.primitives import FLOATS, elementwise

__all__ = [
    "absolute", "add", "astype", "divide", "exp", "expm1", "log", "log1p", "log2", "log10", "multiply", "negative",
    "power", "reciprocal", "sign", "sqrt", "square", "stop_gradient", "subtract",
]


def as_scalar(x, dtype):
    """A Python number as a scalar of ``dtype``: log(2.0) would be float64 for whatever it meets."""
    return x if hasattr(x, "dtype") else dtype.type(x)


@elementwise(integers=True, linear=((0, 1),))
def add(x, y):
    """x + y."""
    return x + y


add.vjps(lambda g, out, x, y: g,
         lambda g, out, x, y: g)


@elementwise(integers=True, linear=((0, 1),))
def subtract(x, y):
    """x - y."""
    return x - y


subtract.vjps(lambda g, out, x, y: g,
              lambda g, out, x, y: -g)


@elementwise(integers=True, linear=((0,), (1,)))
def multiply(x, y):
    """x · y."""
    return x * y


multiply.vjps(lambda g, out, x, y: g * y,
              lambda g, out, x, y: g * x)


@elementwise(linear=((0,),))
def divide(x, y):
    """x / y."""
    return x / y


divide.vjps(lambda g, out, x, y: g / y,
            lambda g, out, x, y: -(g * out) / y)


@elementwise(integers=True, demand=as_the_argument, linear=((0,),))
def negative(x):
    """-x."""
    return np.negative(x)


negative.vjps(lambda g, out, x: -g)


@elementwise
def reciprocal(x):
    """1 / x."""
    return np.reciprocal(x)


reciprocal.vjps(lambda g, out, x: -g * out * out)


@elementwise(integers=True, demand=as_the_argument)
def absolute(x):
    """|x|, whose derivative at 0 is taken to be 0."""
    return np.absolute(x)


absolute.vjps(lambda g, out, x: g * sign(x))


@elementwise
def sign(x):
    """-1, 0 or 1: constant in pieces, hence without a derivative."""
    return np.sign(x)


sign.vjps(None)


@elementwise(integers=True)
def square(x):
    """x²."""
    return np.square(x)


square.vjps(lambda g, out, x: 2 * g * x)


@elementwise(demand=as_the_argument)
def sqrt(x):
    """Square root."""
    return np.sqrt(x)


sqrt.vjps(lambda g, out, x: g / (2 * out))


@elementwise(integers=True)
def power(x, y):
    """x to the power y.

    The derivatives are y·x^(y-1) and x^y·log x. At x = 0 the first is taken to be 0 for y = 0, and the second
    for y >= 0, so that x⁰ and 0^y have a derivative there. Second derivatives are right wherever they exist. The
    mixed one at x = 0 does not exist for y <= 1.
    """
    return np.power(x, y)


def slope_of_base(g, out, x, y):
    if not hasattr(y, "dtype"):
        return g * (y * x ** (y - 1)) if y else 0 * g
    return g * y * power(x, where(logical_and(equal(x, 0), equal(y, 0)), 1, y - 1))


def slope_of_exponent(g, out, x, y):
    x = as_scalar(x, g.dtype)
    return g * out * log(where(logical_and(equal(x, 0), greater_equal(y, 0)), 1, x))


power.vjps(slope_of_base, slope_of_exponent)


@elementwise
def exp(x):
    """e to the power x."""
    return np.exp(x)


exp.vjps(lambda g, out, x: g * out)


@elementwise(demand=as_the_argument)
def expm1(x):
    """exp(x) - 1, exact near x = 0."""
    return np.expm1(x)


expm1.vjps(lambda g, out, x: g * (out + 1))


@elementwise
def log(x):
    """Natural logarithm."""
    return np.log(x)


log.vjps(lambda g, out, x: g / x)


@elementwise(demand=as_the_argument)
def log1p(x):
    """log(1 + x), exact near x = 0."""
    return np.log1p(x)


log1p.vjps(lambda g, out, x: g / (1 + x))


@elementwise
def log2(x):
    """Logarithm to base 2."""
    return np.log2(x)


log2.vjps(lambda g, out, x: g / (math.log(2) * x))


@elementwise
def log10(x):
    """Logarithm to base 10."""
    return np.log10(x)


log10.vjps(lambda g, out, x: g / (math.log(10) * x))


@elementwise(integers=True, casts=True)
def astype(x, dtype):
    """x converted to another dtype: float64, float32, integers or booleans; the cotangent is converted back."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = np.dtype(object)
    if found not in FLOATS and found.kind not in "iub":
        raise TypeError("astype: expected float64, float32, an integer or a boolean dtype, got "
                        f"{described(dtype)}. float16 is not supported: use float32")
    return x.astype(found)


astype.vjps(lambda g, out, x, dtype: astype(g, dtype=x.dtype))


@elementwise
def stop_gradient(x):
    """x itself, with no derivative."""
    return x


stop_gradient.vjps(None)
