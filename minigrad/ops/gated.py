"""Linear layers, dense and gated.  The kernels skip; this file says what is whose derivative.

A gated layer's output is ``Packed``: only its open blocks are stored and passed on.  A linear layer
that consumes it skips the blocks that are closed.  Backward, each product computes what is wanted:
of a packed input either its open blocks (OPEN) or all of it (ALL), of the gates the same.  Who wants
all is a rule that needs the gradient at a closed gate (``Estimator.needs_closed_gates``).
"""

import numpy as np

from minigrad import kernels
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops.alternatives import linear_layer
from minigrad.ops.elementwise import multiply
from minigrad.ops.linear_algebra import matmul, rows
from minigrad.ops.primitive import ALL, OPEN, primitive, recorders
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import repeat, reshape, transpose

__all__ = ["gated_linear", "linear", "to_dense"]


class Factored:
    """The gradient of a gated layer's weight, kept as its factors until somebody multiplies them.

    Plain SGD never does: ``descend(weight, lr)`` subtracts lr · gradient block by block, in the
    kernel that computes it, so the gradient is not written to memory at all.
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


def is_finite(gradient):
    """Whether a gradient has neither NaN nor infinity; of a factored one, whether its factors have.

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
    return value.to_dense() if isinstance(value, (Packed, Factored)) else value


@primitive(integers=True)
def to_dense(x):
    """Packed units as an ordinary array, with zeros for the closed blocks."""
    return dense(x)


to_dense.vjps(lambda g, out, x: g)


@primitive(integers=True)
def linear(x, weight, bias=None):
    """x @ weight.T + bias, for weight (units, inputs) and bias (units,).

    x is (..., inputs), or packed units of a gated layer, whose closed blocks are skipped.
    """
    if isinstance(x, Packed):
        return kernels.packed_linear(x, weight, bias)
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: expected x (..., inputs) and weight (units, inputs), got {x.shape} and "
                         f"{weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: expected bias {weight.shape[:1]}, one per unit, got {bias.shape}")
    out = np.matmul(x, weight.T)
    if bias is None:
        return out
    return np.add(out, bias, out=out) if out.dtype == bias.dtype else out + bias


def linear_x(g, out, x, weight, bias=None, *, wanted):
    if isinstance(x, Packed) and wanted == OPEN:
        return kernels.packed_linear_dh(g, weight, x.blocks, x.block)
    return matmul(g, weight)


def linear_weight(g, out, x, weight, bias=None, *, wanted):
    if isinstance(x, Packed):
        return Factored(weight, (g, x), lambda: kernels.packed_linear_dw(g, x),
                        lambda weight, lr: kernels.packed_linear_sgd(g, x, weight, None, lr))
    return matmul(transpose(rows(g)), rows(x))


def linear_bias(g, out, x, weight, bias, *, wanted):
    return sum(g, axis=tuple(range(g.ndim - 1)))


linear.vjps(linear_x, linear_weight, linear_bias)
linear.graded = True
linear.carries = linear_layer


@primitive
def gated_linear(x, weight, bias, gates, *, block=1):
    """A linear layer whose blocks of units are gated; a block with gate 0 is skipped.

    Block j of example i is gates[i, j] · (x[i] @ weight[block j].T + bias[block j]).

    Parameters
    ----------
    x : (B, D), dense or the packed units of another gated layer.
    weight : (G·block, D), in any memory order.
    bias : (G·block,), or None.
    gates : (B, G), binary or real. Booleans are open where they are true.
    block : units per gate.

    Returns
    -------
    (B, G·block), packed.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes that do not fit, a block that does not divide the width, gates that are not
        finite.

    Source: Bengio, Léonard & Courville (2013), §4; block gates as in E. Bengio et al. (2015).

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 2.0]])
    >>> weight = mg.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> mg.gated_linear(x, weight, None, mg.tensor([[0.0, 2.0]]), block=2)
    tensor([[0., 0., 6., 0.]], dtype=float64)
    """
    if isinstance(block, bool) or not isinstance(block, (int, np.integer)) or block < 1:
        raise ValueError(f"gated_linear: expected a block of one or more units, got {block!r}")
    if isinstance(gates, Packed):
        raise TypeError("gated_linear: expected gates as an ordinary array, got packed units. "
                        "Use .to_dense()")
    return kernels.gated_linear(x, weight, bias, gates, block)


# The products, with skipping kernels for arrays and, for Tensors (second derivatives), in dense
# primitives: gates ⊙ (x W' + b) with every gate repeated over its block.

def gated_x(g, out, x, weight, bias, gates, *, block=1, wanted):
    if type(g) not in recorders:
        x_blocks = x.blocks if isinstance(x, Packed) and wanted == OPEN else None
        return kernels.gated_linear_dx(g, weight, gates, out.blocks, block, x_blocks)
    return matmul(opened(g, gates, block), weight)


def gated_weight(g, out, x, weight, bias, gates, *, block=1, wanted):
    if type(g) not in recorders:
        x, gates = x.copy(), gates.copy()       # the user's own arrays, it may be, and soon overwritten
        return Factored(weight, (g, x),
                        lambda: kernels.gated_linear_dw(g, x, gates, out.blocks, block),
                        lambda weight, lr: kernels.gated_linear_sgd(g, x, gates, out.blocks, weight, None, lr))
    return matmul(transpose(opened(g, gates, block)), x)


def gated_bias(g, out, x, weight, bias, gates, *, block=1, wanted):
    if type(g) not in recorders:
        return kernels.gated_linear_db(g, gates, out.blocks, block)
    return sum(opened(g, gates, block), axis=0)


def gated_gates(g, out, x, weight, bias, gates, *, block=1, wanted):
    if type(g) not in recorders:
        return kernels.gated_linear_dgates(g, x, weight, bias, gates, out, "all" if wanted == ALL else "open")
    ungated = multiply(g, linear(x, weight, bias))
    return sum(reshape(ungated, shape=(*gates.shape, block)), axis=2)


def opened(g, gates, block):
    """g times the gate of each unit."""
    return multiply(g, repeat(gates, block, axis=1))


gated_linear.vjps(gated_x, gated_weight, gated_bias, gated_gates)
gated_linear.graded = True
gated_linear.conditions = (3,)      # boolean gates are known to be binary
# Closed units matter to one product only: that of the gates, where closed gates want a gradient.
gated_linear.demand = lambda levels: ALL if levels.get(3) == ALL else OPEN
