"""From a gate array to lists of open blocks, in both orders, in one pass."""

import math

import numpy as np

from .backend import host_kernels, kernels_for, loaded, on_device
from .compiler import serving
from .device import work
from .device.arrays import is_array

_INT32_MAX = np.iinfo(np.int32).max
_DTYPES = np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.bool_)


class OpenBlocks:
    """Where a gate array (B, G) is open, as index lists that kernels walk.

    An open (example, block) pair is an entry. Entries are numbered example by example, blocks
    ascending: that number is the entry's *position*, and packed values are stored in this order.

    Attributes
    ----------
    shape : (B, G)
    indptr, indices : int32 (B + 1,), (n_open,)
        CSR: the open blocks of example i are ``indices[indptr[i]:indptr[i + 1]]``.
    block_indptr, examples, positions : int32 (G + 1,), (n_open,), (n_open,)
        CSC: the examples of block j are ``examples[block_indptr[j]:block_indptr[j + 1]]``, and
        ``positions`` holds the position of the same entries.
    binary : bool
        Every open gate is exactly 1, so kernels need not multiply by it.

    For gates on a device these are arrays of the device, of which the first ``n_open`` entries count, and
    `binary` is true only of bool gates and those of `sampled_gates`: see ``cuda.lists.DeviceBlocks``.
    """

    __slots__ = ("_rows", "binary", "block_indptr", "examples", "indices", "indptr", "positions", "shape")

    on_device = False

    def __init__(self, shape, indptr, indices, block_indptr, examples, positions, binary):
        self.shape = shape
        self.indptr = indptr
        self.indices = indices
        self.block_indptr = block_indptr
        self.examples = examples
        self.positions = positions
        self.binary = binary
        self._rows = None

    @property
    def n_open(self):
        """The number of open (example, block) entries."""
        return len(self.indices)

    @property
    def capacity(self):
        """The rows of packed values on these blocks."""
        return len(self.indices)

    @property
    def density(self):
        """The share of open entries, 0 for an empty gate array."""
        return self.n_open / max(1, self.shape[0] * self.shape[1])

    @property
    def nbytes(self):
        """Bytes of the index lists."""
        return 4 * (len(self.indptr) + len(self.block_indptr) + 3 * self.n_open)

    @property
    def rows(self):
        """int32 (n_open,): the example of each position, made on first use."""
        if self._rows is None:
            self._rows = np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))
            work.allocated(self._rows.nbytes)
        return self._rows

    def same_as(self, other):
        """Whether the same blocks are open, in the same order."""
        return self is other or (
            self.shape == other.shape
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
        )

    def __repr__(self):
        return f"OpenBlocks(shape={self.shape}, n_open={self.n_open}, density={self.density:.3g})"


def check_gates(gates):
    """Raise unless `gates` is a float32, float64 or bool array (B, G) that int32 can index."""
    if not is_array(gates):
        raise TypeError(f"gates: expected a NumPy array, got {type(gates).__name__}; use np.asarray(gates)")
    if gates.dtype not in _DTYPES:
        raise TypeError(
            f"gates: expected dtype float32, float64 or bool, got {gates.dtype}; use gates.astype(...)"
        )
    if gates.ndim != 2:
        raise ValueError(
            f"gates: expected shape (examples, blocks), got {gates.shape}; reshape to one row per example"
        )
    if gates.size > _INT32_MAX:
        raise ValueError(
            f"gates: expected at most {_INT32_MAX} gates (positions are int32), got {gates.size}; "
            "split the batch"
        )


def _check_finite(gates):
    if not np.isfinite(gates).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(gates))[0])
        raise ValueError(
            f"gates: expected finite values, got {gates[where]} at {where}; look for an overflow above"
        )


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
        Not two axes, a gate that is not finite, or more gates than int32 can number. On a device the
        gates are looked at there, and the next transfer to the host raises.

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
    if on_device(gates):
        return kernels_for(gates).open_blocks(gates)
    if serving() == "numpy":
        _check_finite(gates)
        blocks = OpenBlocks(gates.shape, *host_kernels().open_lists(gates))
        work.allocated(blocks.nbytes)
        return blocks
    if not (gates.flags.c_contiguous and gates.flags.aligned and gates.flags.writeable):
        gates = gates.copy()
    numbers = gates.view(np.uint8) if gates.dtype == _DTYPES[2] else gates
    counts = np.empty(gates.shape[1], np.int32)
    lists = loaded("cpu.lists")
    n_open, odd = lists.count_open(numbers, counts)
    buffer = room_for_lists(gates.shape, n_open)
    lists.list_open(numbers, counts, n_open, buffer)
    return blocks_of(gates, buffer, n_open, odd)


def room_for_lists(shape, n_open):
    """An array for `lists.list_open` to fill."""
    return np.empty(sum(shape) + 3 * n_open + 3, np.int32)


def blocks_of(gates, buffer, n_open, odd):
    """The OpenBlocks of `gates` from what `lists.count_open` returned and `lists.list_open` wrote for them."""
    if not math.isfinite(odd):
        _check_finite(gates)
    examples, blocks = gates.shape
    first = examples + 1
    second = first + blocks + 1
    lists = OpenBlocks(
        (examples, blocks),
        indptr=buffer[:first],
        block_indptr=buffer[first:second],
        positions=buffer[second:second + n_open],
        examples=buffer[second + n_open:second + 2 * n_open],
        indices=buffer[second + 2 * n_open:second + 3 * n_open],
        binary=odd == 0,
    )
    work.allocated(lists.nbytes)
    return lists
