"""The specification: every kernel in plain NumPy, on dense arrays and masks.

Shapes: x (B, D), weight (H, D) with H = G·k units in G blocks of k, gates (B, G), bias (H,).
Nothing is skipped here: a closed block is computed and multiplied by 0.

All layers use three products. They are named as in the block-sparse library of Triton: s means sparse, zero in closed
blocks, and d means dense. The first letter is the result.

    sdd   sparse = dense · dense     forward product of a gated layer; gradient of packed units
    dsd   dense = sparse · dense     forward product of the layer that consumes packed units; gradient of x
    dw    gradient of a weight: transposed sparse · dense

`cpu.plain`, `cpu.tile`, `cuda.plain`, `cuda.shared` and `cuda.tile` compute them under the same names.
"""

import numpy as np


def per_unit(gates, block):
    """Gates (B, G), each repeated for the units of its block: (B, G·block)."""
    return np.repeat(gates, block, axis=1)


def open_blocks(gates):
    """(indptr, indices, block_indptr, examples, positions) of the open blocks, as int32.

    CSR: the open blocks of example i are indices[indptr[i]:indptr[i + 1]], ascending. The index of
    an entry in `indices` is its position. CSC: the examples of block j are
    examples[block_indptr[j]:block_indptr[j + 1]], ascending, and `positions` gives their positions.
    """
    gates = np.asarray(gates)
    rows, indices = np.nonzero(gates)
    order = np.lexsort((rows, indices))
    indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(gates, axis=1))])
    block_indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(gates, axis=0))])
    return tuple(a.astype(np.int32) for a in (indptr, indices, block_indptr, rows[order], order))


# -- the three products --------------------------------------------------------------------------------

def sdd(x, weight, gates, block):
    """h = x Wᵀ at open blocks, 0 elsewhere."""
    return per_unit(gates != 0, block) * (x @ weight.T)


def dsd(h, weight):
    """out = h W, for h (B, H) with zeros at closed blocks and weight (H, C)."""
    return h @ weight


def dw(h, x):
    """dW = hᵀ x, for h (B, H) with zeros at closed blocks."""
    return h.T @ x


# -- the gated layer -----------------------------------------------------------------------------------

def gated_linear(x, weight, bias, gates, block):
    """out[i, u] = gates[i, u // block] · (x[i] · weight[u] + bias[u])."""
    product = sdd(x, weight, gates, block)
    return per_unit(gates, block) * (product if bias is None else product + bias)


def gated_linear_dx(g, weight, gates, block):
    """dx = (gate · g) W."""
    return dsd(per_unit(gates, block) * g, weight)


def gated_linear_dw(g, x, gates, block):
    """dW = (gate · g)ᵀ x."""
    return dw(per_unit(gates, block) * g, x)


def gated_linear_db(g, gates, block):
    """db = the sum over examples of gate · g."""
    return (per_unit(gates, block) * g).sum(axis=0)


def gated_linear_dgates(g, x, weight, bias, block):
    """dgates[i, j] = the sum over block j of g · (x Wᵀ + b), at open and closed gates alike."""
    product = x @ weight.T if bias is None else x @ weight.T + bias
    return (g * product).reshape(len(g), len(weight) // block, block).sum(axis=2)


# -- the layer that consumes gated units ---------------------------------------------------------------

def packed_linear(h, weight, bias):
    """out = h Vᵀ + bias, for h (B, H) with zeros at closed blocks and weight V (C, H)."""
    return dsd(h, weight.T) if bias is None else dsd(h, weight.T) + bias


def packed_linear_dh(g, weight, gates, block):
    """dh = g V at the open blocks."""
    return sdd(g, weight.T, gates, block)


def packed_linear_dw(g, h):
    """dV = gᵀ h."""
    return dw(h, g).T


# -- the optimiser -------------------------------------------------------------------------------------

def adam_step(x, gradient, mean, square, rate, betas, correction, epsilon):
    """m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  x ← x − rate · m / (√v / correction + ε).

    In place, with m = mean and v = square.  ``rate`` and ``correction`` contain the bias correction, which is needed
    because the averages start at 0.
    """
    beta1, beta2 = betas
    mean *= beta1
    mean += (1 - beta1) * gradient
    square *= beta2
    square += (1 - beta2) * gradient**2
    x -= rate * mean / (np.sqrt(square) / correction + epsilon)


def momentum_step(x, gradient, velocity, rate, momentum, nesterov):
    """v ← momentum · v − rate · g,  x ← x + v, or with nesterov  x ← x + momentum · v − rate · g.  In place."""
    velocity *= momentum
    velocity -= rate * gradient
    x += momentum * velocity - rate * gradient if nesterov else velocity


def touched_rows(step, x, gradient, *memory, rows=None):
    """``step(x, gradient, *memory)`` for the rows of x whose gradient is not 0 throughout.  The others do not change.

    With ``rows``, row i of the gradient belongs to row ``rows[i]`` of x and of the memory.
    """
    where = ... if rows is None else rows
    touched = np.not_equal(gradient, 0)
    if x.ndim > 1:
        touched = touched.any(axis=tuple(range(1, x.ndim)), keepdims=True)
    before = [array[where] for array in (x, *memory)]
    after = [array.copy() for array in before]
    step(after[0], gradient, *after[1:])
    for array, old, new in zip((x, *memory), before, after, strict=True):
        array[where] = np.where(touched, new, old)
