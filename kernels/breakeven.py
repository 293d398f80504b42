"""Where a dense product by BLAS is faster than skipping closed blocks: one table of densities.

Measured on one core of an AMD EPYC 9004 (AVX-512) with OpenBLAS under NumPy 2.4, float32, as the
density at which Packed.sample(x @ weight.T), Packed.to_dense() @ weight and Packed.to_dense().T @ x
take as long as the kernels sdd, dsd and dw, over 1 to 512 examples of 784x2048 and 1024x4096: the
fastest of several interleaved runs of each. The ratios carry over between machines better than the
times do; where an entry is off by a little, little is lost, since both sides are then about as fast.
"""

from .tile import VECTOR_BYTES

_NEVER = 2.0  # no density is that high

# Density from which BLAS is faster, for blocks of fewer than 4, 8 and 16 units, and for larger ones.
_VECTOR_TILE = {
    "sdd": (0.50, _NEVER, _NEVER, _NEVER),
    "dsd": (0.25, 0.65, 0.80, 0.95),
    "dw": (0.50, _NEVER, _NEVER, _NEVER),
}
_PLAIN_TILE = {
    "sdd": (0.35, 0.60, 0.60, 0.60),
    "dsd": (0.20, 0.30, 0.30, 0.35),
    "dw": (0.20, 0.20, 0.20, 0.20),
}
_TABLE = _VECTOR_TILE if VECTOR_BYTES else _PLAIN_TILE

# Below this many examples BLAS reads every weight for little work; below this many columns it spends
# its time preparing.
_EXAMPLES = {"sdd": 64, "dsd": 1, "dw": 64}
_COLUMNS = 64


def dense_is_faster(product, blocks, block, columns):
    """Whether to compute `product` ("sdd", "dsd" or "dw") densely, with `columns` in the long axis."""
    row = _TABLE[product]
    threshold = row[(block >= 4) + (block >= 8) + (block >= 16)]
    return (
        blocks.density >= threshold
        and blocks.shape[0] >= _EXAMPLES[product]
        and columns >= _COLUMNS
    )
