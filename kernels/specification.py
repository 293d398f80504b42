"""The specification: every kernel in plain NumPy on dense arrays and masks.

Shapes: x (B, D), weight (H, D) with H = G·k units in G blocks of k, gates (B, G), bias (H,).
Nothing is skipped here; a closed block is computed and multiplied by 0.
"""

import numpy as np


def spread(gates, block):
    """Gates (B, G) repeated over the units of their block: (B, G·block)."""
    return np.repeat(gates, block, axis=1)


def open_blocks(gates):
    """(indptr, indices, block_indptr, examples, positions) of the open blocks, as int32.

    CSR: the open blocks of example i are indices[indptr[i]:indptr[i + 1]], ascending; the place of
    an entry in `indices` is its position. CSC: the examples of block j are
    examples[block_indptr[j]:block_indptr[j + 1]], ascending, and `positions` gives their positions.
    """
    gates = np.asarray(gates)
    rows, indices = np.nonzero(gates)
    order = np.lexsort((rows, indices))
    indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(gates, axis=1))])
    block_indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(gates, axis=0))])
    return tuple(a.astype(np.int32) for a in (indptr, indices, block_indptr, rows[order], order))


def gated_linear(x, weight, bias, gates, block):
    """out[i, u] = gates[i, u // block] · (x[i] · weight[u] + bias[u])."""
    product = x @ weight.T if bias is None else x @ weight.T + bias
    return spread(gates, block) * product


def gated_linear_dx(g, weight, gates, block):
    """dx = (gate · g) W."""
    return (spread(gates, block) * g) @ weight


def gated_linear_dw(g, x, gates, block):
    """dW = (gate · g)ᵀ x."""
    return (spread(gates, block) * g).T @ x


def gated_linear_db(g, gates, block):
    """db = the sum over examples of gate · g."""
    return (spread(gates, block) * g).sum(axis=0)


def gated_linear_dgates(g, x, weight, bias, block):
    """dgates[i, j] = the sum over block j of g · (x Wᵀ + b), at open and closed gates alike."""
    product = x @ weight.T if bias is None else x @ weight.T + bias
    return (g * product).reshape(len(g), len(weight) // block, block).sum(axis=2)


def packed_linear(h, weight, bias):
    """out = h Vᵀ + bias, for h (B, H) with zeros at closed blocks and weight V (C, H)."""
    return h @ weight.T if bias is None else h @ weight.T + bias


def packed_linear_dh(g, weight, gates, block):
    """dh = g V, sampled at the open blocks."""
    return (spread(gates, block) != 0) * (g @ weight)


def packed_linear_dw(g, h):
    """dV = gᵀ h."""
    return g.T @ h


def adam(x, gradient, mean, square, rate, betas, correction, epsilon):
    """m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  x ← x − rate · m / (√v / correction + ε).

    For m = mean and v = square, in place.  ``rate`` and ``correction`` make up for the zeros that the averages
    start from.
    """
    beta1, beta2 = betas
    mean *= beta1
    mean += (1 - beta1) * gradient
    square *= beta2
    square += (1 - beta2) * gradient**2
    x -= rate * mean / (np.sqrt(square) / correction + epsilon)
