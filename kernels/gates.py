"""From a gate array to the lists of its open blocks: arguments checked, then the function of the CPU or the device."""

from .backend import kernels_for
from .checks import check_gates


def open_blocks(gates):
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
        Not an array, or another dtype.
    ValueError
        Not two axes, a gate that is not finite, or more gates than int32 can number. Gates on a device are
        looked at there: the next transfer to the host raises if one of them is not finite.

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
