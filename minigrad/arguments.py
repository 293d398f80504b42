"""Checks of the arguments of public functions: what was expected, what arrived and what to do, in one wording."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from minigrad.aliases import DTypeLike


def described(x: object) -> str:
    """What arrived: a short value as it is written, anything else by its type and the module of that type.

    >>> import random
    >>> described(0.5), described(np.ones((2, 3))), described(random.Random(0)), described(dict)
    ('0.5', 'a numpy.ndarray of shape (2, 3)', 'a random.Random', 'the class dict')
    """
    kind = type(x)
    if isinstance(x, type):
        return f"the class {x.__name__}"
    if x is None or (kind in (bool, int, float, complex, str) and len(repr(x)) <= 60):
        return repr(x)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    name = name.replace("numpy.random._generator.", "numpy.random.")
    shape = getattr(x, "shape", None)
    return f"a {name}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def is_real(x: object) -> TypeGuard[float]:
    """Whether x is a real number, of Python or NumPy.  NaN, arrays, Tensors and booleans are not."""
    return isinstance(x, Real) and not isinstance(x, (bool, np.bool_)) and bool(x == x)


def is_whole(x: object, least: float = 0) -> TypeGuard[int]:
    """Whether x is an int, of Python or NumPy, of at least ``least``."""
    return isinstance(x, Integral) and not isinstance(x, (bool, np.bool_)) and int(x) >= least


def floating(caller: str, dtype: DTypeLike) -> np.dtype[Any]:
    """``dtype`` as a dtype of NumPy, if it is float32 or float64.

    Raises
    ------
    TypeError
        Another dtype, or something that is no dtype.
    """
    try:
        kind = np.dtype("O" if dtype is None else dtype)
    except (TypeError, ValueError):
        kind = np.dtype("O")
    if kind not in (np.dtype("float32"), np.dtype("float64")):
        raise TypeError(f"{caller}: expected dtype float32 or float64, got {described(dtype)}. "
                        "Use np.float32, np.float64 or their names")
    return kind


def function(caller: str, what: str, x: Any, remedy: str) -> Callable[..., Any]:
    """x, if it can be called; otherwise a TypeError that says that ``what`` was expected, and the remedy."""
    if not callable(x):
        raise TypeError(f"{caller}: expected {what}, got {described(x)}. {remedy}")
    return x
