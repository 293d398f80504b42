"""Gated layers, forward and backward: each function checks its arguments, then calls the kernels of `cpu` or `cuda`.

Shapes: x (B, D); weight (H, D) with H = G·block units in G blocks; bias (H,); gates (B, G), 0 where a block is closed.
All arrays of a call are on one device. They have one dtype, float32 or float64, and any strides. Binary gates may have
another dtype, such as bool. Arrays whose rows are contiguous are used in place. Other arrays are copied first.

`specification` has each function in plain NumPy. The layer after a gated layer, here called its consumer, has a weight
(C, H). It is fast if this weight is the transpose of a contiguous (H, C) array. Then the weights of one gated unit are
next to each other in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import checks
from .backend import kernels_for
from .blocks import OpenBlocks
from .device import work
from .device.arrays import check_device
from .interrupts import uninterrupted
from .packed import Packed

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gated_linear(x: NDArray | Packed, weight: NDArray, bias: NDArray | None, gates: NDArray, block: int,
                 blocks: OpenBlocks | None = None) -> Packed:
    """out block j of example i = gates[i, j] · (x[i] @ weight[block j].T + bias[block j]).

    Blocks whose gate is 0 are not computed.

    Parameters
    ----------
    x : array (B, D), or Packed of that shape
        For a packed x only the open blocks are used.
    weight : array (G·block, D)
    bias : array (G·block,) or None
    gates : array (B, G)
        Binary or real.
    block : int
        Units per block.
    blocks : OpenBlocks, optional
        ``open_blocks(gates)``, if it is already known.

    Returns
    -------
    Packed of shape (B, G·block)

    Raises
    ------
    ValueError
        Shapes do not fit, `block` does not divide the number of units, or a gate is not finite.
    TypeError
        The dtypes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear
    >>> out = gated_linear(np.ones((1, 3)), np.eye(4, 3), None, np.array([[0., 2.]]), block=2)
    >>> out.to_dense()
    array([[0., 0., 2., 0.]])
    """
    checks.check_inputs(x)
    checks.check_weight(weight, x, x.shape[1])
    checks.check_block(len(weight), block)
    if bias is not None:
        checks.check_array("bias", bias, (len(weight),), x)
    shape = len(x), len(weight) // block
    checks.check_gates_of_layer(gates, shape, x)
    kernels = kernels_for(x)
    if blocks is None:
        if shape[0] == 1 and kernels.in_one_call(x, weight, bias, gates):
            values, blocks = kernels.values_and_blocks(x, weight, bias, gates, block)
            return Packed(values, blocks, block)
        blocks = kernels.open_blocks(gates)
    checks.check_open_blocks(blocks, gates, shape, x)
    if isinstance(x, Packed):
        values = kernels.sdd_both(x, weight, blocks, block)
    else:
        values = kernels.sdd(x, weight, blocks, block)
    if bias is not None:
        kernels.add_bias(values, bias, blocks)
    if not blocks.binary:
        kernels.scale(values, gates, blocks, values)
    return Packed(values, blocks, block)


def gated_linear_dx(g: NDArray | Packed, weight: NDArray, gates: NDArray | None, blocks: OpenBlocks, block: int,
                    x_blocks: OpenBlocks | None = None) -> NDArray | Packed:
    """Cotangent of x: (gate · g) @ weight.

    Parameters
    ----------
    g : Packed on `blocks`, or array (B, G·block)
    weight, gates, block : as given to `gated_linear`
    blocks : OpenBlocks
        ``open_blocks(gates)``.
    x_blocks : OpenBlocks, optional
        The open blocks of x, if x was packed and its closed units need no cotangent.

    Returns
    -------
    array (B, D), or Packed on `x_blocks` if they are given

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear_dx, open_blocks
    >>> gates = np.array([[0., 2.]])
    >>> gated_linear_dx(np.ones((1, 4)), np.eye(4, 3), gates, open_blocks(gates), block=2)
    array([[0., 0., 2.]])
    """
    checks.check_weight(weight, g)
    values = _gated_cotangent(g, gates, blocks, block, weight)
    kernels = kernels_for(g)
    if x_blocks is None:
        out = kernels.zeros((blocks.shape[0], weight.shape[1]), g.dtype)
        return kernels.dsd(values, weight, blocks, out)
    checks.check_input_blocks(x_blocks, weight, blocks, g)
    x_block = weight.shape[1] // max(1, x_blocks.shape[1])
    return Packed(kernels.dsd_both(values, weight, blocks, x_blocks, x_block), x_blocks, x_block)


def gated_linear_dw(g: NDArray | Packed, x: NDArray | Packed, gates: NDArray | None, blocks: OpenBlocks, block: int,
                    out: NDArray | None = None) -> NDArray:
    """Cotangent of the weight: (gate · g).T @ x.  Rows of a block that is closed in all examples are zero.

    Parameters
    ----------
    g : Packed on `blocks`, or array (B, G·block)
    x, gates, block : as given to `gated_linear`
    blocks : OpenBlocks
    out : array (G·block, D), optional
        Overwritten and returned.

    Returns
    -------
    array (G·block, D)

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear_dw, open_blocks
    >>> gates = np.array([[0., 2.]])
    >>> gated_linear_dw(np.ones((1, 2)), np.array([[3., 4.]]), gates, open_blocks(gates), block=1)
    array([[0., 0.],
           [6., 8.]])
    """
    checks.check_inputs(x, g)
    values = _gated_cotangent(g, gates, blocks, block)
    if out is not None:
        checks.check_array("out", out, (blocks.shape[1] * block, x.shape[1]), g)
        checks.check_writeable("out", out)
    return _weight_gradient(values, x, blocks, out)


def gated_linear_dw_rows(g, x, gates, blocks, block):
    """``gated_linear_dw`` without the rows of blocks that are closed in all examples: (row numbers, their rows).

    >>> import numpy as np
    >>> from minigrad.kernels import open_blocks
    >>> gates = np.array([[0., 2.]])
    >>> gated_linear_dw_rows(np.ones((1, 2)), np.array([[3., 4.]]), gates, open_blocks(gates), block=1)
    (array([1]), array([[6., 8.]]))
    """
    checks.check_inputs(x, g)
    g = gated_cotangent(g, gates, blocks, block)
    return _rows_of_some_example(g, lambda part: _weight_gradient(part.values, x, part.blocks), x.shape[1])


def gated_linear_db(g: NDArray | Packed, gates: NDArray | None, blocks: OpenBlocks, block: int) -> NDArray:
    """Cotangent of the bias, (G·block,): the sum over examples of gate · g.

    g : Packed on `blocks`, or array (B, G·block).

    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear_db, open_blocks
    >>> gates = np.array([[0., 2.], [1., 1.]])
    >>> gated_linear_db(np.ones((2, 2)), gates, open_blocks(gates), block=1)
    array([1., 3.])
    """
    values = _gated_cotangent(g, gates, blocks, block)
    kernels = kernels_for(g)
    out = kernels.zeros((blocks.shape[1] * block,), g.dtype)
    kernels.sum_examples(values, blocks, out, 1)
    return out


def gated_linear_dgates(g: NDArray | Packed, x: NDArray | Packed, weight: NDArray, bias: NDArray | None, gates: NDArray,
                        out: Packed, which: str) -> NDArray:
    """Cotangent of the gates, (B, G): g · (x @ weight.T + bias), summed over each block.

    Parameters
    ----------
    g : Packed on the open blocks of `out`, or array (B, G·block)
        For ``which="all"`` an array, since closed gates need the cotangent of closed units.
    x, weight, bias, gates : as given to `gated_linear`
    out : Packed
        The result of `gated_linear`. The product before gating is out / gate.
    which : "open" or "all"
        "open" takes one pass over `out`, and gives 0 at closed gates. "all" computes the dense product, which does
        not depend on the gates.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear, gated_linear_dgates
    >>> x, weight, gates = np.ones((1, 3)), np.ones((2, 3)), np.array([[0., 2.]])
    >>> out = gated_linear(x, weight, None, gates, block=1)
    >>> gated_linear_dgates(np.ones((1, 2)), x, weight, None, gates, out, which="open")
    array([[0., 3.]])
    >>> gated_linear_dgates(np.ones((1, 2)), x, weight, None, gates, out, which="all")
    array([[3., 3.]])
    """
    blocks, block = out.blocks, out.block
    if which not in ("open", "all"):
        raise ValueError(f'which: expected "open" or "all", got {which!r}; say which gates need a gradient')
    if which == "open":
        values = _packed_cotangent(g, blocks, block)
        if not blocks.binary:
            checks.check_array("gates", gates, blocks.shape, g)
        kernels = kernels_for(g)
        dgates = kernels.zeros(blocks.shape, g.dtype)
        kernels.gate_products(values, out.values, gates, blocks, dgates)
        return dgates
    if isinstance(g, Packed):
        raise TypeError(
            'g: expected a dense array for which="all", since closed gates need the cotangent of closed '
            "units, got Packed; compute the cotangent densely"
        )
    checks.check_array("g", g, out.shape, out)
    product = packed_linear(x, weight, bias) if isinstance(x, Packed) else x @ weight.T
    if bias is not None and not isinstance(x, Packed):
        product += bias
    product *= g
    work.allocated(product.nbytes)
    return product.reshape(*blocks.shape, block).sum(axis=2)


@uninterrupted
def gated_linear_sgd(g: NDArray | Packed, x: NDArray | Packed, gates: NDArray | None, blocks: OpenBlocks,
                     weight: NDArray, bias: NDArray | None, lr: float) -> None:
    """One step of SGD in place: weight -= lr · dW and bias -= lr · db, open blocks only.

    g : Packed on `blocks`, or array (B, G·block); x, gates : as given to `gated_linear`;
    weight, bias (or None) : updated; lr : float.

    >>> import numpy as np
    >>> from minigrad.kernels import gated_linear_sgd, open_blocks
    >>> weight, gates = np.ones((2, 2)), np.array([[0., 1.]])
    >>> gated_linear_sgd(np.ones((1, 2)), np.ones((1, 2)), gates, open_blocks(gates), weight, None, .5)
    >>> weight
    array([[1. , 1. ],
           [0.5, 0.5]])
    """
    checks.check_inputs(x, g)
    checks.check_weight(weight, g, x.shape[1])
    block = len(weight) // max(1, blocks.shape[1])
    if bias is not None:
        checks.check_array("bias", bias, (len(weight),), g)
    checks.check_writeable("weight", weight)
    checks.check_writeable("bias", bias)
    values = _gated_cotangent(g, gates, blocks, block, weight)
    kernels = kernels_for(g)
    if isinstance(x, Packed):
        kernels.dw_both(values, x, blocks, weight, -lr)
    else:
        kernels.dw(values, x, blocks, weight, 1, -lr)
    if bias is not None:
        kernels.sum_examples(values, blocks, bias, -lr)


def packed_linear(h: Packed, weight: NDArray, bias: NDArray | None = None) -> NDArray:
    """out = h @ weight.T + bias for gated units h, a dense array (B, C).  Closed blocks are skipped.

    Parameters
    ----------
    h : Packed (B, H)
    weight : array (C, H)
        Fast if it is the transpose of a contiguous (H, C) array. Otherwise it is copied into this order.
    bias : array (C,) or None

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import Packed, open_blocks, packed_linear
    >>> h = Packed(np.array([[3.]]), open_blocks(np.array([[False, True]])), block=1)
    >>> packed_linear(h, np.array([[1., 10.], [2., 20.]]), np.array([0., 1.]))
    array([[30., 61.]])
    """
    _check_packed("h", h)
    checks.check_weight(weight, h, h.shape[1])
    if bias is not None:
        checks.check_array("bias", bias, (len(weight),), h)
    kernels = kernels_for(h)
    out = kernels.zeros((h.shape[0], len(weight)), h.dtype)
    if bias is not None:
        out += bias
    return kernels.dsd(kernels.contiguous(h.values), weight.T, h.blocks, out)


def packed_linear_dh(g: NDArray, weight: NDArray, blocks: OpenBlocks, block: int) -> Packed:
    """Cotangent of the gated units at their open blocks: g @ weight.

    g : array (B, C); weight : (C, H); blocks, block : those of h. Returns Packed (B, H).

    >>> import numpy as np
    >>> from minigrad.kernels import open_blocks, packed_linear_dh
    >>> blocks = open_blocks(np.array([[False, True]]))
    >>> packed_linear_dh(np.array([[1., 2.]]), np.array([[1., 10.], [2., 20.]]), blocks, 1).to_dense()
    array([[ 0., 50.]])
    """
    checks.check_inputs(g)
    checks.check_weight(weight, g)
    check_device("blocks", blocks, g)
    checks.check_array("g", g, (blocks.shape[0], len(weight)), g)
    checks.check_units("weight", weight.shape[1], blocks, block)
    return Packed(kernels_for(g).sdd(g, weight.T, blocks, block), blocks, block)


def packed_linear_dw(g: NDArray, h: Packed) -> NDArray:
    """Cotangent of the consumer's weight: g.T @ h, (C, H), as the transpose of a contiguous (H, C) array.

    g : array (B, C); h : Packed (B, H).

    >>> import numpy as np
    >>> from minigrad.kernels import Packed, open_blocks, packed_linear_dw
    >>> h = Packed(np.array([[3.]]), open_blocks(np.array([[False, True]])), block=1)
    >>> packed_linear_dw(np.array([[1., 2.]]), h)
    array([[0., 3.],
           [0., 6.]])
    """
    _check_consumer(g, h)
    kernels = kernels_for(g)
    out = kernels.empty((h.shape[1], g.shape[1]), g.dtype)
    kernels.dw(kernels.contiguous(h.values), g, h.blocks, out, 0, 1)
    return out.T


def packed_linear_dw_rows(g, h):
    """The rows of the transpose of ``packed_linear_dw``, (H, C), for blocks that are open in some example.

    Returns a pair: the numbers of these units, and their rows of the gradient.

    >>> import numpy as np
    >>> from minigrad.kernels import Packed, open_blocks
    >>> h = Packed(np.array([[3.]]), open_blocks(np.array([[False, True]])), block=1)
    >>> packed_linear_dw_rows(np.array([[1., 2.]]), h)
    (array([1]), array([[3., 6.]]))
    """
    _check_consumer(g, h)
    return _rows_of_some_example(h, lambda part: packed_linear_dw(g, part).T, g.shape[1])


def packed_linear_db(g: NDArray) -> NDArray:
    """Cotangent of the consumer's bias, (C,): the sum of g (B, C) over examples."""
    return g.sum(axis=0)


