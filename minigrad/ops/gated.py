"""Linear layers, dense and gated.  The kernels skip; this file says what is whose derivative.

A gated layer's output is ``Packed``: only its open blocks are stored and passed on.  A linear layer
that consumes it skips the blocks that are closed.  Backward, each product computes what is wanted:
of a packed input either its open blocks (OPEN) or all of it (ALL), of the gates the same.  Who wants
all is a rule that needs the gradient at a closed gate (``Estimator.needs_closed_gates``).
"""

import numpy as np

from minigrad import kernels
from minigrad.kernels import Packed
from minigrad.ops.alternatives import linear_layer
from minigrad.ops.arithmetic import multiply
from minigrad.ops.linear_algebra import matmul, rows
from minigrad.ops.node import Node
from minigrad.ops.packed import ALL, OPEN, Factored, dense
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import repeat, reshape, transpose

__all__ = ["gated_linear", "linear", "to_dense"]


@primitive(integers=True)
def to_dense(x):
    """Packed units as an ordinary array, with zeros for the closed blocks."""
    return dense(x)


to_dense.vjps(lambda g, out, x: g)


@primitive(integers=True, graded=True, carries=linear_layer)
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


@primitive(graded=True, conditions=(3,), demand=lambda levels: ALL if levels.get(3) == ALL else OPEN)
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
    if not isinstance(g, Node):
        x_blocks = x.blocks if isinstance(x, Packed) and wanted == OPEN else None
        return kernels.gated_linear_dx(g, weight, gates, out.blocks, block, x_blocks)
    return matmul(opened(g, gates, block), weight)


def gated_weight(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        x, gates = x.copy(), gates.copy()       # the user's own arrays, it may be, and soon overwritten
        return Factored(weight, (g, x),
                        lambda: kernels.gated_linear_dw(g, x, gates, out.blocks, block),
                        lambda weight, lr: kernels.gated_linear_sgd(g, x, gates, out.blocks, weight, None, lr))
    return matmul(transpose(opened(g, gates, block)), x)


def gated_bias(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        return kernels.gated_linear_db(g, gates, out.blocks, block)
    return sum(opened(g, gates, block), axis=0)


def gated_gates(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        return kernels.gated_linear_dgates(g, x, weight, bias, gates, out, "all" if wanted == ALL else "open")
    ungated = multiply(g, linear(x, weight, bias))
    return sum(reshape(ungated, shape=(*gates.shape, block)), axis=2)


def opened(g, gates, block):
    """g times the gate of each unit."""
    return multiply(g, repeat(gates, block, axis=1))


gated_linear.vjps(gated_x, gated_weight, gated_bias, gated_gates)
# Closed units matter to one product only: that of the gates, where closed gates want a gradient.
