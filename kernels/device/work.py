"""Count the work and the memory of kernels, to show that both are proportional to the density of open gates."""

from __future__ import annotations

import contextlib
import contextvars
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Work:
    """The counts of ``count_work``.

    bytes : bytes that were allocated for results.
    blocks : open blocks (or pairs of them) that kernels computed. If they are on a device, their number is read from
        the device when this attribute is read, which takes transfers.
    transfers : copies between host and device. Each copy waits for the device.
    """

    bytes: int = 0
    transfers: int = 0
    _blocks: int = field(default=0, repr=False)
    _unknown: list = field(default_factory=list, repr=False)

    @property
    def blocks(self):
        while self._unknown:
            self._blocks += self._unknown.pop()()
        return self._blocks


_active = contextvars.ContextVar("counts under way in this thread", default=())

_ALIGN_FROM = 1 << 16  # bytes; for smaller arrays, alignment costs more time than it saves


@contextlib.contextmanager
def count_work() -> Iterator[Work]:
    """Count the bytes allocated, the blocks touched and the transfers made by kernels inside the `with`.

    Only calls from this thread are counted. The work that threads of a kernel do for such a call is included. Counts
    may be nested: the outer one includes everything that the inner one counts.

    >>> import numpy as np
    >>> from minigrad.kernels import count_work, open_blocks
    >>> with count_work() as work:
    ...     blocks = open_blocks(np.eye(3))
    >>> work.bytes == blocks.nbytes
    True
    """
    work = Work()
    before = _active.set((*_active.get(), work))
    try:
        yield work
    finally:
        _active.reset(before)


def touched(blocks):
    """Report blocks touched by a kernel: their number, or a function that returns it later."""
    for work in _active.get():
        if callable(blocks):
            work._unknown.append(blocks)
        else:
            work._blocks += blocks


def transferred():
    """Report a copy between host and device."""
    for work in _active.get():
        work.transfers += 1


def allocated(nbytes):
    """Report bytes allocated for a result."""
    for work in _active.get():
        work.bytes += nbytes


def empty(shape, dtype):
    """np.empty, with its memory counted. Large arrays start at a multiple of 64 bytes: so wide vectors load fastest."""
    size = math.prod(shape) * dtype.itemsize
    allocated(size)
    if size < _ALIGN_FROM:
        return np.empty(shape, dtype)
    return _aligned_empty(shape, dtype)


def _aligned_empty(shape, dtype):
    size = math.prod(shape) * dtype.itemsize
    buffer = np.empty(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start:start + size].view(dtype).reshape(shape)


def aligned(array):
    """The array itself if it is small or starts at a multiple of 64 bytes; otherwise a copy that does."""
    if array.nbytes < _ALIGN_FROM or array.ctypes.data % 64 == 0:
        return array
    return aligned_copy(array)


def aligned_copy(array):
    """A copy in the same memory order. A larger one starts at a multiple of 64 bytes. It is not counted."""
    if array.nbytes < _ALIGN_FROM:
        return array.copy(order="K")
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        return aligned_copy(array.T).T
    copy = _aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def zeros(shape, dtype):
    """np.zeros, counted."""
    array = np.zeros(shape, dtype)
    allocated(array.nbytes)
    return array
