"""Random bits against published vectors, and the comparison that makes gates of them."""

import numpy as np
import pytest

from minigrad.kernels import bernoulli_gates, philox, philox_uniforms
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numpy_and_compiled_uniforms_are_the_same_bits(dtype):
    for shape in [(0, 3), (3, 0), (5, 1), (7, 13), (70, 64)]:
        arguments = 2**64 - 3, 2**32 - 1, 2**31, 2**32 - 70
        compiled, numpy = np.empty(shape, dtype), np.empty(shape, dtype)
        philox_cpu.uniforms(np.uint64(arguments[0]), *arguments[1:], compiled)
        philox.uniforms(*arguments, numpy)
        np.testing.assert_array_equal(compiled, numpy)
        np.testing.assert_array_equal(compiled, philox_uniforms(*arguments, shape, dtype))


def test_a_split_batch_draws_what_the_whole_would():
    whole = philox_uniforms(9, 1, 2, 0, (10, 6))
    np.testing.assert_array_equal(whole[4:], philox_uniforms(9, 1, 2, 4, (6, 6)))


def test_open_interval_at_the_extreme_words():
    for dtype in (np.float32, np.float64):
        for word in (0, 2**32 - 1):
            value = dtype(philox_cpu.unit_interval(np.uint32(word), dtype == np.float64))
            assert 0 < value < 1
    u = philox_uniforms(3, 0, 0, 0, (1000, 200), np.float32)
    assert u.min() > 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * (1 / 12 / u.size) ** 0.5


@pytest.mark.parametrize(("change", "error"), [
    ({"seed": -1}, ValueError), ({"seed": 2**64}, ValueError), ({"stream": 2**32}, ValueError),
    ({"draw": 1.0}, TypeError), ({"seed": True}, TypeError), ({"shape": (-1, 2)}, ValueError),
    ({"sample_offset": 2**32 - 1}, ValueError), ({"dtype": np.float16}, TypeError),
])
def test_bad_arguments(change, error):
    arguments = {"seed": 0, "stream": 0, "draw": 0, "sample_offset": 0, "shape": (2, 2), "dtype": np.float32}
    with pytest.raises(error):
        philox_uniforms(**{**arguments, **change})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gates_follow_the_sigmoid(dtype):
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(0, 4, 20000), [0, -0.0, 1e-30, 80, -80, 1e30, -1e30]]).astype(dtype)
    u = philox_uniforms(1, 0, 0, 0, (1, len(logits)))[0]
    gates = bernoulli_gates(logits, u)
    assert gates.dtype == dtype
    wide = np.clip(logits.astype(np.float64), -700, 700)
    sigmoid = np.where(wide >= 0, 1 / (1 + np.exp(-np.abs(wide))), np.exp(wide) / (1 + np.exp(wide)))
    clear = np.abs(u - sigmoid) > 1e-14
    assert clear.all()
    np.testing.assert_array_equal(gates, u < sigmoid)
    numpy = np.empty_like(logits)
    philox.bernoulli_gates(logits, u, numpy)
    compiled = np.empty_like(logits)
    philox_cpu.bernoulli_gates(logits, u, compiled)
    np.testing.assert_array_equal(numpy, compiled)


def test_extreme_logits_and_uniforms():
    smallest, largest = 0.5 * 2.0**-32, 1 - 0.5 * 2.0**-32
    logits = np.array([-80.0, 80.0, -1e308, 1e308])
    np.testing.assert_array_equal(bernoulli_gates(logits, np.full(4, smallest)), [0, 1, 0, 1])
    np.testing.assert_array_equal(bernoulli_gates(logits, np.full(4, largest)), [0, 1, 0, 1])


@pytest.mark.parametrize(("logits", "u", "error"), [
    (np.ones(2), np.ones(3), ValueError), (np.array([np.nan]), np.ones(1), ValueError),
    (np.array([np.inf]), np.ones(1), ValueError), (np.ones(1), np.ones(1, np.float32), TypeError),
    (np.ones(1, int), np.ones(1, int), TypeError),
])
def test_bad_logits(logits, u, error):
    with pytest.raises(error):
        bernoulli_gates(logits, u)