@uninterrupted
def packed_linear_sgd(g: NDArray, h: Packed, weight: NDArray, bias: NDArray | None, lr: float) -> None:
    """One step of SGD in place on the consumer's weight (C, H) and bias (C,) or None.

    Only the columns of open blocks of h : Packed (B, H) change; g : array (B, C); lr : float.

    >>> import numpy as np
    >>> from minigrad.kernels import Packed, open_blocks, packed_linear_sgd
    >>> h = Packed(np.array([[3.]]), open_blocks(np.array([[False, True]])), block=1)
    >>> weight = np.zeros((2, 2))
    >>> packed_linear_sgd(np.array([[1., 2.]]), h, weight, None, 1.)
    >>> weight
    array([[ 0., -3.],
           [ 0., -6.]])
    """
    _check_consumer(g, h)
    checks.check_array("weight", weight, (g.shape[1], h.shape[1]), g)
    if bias is not None:
        checks.check_array("bias", bias, (g.shape[1],), g)
    checks.check_writeable("weight", weight)
    checks.check_writeable("bias", bias)
    kernels = kernels_for(g)
    kernels.dw(kernels.contiguous(h.values), g, h.blocks, weight.T, 1, -lr)
    if bias is not None:
        bias -= g.dtype.type(lr) * g.sum(axis=0)


