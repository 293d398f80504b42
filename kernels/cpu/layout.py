"""Where the lists of open blocks lie in their buffer.

The lists that are always needed are parts of one array of int32. So compiled code gets one argument, and allocates
nothing. The parts lie in this order, for B examples, G blocks and n open entries:

    indptr (B + 1), block_indptr (G + 1), indices (n + 1)

What they hold is described in ``blocks.OpenBlocks``. The last place of `indices` is spare: `lists.list_open` may write
there. (``cuda.layout`` is the same for a GPU, where there are more lists.)
"""

import numpy as np

from .jit import kernel


def buffer(shape, n_open):
    """An array for the lists of gates of this shape (B, G), with room for `n_open` entries; not initialised."""
    return np.empty(sum(shape) + n_open + 3, np.int32)


def sections(buffer, shape, n_open):
    """(indptr, block_indptr, indices): the lists of `n_open` entries, as views of the buffer."""
    first = shape[0] + 1
    second = first + shape[1] + 1
    return buffer[:first], buffer[first:second], buffer[second:second + n_open + 1]


#: `sections` for compiled code.
compiled_sections = kernel(sections)
