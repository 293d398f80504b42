"""The density above which BLAS is used."""

import numpy as np

from minigrad import kernels
from minigrad.kernels.cpu.breakeven import dense_is_faster


def blocks_of_density(density, examples=128, count=64):
    return kernels.open_blocks(np.random.default_rng(0).random((examples, count)) < density)


def test_blas_takes_over_where_most_blocks_are_open_and_narrow():
    """A product over few open blocks, or over wide ones, skips; one example is never worth a dense product."""
    assert not dense_is_faster("sdd", blocks_of_density(0.05), 1, 512)
    assert dense_is_faster("sdd", blocks_of_density(0.95), 1, 512)
    assert not dense_is_faster("sdd", blocks_of_density(1, examples=1), 1, 512)
    assert not dense_is_faster("sdd", blocks_of_density(0.95), 1, 8)
    for product in ("sdd", "dsd", "dw", "both"):
        choices = [dense_is_faster(product, blocks_of_density(d), 4, 512) for d in (0.01, 0.1, 0.5, 1)]
        assert choices == sorted(choices), "once dense is faster, it stays so"