def _weight_gradient(values, x, blocks, out=None):
    """valuesᵀ x, in ``out`` if it is given."""
    kernels, shape = kernels_for(values), (blocks.shape[1] * values.shape[1], x.shape[1])
    if isinstance(x, Packed):
        if out is None:
            out = kernels.zeros(shape, values.dtype)
        else:
            out[...] = 0
        kernels.dw_both(values, x, blocks, out, 1)
        return out
    if out is None:
        out = kernels.empty(shape, values.dtype)
    kernels.dw(values, x, blocks, out, 0, 1)
    return out


def _rows_of_some_example(values, product, columns):
    """(unit numbers, product(values)) for packed ``values``, on the blocks that are open in some example."""
    blocks, numbers = values.blocks.of_some_example()
    units = (numbers[:, None] * values.block + np.arange(values.block)).reshape(-1)
    if not len(units):
        return units, np.zeros((0, columns), values.dtype)
    return units, product(Packed(values.values, blocks, values.block))


def gated_cotangent(g, gates, blocks, block):
    """gate · g as Packed. With it, the functions of backward take None as their gates, and need not multiply again.

    g : Packed on `blocks`, or array (B, G·block); gates, blocks, block : as for `gated_linear_dx`.

    >>> import numpy as np
    >>> from minigrad.kernels import open_blocks
    >>> gates = np.array([[0., 2.]])
    >>> gated_cotangent(np.ones((1, 2)), gates, open_blocks(gates), block=1).to_dense()
    array([[0., 2.]])
    """
    return Packed(_gated_cotangent(g, gates, blocks, block), blocks, block)


