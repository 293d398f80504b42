"""Packed units and factored gradients in the backward pass.

The output of a gated layer is ``Packed``: only its open blocks are stored.  Its cotangent is packed too if only the
entries at open blocks are needed.  There are three levels of what is needed ("wanted") of a cotangent:

NOTHING  No entry is read.
OPEN     Only entries at which the value is not zero are read.  These are entries of open blocks.
ALL      All entries are read.

Before the backward pass, the graph finds the level of every cotangent.  It starts from the targets.  For each
primitive, the ``demand`` gives the level of the output's cotangent as a function of the levels of its arguments.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

NOTHING, OPEN, ALL = 0, 1, 2


def as_the_argument(levels: dict[int, int]) -> int:
    """Demand of a function that is zero exactly where its argument is zero, such as tanh."""
    return max(levels.values())


def where_not_zero(levels: dict[int, int]) -> int:
    """Demand of a function whose derivative is zero wherever its value is zero, such as relu."""
    return OPEN


def level_of_elementwise(wanted_parents, wanted):
    """Demand of an elementwise function of packed units.  Its output is zero wherever they are zero."""
    return max((wanted[x] for _, x, _ in wanted_parents if isinstance(x.value, Packed)), default=OPEN)


class Factored:
    """The gradient of the weight of a gated layer, stored as two factors.  They are multiplied when it is read.

    Plain SGD does not need the product.  ``descend(weight, lr)`` subtracts lr · gradient block by block, in the
    kernel that computes it.  So the gradient is never written to memory.

    The gradient of a large table (``indexing``) is stored in the same way.  Its only factor are the rows to be added.

    Attributes
    ----------
    rows : a function that returns (numbers, rows): the rows that may have entries other than 0, and their numbers.
    axis : 0, or 1 if these are rows of the transpose.
    """

    __array_ufunc__ = None          # so that array + Factored calls __radd__

    def __init__(self, weight: Any, factors: tuple[Any, ...], multiply_out: Callable[[], Any],
                 descend: Callable[[Any, float], None], rows: Any, axis: int = 0) -> None:
        self.shape, self.dtype = weight.shape, weight.dtype
        self.factors = factors
        self.to_dense = multiply_out
        self.descend = descend
        self.rows, self.axis = rows, axis

    def is_finite(self) -> Any:
        """Whether all factors are finite."""
        finite: Any = True
        for x in self.factors:
            finite = finite & is_finite(x.values if isinstance(x, Packed) else x)
        return finite

    def __add__(self, other):
        return self.to_dense() + dense(other)

    __radd__ = __add__

    def __reduce__(self):
        """Copies and pickles hold the product, since the factors may be larger."""
        return dense, (self.to_dense(),)


#: Types of cotangents that are not plain arrays.
COMPACT = (Packed, Factored)


def is_finite(gradient: Any) -> Any:
    """Whether a gradient has neither NaN nor infinity.  For a factored gradient, whether its factors have neither.

    Returns a bool, or for a gradient on a GPU an array without axes on the GPU.
    """
    if isinstance(gradient, Factored):
        return gradient.is_finite()
    if arrays.is_device(gradient):
        return np.isfinite(gradient).all()
    entries = gradient.ravel("K")
    # The sum of squares needs no temporary array.  It is finite unless an entry is infinite, NaN or very large.
    return bool(np.isfinite(np.vdot(entries, entries)) or np.isfinite(entries).all())


def dense(value: Any) -> Any:
    """A packed or factored value as an ordinary array; any other value unchanged."""
    return value.to_dense() if isinstance(value, COMPACT) else value


def as_wanted(cotangent: Any, x: Packed, wanted: int) -> Any:
    """The cotangent of packed units ``x``: packed if only open blocks are wanted, dense if all entries are.

    A packed cotangent stays packed in any case.  It is 0 at closed blocks.  So kernels can skip these blocks although
    all entries are wanted, for example below ``relu``, whose derivative at a closed block is 0.
    """
    if isinstance(cotangent, Packed):
        return cotangent
    if wanted == ALL:
        return dense(cotangent)
    return Packed.gather(np.broadcast_to(cotangent, x.shape), x.blocks, x.block)


def total(first: Any, second: Any) -> Any:
    """The sum of two cotangents of one value.  Packed and dense make dense."""
    if isinstance(first, Packed) != isinstance(second, Packed):
        first, second = dense(first), dense(second)
    return first + second


def on_open_blocks(product, g, out, args, options):
    """A vector-Jacobian product of an elementwise function of packed units, computed at their open blocks."""
    def values(x):
        if arrays.is_array(x) and x.ndim:
            x = Packed.gather(np.broadcast_to(x, out.shape), out.blocks, out.block)
        return x.values if isinstance(x, Packed) else x
    return out.with_values(product(values(g), out.values, *map(values, args), **options))
