"""Random bits are equal to published test vectors, in NumPy and compiled."""

import numpy as np
import pytest

from minigrad.kernels import philox, philox_uniforms
from minigrad.kernels.cpu import philox as philox_cpu

# Known answers published with Random123 (kat_vectors, philox4x32 10).
KNOWN = [
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    wanted = [int(word, 16) for word in words.split()]
    assert [int(word) for word in philox.philox4x32(counter, key)] == wanted
    scalars = (np.uint32(word) for word in (*counter, *key))
    assert [int(word) for word in philox_cpu.four_words(*scalars)] == wanted


def test_the_counter_is_unit_sample_draw_stream():
    seed, stream, draw, offset = 0x0123456789ABCDEF, 5, 6, 7
    u = philox_uniforms(seed, stream, draw, offset, (3, 9))
    for s in range(3):
        for unit in range(9):
            words = philox.philox4x32((unit // 4, offset + s, draw, stream), (0x89ABCDEF, 0x01234567))
            assert u[s, unit] == (int(words[unit % 4]) + 0.5) / 2**32
