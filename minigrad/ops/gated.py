"""Linear layers, dense and gated, and their vector-Jacobian products.

The kernels (``minigrad.kernels``) compute both.  They skip the blocks whose gate is 0.

The output of a gated layer is ``Packed``: only its open blocks are stored.  A linear layer with a packed input skips
the closed blocks.  In the backward pass, the cotangent of a packed input is computed either at its open blocks (OPEN)
or everywhere (ALL).  The same holds for the cotangent of the gates.  ALL is needed only below rules that read the
gradient at closed gates (``Estimator.needs_closed_gates``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.kernels import Packed
from minigrad.kernels.device.work import aligned_copy
from minigrad.kernels.layers import gated_cotangent as open_cotangent
from minigrad.kernels.layers import gated_linear_dw_rows, packed_linear_dw_rows
from minigrad.ops.alternatives import linear_layer
from minigrad.ops.arithmetic import multiply
from minigrad.ops.linear_algebra import matmul, rows
from minigrad.ops.node import Node
from minigrad.ops.packed import ALL, OPEN, Factored, dense
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import repeat, reshape, transpose

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["gated_linear", "linear", "to_dense"]


@primitive(integers=True)
def to_dense(x: Operand) -> Result:
    """Packed units as an ordinary array, with zeros for the closed blocks."""
    return dense(x)


to_dense.vjps(lambda g, out, x: g)


@primitive(integers=True, takes_wanted=True, batching=linear_layer)
def linear(x: Operand, weight: Operand, bias: Operand | None = None) -> Result:
    """x @ weight.T + bias, for weight (units, inputs) and bias (units,).

    x is (..., inputs), or the packed output of a gated layer.  Closed blocks of a packed input are skipped.
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


def linear_vjp_x(g, out, x, weight, bias=None, *, wanted):
    if isinstance(x, Packed) and wanted == OPEN:
        return kernels.packed_linear_dh(g, weight, x.blocks, x.block)
    return matmul(g, weight)


def linear_vjp_weight(g, out, x, weight, bias=None, *, wanted):
    if isinstance(x, Packed):
        return Factored(weight, (g, x), lambda: kernels.packed_linear_dw(g, x),
                        lambda weight, lr: kernels.packed_linear_sgd(g, x, weight, None, lr),
                        rows=lambda: packed_linear_dw_rows(g, x), axis=1)
    return matmul(transpose(rows(g)), rows(x))


def linear_vjp_bias(g, out, x, weight, bias, *, wanted):
    return sum(g, axis=tuple(range(g.ndim - 1)))


linear.vjps(linear_vjp_x, linear_vjp_weight, linear_vjp_bias)


# Only the cotangent of closed gates (argument 3) depends on the output's cotangent at closed units.
@primitive(takes_wanted=True, conditions=(3,), selective=(3,),
           demand=lambda levels: ALL if levels.get(3) == ALL else OPEN)
def gated_linear(x: Operand, weight: Operand, bias: Operand | None, gates: Operand, *, block: int = 1) -> Result:
    """A linear layer with a gate for each block of units.  A block whose gate is 0 is not computed.

    Block j of example i is gates[i, j] · (x[i] @ weight[block j].T + bias[block j]).

    Parameters
    ----------
    x : (B, D), an array or the packed output of another gated layer.
    weight : (G·block, D), in any memory order.
    bias : (G·block,), or None.
    gates : (B, G), binary or real.  Booleans count as 0 and 1.
    block : number of units per gate.

    Returns
    -------
    (B, G·block), packed.

    Raises
    ------
    ValueError, TypeError
        Shapes or dtypes do not fit, ``block`` does not divide the number of units, or a gate is not finite.

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


# The vector-Jacobian products.  For arrays they call kernels that skip closed blocks.  For Tensors (second derivatives)
# they use dense primitives: the layer is gates ⊙ (x W' + b), with each gate repeated over its block.

def gated_vjp_x(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        x_blocks = x.blocks if isinstance(x, Packed) and wanted == OPEN else None
        return kernels.gated_linear_dx(times_gates(g, gates, out), weight, None, out.blocks, block, x_blocks)
    return matmul(gated_cotangent(g, gates, block), weight)


def gated_vjp_weight(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        g, blocks = times_gates(g, gates, out), out.blocks
        x = aligned_copy(x) if type(x) is np.ndarray else x.copy()      # it may belong to the user
        return Factored(weight, (g, x),
                        lambda: kernels.gated_linear_dw(g, x, None, blocks, block),
                        lambda weight, lr: kernels.gated_linear_sgd(g, x, None, blocks, weight, None, lr),
                        rows=lambda: gated_linear_dw_rows(g, x, None, blocks, block))
    return matmul(transpose(gated_cotangent(g, gates, block)), x)


def gated_vjp_bias(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        return kernels.gated_linear_db(times_gates(g, gates, out), None, out.blocks, block)
    return sum(gated_cotangent(g, gates, block), axis=0)


def gated_vjp_gates(g, out, x, weight, bias, gates, *, block=1, wanted):
    if not isinstance(g, Node):
        which = "all" if wanted == ALL and not isinstance(g, Packed) else "open"    # packed: 0 at closed blocks
        return kernels.gated_linear_dgates(g, x, weight, bias, gates, out, which)
    ungated = multiply(g, linear(x, weight, bias))
    return sum(reshape(ungated, shape=(*gates.shape, block)), axis=2)


def times_gates(g: Any, gates: Any, out: Any) -> Packed:
    """gate · g at the open blocks of ``out``, packed.  It is computed once for all arguments of the layer."""
    if not isinstance(g, Packed):
        return open_cotangent(g, gates, out.blocks, out.block)
    if g.product is None or g.product[0] is not gates:
        g.product = gates, open_cotangent(g, gates, out.blocks, out.block)
    return g.product[1]


def gated_cotangent(g, gates, block):
    """g, with each unit multiplied by its gate."""
    return multiply(g, repeat(gates, block, axis=1))


gated_linear.vjps(gated_vjp_x, gated_vjp_weight, gated_vjp_bias, gated_vjp_gates)
