"""OpenBlocks of gates on the device. The number of open blocks is not known on the host."""

import numpy as np

from ..blocks import OpenBlocks
from ..device import arrays, transfer, work
from . import epilogue, layout, lists
from .grid import for_each
from .views import contiguous


class DeviceBlocks(OpenBlocks):
    """OpenBlocks on the device: the same lists, with room for all B·G entries. Only the first n_open entries are used.

    Attributes
    ----------
    lists, masks : the buffers described in `minigrad.kernels.cuda`.
    binary : whether every open gate is known to be 1. (A test of the gates themselves would take a transfer.)

    ``n_open``, ``density``, ``repr``, and ``same_as`` with other lists read from the device, and wait for it.
    """

    __slots__ = ("_n_open", "_tiles", "lists", "masks")

    on_device = True

    def __init__(self, shape, lists, masks, binary):
        self.shape = shape
        self.lists = lists
        self.masks = masks
        self.binary = binary
        self._n_open = None
        self._tiles = {}

    indptr = property(lambda self: layout.heads.py_func(self.lists, *self.shape)[0])
    block_indptr = property(lambda self: layout.heads.py_func(self.lists, *self.shape)[1])
    indices = property(lambda self: layout.by_example.py_func(self.lists, *self.shape)[0])
    rows = property(lambda self: layout.by_example.py_func(self.lists, *self.shape)[1])
    examples = property(lambda self: layout.by_block.py_func(self.lists, *self.shape)[0])
    positions = property(lambda self: layout.by_block.py_func(self.lists, *self.shape)[1])

    @property
    def capacity(self):
        return self.shape[0] * self.shape[1]

    @property
    def n_open(self):
        if self._n_open is None:
            self._n_open = int(transfer.to_host(self.indptr[-1:])[0])
        return self._n_open

    @property
    def nbytes(self):
        return self.lists.nbytes + self.masks.nbytes

    def empty(self, block, dtype):
        """An array (B·G, block) of zeros for packed values. The rows after those of the open blocks stay 0."""
        return zeros((self.capacity, block), dtype)

    def gather(self, dense, block):
        values = self.empty(block, dense.dtype)
        self.touch()
        for_each(epilogue.gather, values.size, self.lists, *self.shape, contiguous(dense), values)
        return values

    def scatter(self, values):
        dense = zeros((self.shape[0], self.shape[1] * values.shape[1]), values.dtype)
        for_each(epilogue.scatter, values.size, self.lists, *self.shape, contiguous(values), dense)
        return dense

    def touch(self):
        """Count these blocks as touched. Their number is read from the device when a program reads the count."""
        work.touched(lambda: self.n_open)

    def same_as(self, other):
        return self is other or (
            isinstance(other, DeviceBlocks)
            and self.shape == other.shape
            and np.array_equal(transfer.to_host(self.masks), transfer.to_host(other.masks))
        )

    def tiles(self, rows):
        """The work list of tiles of `rows` entries: see `minigrad.kernels.cuda`."""
        if rows not in self._tiles:
            self._tiles[rows] = lists.list_of_tiles(self.lists, self.shape, rows)
        return self._tiles[rows]


def zeros(shape, dtype):
    """An array of zeros on the device; its memory is counted."""
    array = arrays.device_library().zeros(shape, dtype)
    work.allocated(array.nbytes)
    return array
