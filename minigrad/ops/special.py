"""Special functions of statistics.  SciPy is imported at the first call that needs it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from minigrad.kernels.cpu.threads import on_worker
from minigrad.kernels.device.arrays import is_array
from minigrad.ops.arithmetic import as_scalar, exp, log, log1p, square
from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = [
    "betaln", "digamma", "erf", "erfc", "gammaln", "inverse_mills", "log_ndtr", "logit", "ndtr", "ndtri",
    "polygamma", "xlog1py", "xlogy",
]

#: The module with the special functions for an array, by the package that defines its type.
libraries = {"numpy": "scipy.special", "builtins": "scipy.special", "cupy": "cupyx.scipy.special",
             "minigrad": "minigrad.kernels.cuda.simulator.cupyx"}


@cache
def function(name, kind):
    """The special function ``name`` for arrays of type ``kind``."""
    # Ctrl-C must not interrupt the import: a module that is imported by half stays broken.
    library = on_worker(import_module, libraries[kind.__module__.partition(".")[0]])
    return getattr(library, name)


def by_scipy(name, *arguments):
    """Call the special function ``name`` of the library for these arrays.

    Numbers are converted to the dtype of the arrays first.  Otherwise the result of SciPy would be float64.
    """
    array = next((x for x in arguments if hasattr(x, "dtype")), 1.0)
    dtype = np.result_type(array, 1.0)
    return function(name, type(array))(*(as_scalar(x, dtype) for x in arguments))


@elementwise
def erf(x: Operand) -> Result:
    """Error function, 2/√π ∫₀ˣ exp(-t²) dt."""
    return by_scipy("erf", x)


erf.vjps(lambda g, out, x: g * (2 / sqrt(pi)) * exp(-square(x)))


@elementwise
def erfc(x: Operand) -> Result:
    """1 - erf(x), accurate for large x."""
    return by_scipy("erfc", x)


erfc.vjps(lambda g, out, x: g * (-2 / sqrt(pi)) * exp(-square(x)))


@elementwise
def ndtr(x: Operand) -> Result:
    """Φ(x), the distribution function of the standard normal."""
    return by_scipy("ndtr", x)


ndtr.vjps(lambda g, out, x: g * (1 / sqrt(2 * pi)) * exp(-square(x) / 2))


@elementwise
def ndtri(p: Operand) -> Result:
    """The inverse of Φ: the p-quantile of the standard normal."""
    return by_scipy("ndtri", p)


ndtri.vjps(lambda g, out, p: g * sqrt(2 * pi) * exp(square(out) / 2))


@elementwise
def log_ndtr(x: Operand) -> Result:
    """log Φ(x), accurate far into the left tail."""
    return by_scipy("log_ndtr", x)


log_ndtr.vjps(lambda g, out, x: g * inverse_mills(x))


@elementwise
def inverse_mills(x: Operand) -> Result:
    """φ(x) / Φ(x), the inverse Mills ratio.  It is the derivative of log Φ, and about -x in the left tail."""
    return sqrt(2 / pi) / by_scipy("erfcx", x * -sqrt(0.5))


inverse_mills.vjps(lambda g, out, x: -g * out * (x + out))


@elementwise
def gammaln(x: Operand) -> Result:
    """log |Γ(x)|."""
    return by_scipy("gammaln", x)


gammaln.vjps(lambda g, out, x: g * digamma(x))


@elementwise
def digamma(x: Operand) -> Result:
    """ψ(x), the derivative of log Γ(x)."""
    return by_scipy("digamma", x)


digamma.vjps(lambda g, out, x: g * polygamma(1, x))


@elementwise
def polygamma(n: Operand, x: Operand) -> Result:
    """The n-th derivative of ψ at x > 0.  n is an integer, for which there is no derivative."""
    n = n if is_array(n) else np.full_like(x, n)
    return by_scipy("polygamma", n, x).astype(np.result_type(x, 1.0))


polygamma.vjps(None, lambda g, out, n, x: g * polygamma(n + 1, x))


@elementwise
def betaln(a: Operand, b: Operand) -> Result:
    """log B(a, b) = log Γ(a) + log Γ(b) - log Γ(a + b)."""
    return by_scipy("betaln", a, b)


betaln.vjps(lambda g, out, a, b: g * (digamma(a) - digamma(a + b)),
            lambda g, out, a, b: g * (digamma(b) - digamma(a + b)))


@elementwise
def logit(p: Operand) -> Result:
    """log(p / (1 - p)), the inverse of the sigmoid."""
    return by_scipy("logit", p)


logit.vjps(lambda g, out, p: g / p + g / (1 - p))


@elementwise
def ratio(x, y):
    """x / y, and 0 where x is 0, also at y = 0.  It is the derivative of x log y with respect to y."""
    y = as_scalar(y, np.result_type(x, y))
    return np.divide(x, y + np.equal(x, 0) * np.equal(y, 0))


ratio.vjps(lambda g, out, x, y: g / y,
           lambda g, out, x, y: -g * ratio(out, y))


@elementwise
def xlogy(x: Operand, y: Operand) -> Result:
    """x log y, and 0 where x is 0, also at y = 0."""
    return by_scipy("xlogy", x, y)


xlogy.vjps(lambda g, out, x, y: g * log(as_scalar(y, g.dtype)),
           lambda g, out, x, y: g * ratio(x, y))


@elementwise
def xlog1py(x: Operand, y: Operand) -> Result:
    """x log(1 + y), and 0 where x is 0, also at y = -1."""
    return by_scipy("xlog1py", x, y)


xlog1py.vjps(lambda g, out, x, y: g * log1p(as_scalar(y, g.dtype)),
             lambda g, out, x, y: g * ratio(x, 1 + y))
