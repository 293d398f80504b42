"""Making the lists of open blocks of a gate array: a check of the gates, and the choice of CPU or GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backend import kernels_for
from .checks import check_gates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .blocks import OpenBlocks


def open_blocks(gates: NDArray) -> OpenBlocks:
    """List the open blocks of `gates`, the entries that are not 0.

    Parameters
    ----------
    gates : array (B, G), float32, float64 or bool
        Binary (0 or 1) or real, any strides.

    Returns
    -------
    OpenBlocks

    Raises
    ------
    TypeError
        `gates` is not an array, or has another dtype.
    ValueError
        `gates` does not have two axes, has more entries than int32 can count, or is not finite. Gates on a GPU are
        checked there. The error is then raised at the next transfer to the CPU.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels import open_blocks
    >>> blocks = open_blocks(np.array([[1., 0., 1.], [0., 0., 1.]]))
    >>> blocks.indptr.tolist(), blocks.indices.tolist()
    ([0, 2, 3], [0, 2, 2])
    >>> blocks.block_indptr.tolist(), blocks.examples.tolist(), blocks.positions.tolist()
    ([0, 1, 1, 3], [0, 0, 1], [0, 1, 2])
    """
    check_gates(gates)
    return kernels_for(gates).open_blocks(gates)
