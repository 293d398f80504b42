"""Arguments of public functions: what was expected, what arrived and what to do, in one wording."""

from numbers import Integral, Real

import numpy as np


def described(x):
    """What arrived: a short value as it is written, anything else by its type and the module of that.

    >>> import random
    >>> described(0.5), described(np.ones((2, 3))), described(random.Random(0)), described(dict)
    ('0.5', 'a numpy.ndarray of shape (2, 3)', 'a random.Random', 'the class dict')
    """
    kind = type(x)
    if kind is type or isinstance(x, type):
        return f"the class {x.__name__}"
    if x is None or (kind in (bool, int, float, complex, str) and len(repr(x)) <= 60):
        return repr(x)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    name = name.replace("numpy.random._generator.", "numpy.random.")
    shape = getattr(x, "shape", None)
    return f"a {name}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def is_real(x):
    """Whether x is a real number, of Python or NumPy; NaN, arrays, Tensors and truth values are not."""
    return isinstance(x, Real) and not isinstance(x, (bool, np.bool_)) and bool(x == x)


def is_whole(x, least=0):
    """Whether x is an int, of Python or NumPy, and at least so large."""
    return isinstance(x, Integral) and not isinstance(x, (bool, np.bool_)) and x >= least


def floating(caller, dtype):
    """``dtype`` as NumPy's, if it is float32 or float64."""
    try:
        found = np.dtype("O" if dtype is None else dtype)
    except (TypeError, ValueError):
        found = np.dtype("O")
    if found not in (np.dtype("float32"), np.dtype("float64")):
        raise TypeError(f"{caller}: expected dtype float32 or float64, got {described(dtype)}. "
                        "Use np.float32, np.float64 or their names")
    return found


def function(caller, what, x, remedy):
    """x, if it can be called."""
    if not callable(x):
        raise TypeError(f"{caller}: expected {what}, got {described(x)}. {remedy}")
    return x
