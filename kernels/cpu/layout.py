"""The positions of the lists of open blocks in their buffer.

The lists that are always needed are parts of one array of int32. So compiled code takes one argument, and does not
allocate memory. For B examples, G blocks and n open entries, the parts are in this order:

    indptr (B + 1), block_indptr (G + 1), indices (n + 1)

``blocks.OpenBlocks`` describes the lists. `indices` has one unused entry at its end, because `lists.list_open` may
write one entry too many. (``cuda.layout`` is the same for a GPU, where there are more lists.)
"""

import numpy as np

from .jit import kernel


def buffer(shape, n_open):
    """An uninitialised array for the lists of gates of this shape (B, G), with room for `n_open` entries."""
    return np.empty(sum(shape) + n_open + 3, np.int32)


def sections(buffer, shape, n_open):
    """(indptr, block_indptr, indices): the lists of `n_open` entries, as views of the buffer."""
    first = shape[0] + 1
    second = first + shape[1] + 1
    return buffer[:first], buffer[first:second], buffer[second:second + n_open + 1]


#: `sections` for compiled code.
compiled_sections = kernel(sections)