def _gated_cotangent(g, gates, blocks, block, weight=None):
    """gate · g at the open blocks, (n_open, block).  For binary gates, or None, the values of g, without a copy."""
    if weight is not None:
        checks.check_units("weight", len(weight), blocks, block)
    values = _packed_cotangent(g, blocks, block)
    if blocks.binary or gates is None:
        return values
    checks.check_array("gates", gates, blocks.shape, g)
    kernels = kernels_for(g)
    scaled = blocks.empty(block, g.dtype)
    kernels.scale(values, gates, blocks, scaled)
    return scaled


def _packed_cotangent(g, blocks, block):
    """g at the open blocks, (n_open, block), contiguous."""
    if not isinstance(blocks, OpenBlocks):
        raise TypeError(f"blocks: expected OpenBlocks, got {type(blocks).__name__}; use open_blocks(gates)")
    if not isinstance(g, Packed):
        checks.check_array("g", g, (blocks.shape[0], blocks.shape[1] * block), g)
        check_device("blocks", blocks, g)
        return blocks.gather(g, block)
    if g.block != block or not g.blocks.same_as(blocks):
        raise ValueError(
            f"g: expected Packed on {blocks!r} with block {block}, got {g!r}; "
            "pass the cotangent of the output"
        )
    return kernels_for(g).contiguous(g.values)


def _check_packed(name, h):
    if not isinstance(h, Packed):
        raise TypeError(
            f"{name}: expected Packed, got {type(h).__name__}; use Packed.gather or a dense product"
        )


def _check_consumer(g, h):
    _check_packed("h", h)
    checks.check_inputs(g, h)
    checks.check_array("g", g, (h.shape[0], g.shape[1]), h)
