"""OpenBlocks on the CPU: compiled passes list the open blocks, pack a dense array and unpack it."""

import numpy as np

from ..blocks import OpenBlocks
from ..device import work
from . import lists


class HostBlocks(OpenBlocks):
    """OpenBlocks whose lists by block are made when a kernel asks for them.

    Products that BLAS computes need only the lists by example.
    """

    __slots__ = ("_by_block",)

    def __init__(self, shape, indptr, indices, block_indptr, binary):
        self.shape = shape
        self.indptr = indptr
        self.indices = indices
        self.block_indptr = block_indptr
        self.binary = binary
        self._rows = self._by_block = None
        work.allocated(self.nbytes)

    examples = property(lambda self: self._listed_by_block()[0])
    positions = property(lambda self: self._listed_by_block()[1])

    def __reduce__(self):
        """Copies and pickles hold the lists by example."""
        return HostBlocks, (self.shape, self.indptr, self.indices, self.block_indptr, self.binary)

    @property
    def nbytes(self):
        lists_by_block = 0 if self._by_block is None else 2
        return 4 * (len(self.indptr) + len(self.block_indptr) + (1 + lists_by_block) * self.n_open)

    def _listed_by_block(self):
        if self._by_block is None:
            examples, positions = np.empty((2, self.n_open), np.int32)
            lists.list_by_block(self.indptr, self.indices, self.block_indptr, examples, positions)
            work.allocated(examples.nbytes + positions.nbytes)
            self._by_block = examples, positions
        return self._by_block

    def _renumbered(self, shape, indices, block_indptr):
        return HostBlocks(shape, self.indptr, indices, block_indptr, self.binary)

    def gather(self, dense, block):
        if not (dense.flags.c_contiguous and dense.flags.aligned and dense.flags.writeable):
            return super().gather(dense, block)     # such as a row that is broadcast: it is not copied as a whole
        values = self.empty(block, dense.dtype)
        self.touch()
        lists.gather(self.indptr, self.indices, dense, values)
        return values

    def scatter(self, values):
        dense = work.zeros((self.shape[0], self.shape[1] * values.shape[1]), values.dtype)
        lists.scatter(self.indptr, self.indices, np.require(values, requirements="CAW"), dense)
        return dense
