"""The positions of the lists of a gate array in their two buffers. Both the host and kernels use these functions.

The docstring of this package describes the buffers. Inside a kernel these functions take no time. The host calls their
`.py_func`, which returns views of the device's arrays. (`cpu.layout` is the same for the CPU.)
"""

import numpy as np

from .jit import device

WORD = 32  # bits


def words(count):
    """The number of words that hold `count` bits."""
    return -(-count // WORD)


def lengths(examples, blocks):
    """The lengths of (lists, masks) for gates (examples, blocks)."""
    masks = words(blocks) * examples + words(examples) * blocks
    return examples + 1 + blocks + 1 + 4 * examples * blocks + masks, masks


@device
def heads(lists, examples, blocks):
    """(indptr, block_indptr): where an example's or a block's entries begin."""
    middle = examples + 1
    return lists[:middle], lists[middle:middle + blocks + 1]


@device
def by_example(lists, examples, blocks):
    """(indices, rows): block and example of each position."""
    start, size = examples + blocks + 2, examples * blocks
    return lists[start:start + size], lists[start + size:start + 2 * size]


@device
def by_block(lists, examples, blocks):
    """(examples, positions): the same entries, ordered by block."""
    size = examples * blocks
    start = examples + blocks + 2 + 2 * size
    return lists[start:start + size], lists[start + size:start + 2 * size]


@device
def starts(lists, examples, blocks):
    """(starts, block_starts): where the first entry of each word of `bits` is, in `by_example` and in `by_block`."""
    start = examples + blocks + 2 + 4 * examples * blocks
    middle = start + (blocks + 31) // 32 * examples
    return lists[start:middle], lists[middle:]


@device
def bits(masks, examples, blocks):
    """(masks, block_masks): masks[w · examples + i] has the gates of example i at blocks 32·w and following,
    block_masks[v · blocks + j] those of block j at examples 32·v and following, the lowest bit first."""
    middle = (blocks + 31) // 32 * examples
    return masks[:middle], masks[middle:]


@device
def ones(word):
    """The number of bits of a uint32 that are 1, from sums of neighbours. (For cuda.popc, see the rule in `jit`.)"""
    word = (word & np.uint32(0x55555555)) + ((word >> np.uint32(1)) & np.uint32(0x55555555))
    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
    word = (word & np.uint32(0x0F0F0F0F)) + ((word >> np.uint32(4)) & np.uint32(0x0F0F0F0F))
    word = (word & np.uint32(0x00FF00FF)) + ((word >> np.uint32(8)) & np.uint32(0x00FF00FF))
    return np.int32((word & np.uint32(0xFFFF)) + (word >> np.uint32(16)))


@device
def ones_below(word, bit):
    """The number of bits of a uint32 below bit `bit`, from 0 to 31, that are 1."""
    return ones(word & ((np.uint32(1) << np.uint32(bit)) - np.uint32(1)))


@device
def is_open(masks, examples, i, j):
    """Whether block j of example i is open. `masks` is the first result of `bits`."""
    return (masks[j // 32 * examples + i] >> np.uint32(j % 32)) & np.uint32(1) != 0


@device
def position(starts, masks, examples, i, j):
    """The position of the open block j of example i."""
    word = j // 32 * examples + i
    return starts[word] + ones_below(masks[word], j % 32)


@device
def across(columns, lane):
    """A word from bit `lane` of each of 32 words. It turns words of columns into the word of a row, or the reverse."""
    word = np.uint32(0)
    for bit in range(32):
        word |= ((columns[bit] >> np.uint32(lane)) & np.uint32(1)) << np.uint32(bit)
    return word
