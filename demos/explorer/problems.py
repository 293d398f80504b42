"""Small problems.  All bits depend on one number θ, so the gradient is one number."""

from collections.abc import Callable
from typing import NamedTuple

import minigrad as mg


class Problem(NamedTuple):
    """``costs(theta, draw)`` returns the cost of each row of θ, of shape (rows, 1); ``draw(logits)`` returns bits."""

    name: str
    about: str
    costs: Callable


def one_bit(t):
    def costs(theta, draw):
        return ((draw(theta) - t) ** 2).sum(axis=1)
    return Problem(f"One bit: (b − {t})²", f"0 costs {t**2:.4g}, and 1 costs {(1 - t) ** 2:.4g}.", costs)


def curved():
    def costs(theta, draw):
        return mg.cos(3 * draw(theta)).sum(axis=1)
    return Problem("One bit: cos 3b", "0 costs 1, and 1 costs −0.99. But the slope of the cost is 0 at b = 0, and "
                   "small at b = 1.", costs)


def three_bits():
    def costs(theta, draw):
        return ((draw(theta * [1.0, 1.0, 1.0]) - [0.6, 0.51, 0.48]) ** 2).sum(axis=1)
    return Problem("Three bits: Σ (bᵢ − tᵢ)²", "All bits have the logit θ; t = (0.6, 0.51, 0.48), as in Kool et al. "
                   "(2020).", costs)


def products():
    def costs(theta, draw):
        b = draw(theta * [1.0, 1.0, 1.0])
        pairs = b[:, 0] * b[:, 1] - 2 * b[:, 0] * b[:, 2] + 1.5 * b[:, 1] * b[:, 2]
        return mg.exp(0.5 * pairs + 0.3 * b.sum(axis=1))
    return Problem("Three bits with products", "All bits have the logit θ. The cost is "
                   "exp(½b₁b₂ − b₁b₃ + ¾b₂b₃ + 0.3 Σ bᵢ), so the effect of one bit depends on the others.", costs)


def layers():
    def costs(theta, draw):
        first = draw(theta * [1.0, -1.0])
        second = draw(first @ mg.tensor([[2.0, -1.0], [-1.5, 1.0]]) + [-0.5, 0.3])
        return (second @ mg.tensor([1.0, -2.0]) + 0.5 * first[:, 0] - 0.3) ** 2
    return Problem("Two layers of two bits", "Two bits with logits θ and −θ determine the logits of two others. "
                   "The cost is (b₃ − 2b₄ + ½b₁ − 0.3)². All four bits use the rule.", costs)


PROBLEMS = [*map(one_bit, (0.1, 0.3, 0.45, 0.499)), curved(), three_bits(), products(), layers()]
