"""Functions for the inner loops of kernels. The first two have no calls and no branches, so LLVM vectorises the loops.

In Python, `exp` and `largest` call NumPy. In compiled code they work as follows:

    exp       exp(x) = 2ⁿ exp(r), with the integer n nearest to x / log(2), and r = x − n log(2). A polynomial gives
              exp(r). Adding n to the exponent of a floating number multiplies it by 2ⁿ. The relative error is below
              two units in the last place. Results below the smallest normal number are 0. NaN stays NaN.
    largest   The maximum of a row. LLVM does not vectorise the maximum of floating numbers, because they may be NaN.
              But it vectorises the maximum of integers. The bits of two floating numbers, read as integers, have the
              same order as the numbers. (If both numbers are negative, the order is reversed. One operation on the
              bits corrects this.) If an entry is NaN, the result may be NaN or a number.
"""

import math
from fractions import Fraction

import numpy as np
from numba import types
from numba.extending import overload

from .jit import exact

#: log(2), with more digits than double precision has.
_LOG2 = Fraction("0.69314718055994530941723212145817656807550013436026")


def exp(x):
    return np.exp(x)


def largest(row):
    return row.max()


@exact
def any_not_zero(row):
    """Whether a number in a row is not 0."""
    found = False
    for number in row:
        found = number != 0
        if found:
            break
    return found


# For each dtype: its scalar type, integers of the same size, the number of bits of the mantissa, the bias of the
# exponent, the degree of the polynomial, and the smallest x whose exponential is not subnormal. With this degree, the
# error of the polynomial is smaller than the error of rounding, for |r| ≤ log(2) / 2.
_FORMATS = {types.float32: (np.float32, np.int32, 23, 127, 7, -87),
            types.float64: (np.float64, np.int64, 52, 1023, 13, -708)}


@overload(exp, jit_options={"fastmath": {"contract"}})      # no "reassoc": it would remove the addition that rounds
def _compiled_exp(x):
    number, integer, mantissa, bias, degree, lowest = _FORMATS[x]
    scale = 2 ** (mantissa // 2)
    high = Fraction(math.floor(_LOG2 * scale), scale)       # it has so few bits that n · high is exact
    high, low = number(high), number(_LOG2 - high)
    per_log2, rounding = number(1 / math.log(2)), number(1.5 * 2**mantissa)
    series = tuple(number(1 / math.factorial(k)) for k in range(degree, -1, -1))
    mantissa, bias, lowest, zero = integer(mantissa), integer(bias), number(lowest), number(0)

    def compiled(x):
        shifted = x * per_log2 + rounding           # this addition rounds to an integer and puts it into the last bits
        n = shifted - rounding
        r = (x - n * high) - n * low
        y = zero
        for coefficient in series:
            y = y * r + coefficient
        exponent = integer(number(shifted).view(integer) + bias)
        power = integer(exponent << mantissa).view(number)
        return zero if x < lowest else y * power
    return compiled


@overload(largest)
def _compiled_largest(row):
    number, integer, *_ = _FORMATS[row.dtype]
    info = np.iinfo(integer)
    sign, others, lowest = integer(info.bits - 1), integer(info.max), integer(info.min)

    def compiled(row):
        best = lowest
        for c in range(len(row)):
            bits = number(row[c]).view(integer)
            best = max(best, integer(bits ^ integer(integer(bits >> sign) & others)))
        return integer(best ^ integer(integer(best >> sign) & others)).view(number)
    return compiled
