"""Normal and logistic noise, compiled; `kernels.noise` explains the formulas.

Kernels for a GPU (`cuda.noise`) call `normal` and `logistic` as well.
"""

import math

import numpy as np

from ..noise import (
    ATANH,
    CENTRE,
    CENTRE_BOTTOM,
    CENTRE_CONSTANT,
    CENTRE_TOP,
    ROOT_HALF,
    TAIL_BOTTOM,
    TAIL_SHIFT,
    TAIL_TOP,
)
from ..philox import LN2_HIGH, LN2_LOW
from .arithmetic import from_bits, polynomial, product, to_bits
from .jit import exact
from .philox import LANES, fill, store

_NUMBERS = 4 * LANES
_ONE = np.int64(np.float64(1.0).view(np.int64))
_ROOT_HALF = np.int64(np.float64(ROOT_HALF).view(np.int64))
_FRACTION = np.int64(52)     # bits of the fraction of a float64
_FRACTION_MASK = np.int64(2**52 - 1)


@exact
def logarithm(x):
    """log(x) for x > 0 that is not subnormal."""
    bits = to_bits(x) + (_ONE - _ROOT_HALF)
    n = np.float64((bits >> _FRACTION) - np.int64(1023))
    m = from_bits((bits & _FRACTION_MASK) + _ROOT_HALF)
    s = (m - 1.0) / (m + 1.0)
    z = product(s, s)
    log_m = (s + s) + product(s, product(z, polynomial(z, ATANH)))
    return product(n, LN2_HIGH) + (product(n, LN2_LOW) + log_m)


@exact
def logistic(u):
    """The logistic number for a uniform u."""
    return logarithm(u / (1.0 - u))


@exact
def centre(u):
    """The normal number for a uniform u with |u - 1/2| <= CENTRE."""
    q = u - 0.5
    r = CENTRE_CONSTANT - product(q, q)
    return product(q, polynomial(r, CENTRE_TOP)) / polynomial(r, CENTRE_BOTTOM)


@exact
def tail(p):
    """The size of a normal number that is exceeded with a small probability p."""
    r = math.sqrt(-logarithm(p)) - TAIL_SHIFT
    return polynomial(r, TAIL_TOP) / polynomial(r, TAIL_BOTTOM)


@exact
def normal(u):
    """The normal number for a uniform u."""
    if abs(u - 0.5) <= CENTRE:
        return centre(u)
    return -tail(u) if u < 0.5 else tail(1.0 - u)


@exact
def normals(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_normals`.

    The formula for the centre is computed for all lanes, and then that for the tails, where 15 % of the lanes are.
    """
    groups = (out.shape[1] + 3) // 4
    words, places = np.empty((4, LANES), np.uint32), np.empty(_NUMBERS, np.int64)
    u, z, p, size = np.empty(_NUMBERS), np.empty(_NUMBERS), np.ones(_NUMBERS), np.empty(_NUMBERS)
    for first in range(0, len(out) * groups, LANES):
        fill(seed, stream, draw, sample_offset, first, groups, True, words, u)
        for i in range(_NUMBERS):
            z[i] = centre(u[i])
        count = 0
        for i in range(_NUMBERS):
            places[count] = i
            count += abs(u[i] - 0.5) > CENTRE
        for k in range(count):
            p[k] = min(u[places[k]], 1.0 - u[places[k]])
        for k in range((count + 15) // 16 * 16):        # whole vectors
            size[k] = tail(p[k])
        for k in range(count):
            z[places[k]] = -size[k] if u[places[k]] < 0.5 else size[k]
        store(z, first, groups, out)


@exact
def logistics(seed, stream, draw, sample_offset, out):
    """Fill the array ``out`` (samples, units); see `draws.philox_logistics`."""
    groups = (out.shape[1] + 3) // 4
    words, u = np.empty((4, LANES), np.uint32), np.empty(_NUMBERS)
    for first in range(0, len(out) * groups, LANES):
        fill(seed, stream, draw, sample_offset, first, groups, True, words, u)
        for i in range(_NUMBERS):
            u[i] = logistic(u[i])
        store(u, first, groups, out)
