"""Short loops over packed values: bias, gates, and their gradients. `plain` and `tile` both use them."""

from .jit import kernel


@kernel
def add_bias(indices, bias, values):
    """values[position] += bias of its block."""
    block = values.shape[1]
    for p in range(len(indices)):
        first = indices[p] * block
        for c in range(block):
            values[p, c] += bias[first + c]


@kernel
def scale(indptr, indices, gates, values, out):
    """out[position] = gate of the entry · values[position]."""
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            gate = gates[i, indices[p]]
            for c in range(values.shape[1]):
                out[p, c] = gate * values[p, c]


@kernel
def sum_examples(indptr, indices, values, out, rate):
    """out[unit] += rate · the sum over examples of values."""
    block = values.shape[1]
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            first = indices[p] * block
            for c in range(block):
                out[first + c] += rate * values[p, c]


@kernel
def gate_products(indptr, indices, gates, g, values, out):
    """out[example, block] = g · values / gate, summed over the block, at open entries."""
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            total = g.dtype.type(0)
            for c in range(g.shape[1]):
                total += g[p, c] * values[p, c]
            out[i, indices[p]] = total / gates[i, indices[p]]
