"""From which density on BLAS is faster than skipping closed blocks: one table.

Measured on one core of an AMD EPYC 9004 (AVX-512) with OpenBLAS under NumPy 2.4, float32, over 1 to
512 examples of 784x2048 and 1024x4096, as the fastest of several interleaved runs of each:

- sdd, dsd, dw: the density at which BLAS takes as long as the kernel of that name, packing included; by
  units per block.
- both: the density of a packed x at which the kernels for a layer gated on both sides take as long
  as unpacking x and using the kernels for a dense x; by inputs per block.

One case is not covered: one example at a density near 1 takes up to a quarter longer than BLAS.

Ratios differ less between machines than times do. Where an entry is slightly wrong, little is lost,
because both ways are then about as fast.
"""

from .vectors import VECTOR_BYTES

_NEVER = 2.0  # no density is that high

# Density from which the dense product is faster, for blocks below 4, 8 and 16 wide, and for wider ones.
_VECTOR_TILE = {
    "sdd": (0.50, _NEVER, _NEVER, _NEVER),
    "dsd": (0.25, 0.65, 0.80, 0.95),
    "dw": (0.50, _NEVER, _NEVER, _NEVER),
    "both": (0.02, 0.05, 0.10, 0.30),
}
_PLAIN_TILE = {
    "sdd": (0.35, 0.60, 0.60, 0.60),
    "dsd": (0.20, 0.30, 0.30, 0.35),
    "dw": (0.20, 0.20, 0.20, 0.20),
    "both": (0.05, 0.10, 0.15, 0.30),
}
_TABLE = _VECTOR_TILE if VECTOR_BYTES else _PLAIN_TILE

# With fewer examples BLAS reads every weight for little work. With fewer columns it spends most of its time
# on preparations.
_EXAMPLES = {"sdd": 64, "dsd": 1, "dw": 64, "both": 1}
_COLUMNS = 64


def dense_is_faster(product, blocks, block, columns):
    """Whether to compute `product` (a row of the table) densely, with `columns` numbers per row."""
    row = _TABLE[product]
    threshold = row[(block >= 4) + (block >= 8) + (block >= 16)]
    return (
        blocks.density >= threshold
        and blocks.shape[0] >= _EXAMPLES[product]
        and columns >= _COLUMNS
    )
