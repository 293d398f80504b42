"""The exact number of the 2³² words of noise that open a gate, for any function that computes gates."""

import numpy as np

LOGITS = np.array([0.0, 1, 5, 10, 12, 14, 15, 16, 16.5, 17, 17.5, 18])
LOGITS = np.concatenate([-LOGITS[::-1], LOGITS])


def words_that_open(gates_at):
    """For each of ``LOGITS``, the number of words that give a gate of 1.  Bisection finds the first word that gives 0.

    gates_at : function from uint32 words, one for each logit, to gates.
    """
    low, high = np.zeros(len(LOGITS), np.int64), np.full(len(LOGITS), 2**32, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        opens = np.asarray(gates_at(np.minimum(middle, 2**32 - 1).astype(np.uint32))) == 1
        low, high = np.where(opens & (low < high), middle + 1, low), np.where(opens, high, middle)
    return low


def check(gates_at):
    """P(gate = 1) is σ(logit), and P(gate = 0) is σ(−logit), each to 1 %."""
    ones = words_that_open(gates_at)
    probability = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(ones / 2**32, probability, rtol=0.01)
    np.testing.assert_allclose((2**32 - ones) / 2**32, probability[::-1], rtol=0.01)
    np.testing.assert_array_equal(ones, np.round(probability * 2.0**32))
