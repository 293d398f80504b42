"""What backward needs to know of packed units, and of gradients that are not multiplied out.

The output of a gated layer is ``Packed``: only its open blocks are stored.  Its cotangent may be packed as well,
when only the entries at open blocks are wanted.  How much of a cotangent is wanted is one of three levels:

NOTHING  Nobody reads it.
OPEN     Only the entries are read at which the value itself is not zero: those of the open blocks.
ALL      All entries are read.

Before backward, the graph asks each primitive how much of its output's cotangent it reads, given how much is wanted
of the cotangents of its arguments.  A primitive says so by its ``demand``, a function of these levels.
"""

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

NOTHING, OPEN, ALL = 0, 1, 2


def as_the_argument(levels):
    """Demand of a function that is zero exactly where its argument is (tanh)."""
    return max(levels.values())


def where_not_zero(levels):
    """Demand of a function whose derivative vanishes wherever its value is zero (relu)."""
    return OPEN


def level_of_elementwise(sought, wanted):
    """Demand of an elementwise function of packed units: its output is zero wherever they are."""
    return max((wanted[x] for _, x, _ in sought if isinstance(x.value, Packed)), default=OPEN)


class Factored:
    """The gradient of a gated layer's weight, kept as its factors until somebody reads its entries.

    Plain SGD does not read them.  ``descend(weight, lr)`` subtracts lr · gradient block by block, in the
    kernel that computes it, so the gradient is never written to memory.
    """

    __array_ufunc__ = None          # so that array + Factored is left to __radd__

    def __init__(self, weight, factors, multiply_out, descend):
        self.shape, self.dtype = weight.shape, weight.dtype
        self.factors = factors
        self.to_dense = multiply_out
        self.descend = descend

    def is_finite(self):
        first, second = (is_finite(x.values if isinstance(x, Packed) else x) for x in self.factors)
        return first & second

    def __add__(self, other):
        return self.to_dense() + dense(other)

    __radd__ = __add__

    def __reduce__(self):
        """Copies and pickles are multiplied out: the factors may be all the inputs of a layer."""
        return dense, (self.to_dense(),)


#: Types of cotangents that are not plain arrays.
COMPACT = (Packed, Factored)


def is_finite(gradient):
    """Whether a gradient has neither NaN nor infinity; of a factored one, whether its factors have neither.

    A bool, or for a gradient on a device an array there of no axes.
    """
    if isinstance(gradient, Factored):
        return gradient.is_finite()
    if arrays.is_device(gradient):
        return np.isfinite(gradient).all()
    entries = gradient.ravel("K")
    # The sum of squares needs no array of its own, and is finite unless an entry is not, or is huge.
    return bool(np.isfinite(np.vdot(entries, entries)) or np.isfinite(entries).all())


def dense(value):
    """A packed or factored value multiplied out to an ordinary array; any other value as it is."""
    return value.to_dense() if isinstance(value, COMPACT) else value


def as_wanted(cotangent, x, wanted):
    """A cotangent of packed units ``x``: packed if only their open blocks are wanted, dense if all are."""
    if wanted == ALL:
        return dense(cotangent)
    if isinstance(cotangent, Packed):
        return cotangent
    return Packed.gather(np.broadcast_to(cotangent, x.shape), x.blocks, x.block)


def on_open_blocks(product, g, out, args, options):
    """A product of an elementwise function of packed units, computed at their open blocks."""
    def values(x):
        if arrays.is_array(x) and x.ndim:
            x = Packed.gather(np.broadcast_to(x, out.shape), out.blocks, out.block)
        return x.values if isinstance(x, Packed) else x
    return out.with_values(product(values(g), out.values, *map(values, args), **options))
