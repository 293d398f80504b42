"""Lists of the open blocks of a gated layer, ordered by example and ordered by block.

Kernels loop over these lists instead of the gates, so they never read a closed block. The lists also say where the
values of each open block are stored. So they are sufficient to pack a dense array and to unpack it.
"""

import numpy as np

from .device import work


class OpenBlocks:
    """The open blocks of a gate array (B, G), as index lists.

    A pair (example, block) whose gate is open is an entry. Entries are numbered by example, and then by block. This
    number is the *position* of the entry. Packed values are stored in this order.

    Attributes
    ----------
    shape : (B, G)
    indptr, indices : int32 (B + 1,), (n_open,)
        CSR: the open blocks of example i are ``indices[indptr[i]:indptr[i + 1]]``.
    block_indptr, examples, positions : int32 (G + 1,), (n_open,), (n_open,)
        CSC: the examples of block j are ``examples[block_indptr[j]:block_indptr[j + 1]]``, and
        ``positions`` has the positions of the same entries.
    binary : bool
        Whether every open gate is exactly 1. Then kernels need not multiply by it.

    For gates on a GPU these are arrays on the GPU, and only their first ``n_open`` entries are used. There `binary` is
    true for bool gates only: see ``cuda.blocks.DeviceBlocks``.

    >>> import numpy as np
    >>> from minigrad.kernels import open_blocks
    >>> blocks = open_blocks(np.array([[True, False], [False, True]]))
    >>> values = blocks.gather(np.array([[1., 2., 0., 0.], [0., 0., 3., 4.]]), block=2)
    >>> values
    array([[1., 2.],
           [3., 4.]])
    >>> blocks.scatter(values)
    array([[1., 2., 0., 0.],
           [0., 0., 3., 4.]])
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
        """The number of rows of packed values on these blocks."""
        return len(self.indices)

    @property
    def density(self):
        """The fraction of gates that are open; 0 for an empty gate array."""
        return self.n_open / max(1, self.shape[0] * self.shape[1])

    @property
    def all_open(self):
        """Whether no block is closed."""
        return self.n_open == self.shape[0] * self.shape[1]

    @property
    def nbytes(self):
        """The size of the index lists in bytes, of those that were made so far."""
        return 4 * (len(self.indptr) + len(self.block_indptr) + 3 * self.n_open)

    @property
    def rows(self):
        """int32 (n_open,): the example of each position, computed on first use."""
        if self._rows is None:
            self._rows = np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))
            work.allocated(self._rows.nbytes)
        return self._rows

    def empty(self, block, dtype):
        """An uninitialised array (capacity, block) for packed values on these blocks."""
        return work.empty((self.capacity, block), dtype)

    def gather(self, dense, block):
        """The open blocks of a dense array (B, G·block), any strides: a new array (capacity, block)."""
        examples, count = self.shape
        values = dense.reshape(examples, count, block)[self.rows, self.indices]
        work.allocated(values.nbytes)
        self.touch()
        return values

    def scatter(self, values):
        """A dense array (B, G·block) with packed values (capacity, block) at open blocks and zeros elsewhere."""
        examples, count = self.shape
        dense = work.zeros((examples, count, values.shape[1]), values.dtype)
        dense[self.rows, self.indices] = values
        return dense.reshape(examples, count * values.shape[1])

    def of_some_example(self):
        """(OpenBlocks of the blocks that are open in some example, the numbers of these blocks)."""
        numbers = np.flatnonzero(np.diff(self.block_indptr))
        if len(numbers) == self.shape[1]:
            return self, numbers
        new = np.empty(self.shape[1], np.int32)
        new[numbers] = np.arange(len(numbers), dtype=np.int32)
        block_indptr = np.append(self.block_indptr[numbers], self.block_indptr[-1:])
        return self._renumbered((self.shape[0], len(numbers)), new[self.indices], block_indptr), numbers

    def _renumbered(self, shape, indices, block_indptr):
        """The same entries, of blocks with other numbers in the same order."""
        return OpenBlocks(shape, self.indptr, indices, block_indptr, self.examples, self.positions, self.binary)

    def touch(self):
        """Count these blocks as touched by a kernel (``device.work``)."""
        work.touched(self.n_open)

    def same_as(self, other):
        """Whether the same blocks are open, in the same order."""
        return self is other or (
            self.shape == other.shape
            and np.array_equal(self.indptr, other.indptr)
            and np.array_equal(self.indices, other.indices)
        )

    def __repr__(self):
        return f"OpenBlocks(shape={self.shape}, n_open={self.n_open}, density={self.density:.3g})"
