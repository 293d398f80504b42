"""Estimators that are written in NumPy, PyTorch or JAX, as rules that can be checked here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.rule import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array, Shape
    from minigrad.random import Generator
    from minigrad.stochastic import BinaryNode


class FunctionRule(Estimator):
    """A rule whose estimate is computed by a function (``from_function``)."""

    needs = frozenset({"cost_at"})
    seeded = False          # whether the function has read ``rng.seed``

    def __init__(self, estimate: Callable[..., Any], array: Callable[[Any], Any], unbiased: bool) -> None:
        self.estimate, self.array, self.unbiased = estimate, array, unbiased

    @property
    def name(self) -> str:
        """The name of the function, for test ids and reports."""
        function: Any = self.estimate
        while isinstance(function, partial):
            function = function.func
        return getattr(function, "__name__", type(function).__name__)

    def backward(self, node: BinaryNode) -> Array:
        def cost(value: Any) -> Any:
            return self.array(node.cost_at(np.asarray(value, float))[:, 0])

        return np.asarray(self.estimate(self.array(node.logits), cost, Draws(self, node.rng)), float)

    def __repr__(self) -> str:
        return f"from_function({self.name})"


class Draws:
    """A Generator whose draws are arrays of the rule's framework."""

    def __init__(self, rule: FunctionRule, rng: Generator) -> None:
        self.rule, self.rng = rule, rng

    def uniform(self, shape: Shape) -> Any:
        u = self.rng.uniform(tuple(shape))
        return u if self.rule.array is np.asarray else self.rule.array(u)

    def normal(self, shape: Shape) -> Any:
        return self.rule.array(self.rng.normal(tuple(shape)))

    def integers(self, high: int, shape: Shape) -> Any:
        return self.rule.array(self.rng.integers(high, tuple(shape)))

    @property
    def seed(self) -> int:
        self.rule.seeded = True
        return self.rng.seed


def from_function(estimate: Callable[[Any, Callable[[Any], Any], Any], Any], *,
                  array: Callable[[Any], Any] = np.asarray, unbiased: bool = True) -> Estimator:
    """A rule whose estimate is computed by a function.  It can be checked like any other rule.

    Parameters
    ----------
    estimate : function (logits, cost, rng) -> array of (rows, units), the estimated gradient of each row's cost with
        respect to its logits.  The logits have the shape (rows, units).  ``cost(bits)`` is the cost of each row, of
        shape (rows,), for any bits of shape (rows, units).  It may be called several times.  ``rng`` draws noise:
        ``rng.uniform((rows, units))``, ``rng.normal(shape)`` and ``rng.integers(high, shape)``.  The noise of a row
        does not change if the batch is split.  ``rng.seed`` is an integer that can seed a generator of the framework.
        With such a generator the estimate depends on how the batch is split, so one of the checks fails.
    array : function that converts a NumPy array to an array of the framework, such as ``torch.from_numpy`` or
        ``jax.numpy.asarray``.  The logits, the costs and all draws are converted.  Logits and uniforms are float64.
        The result of ``estimate`` is converted by ``np.asarray``, so it has to be detached and on the CPU.
    unbiased : whether the function is claimed to be unbiased.

    Returns
    -------
    Estimator.  Test ids and reports show the name of the function.

    Raises
    ------
    TypeError
        ``estimate`` or ``array`` is not a function.

    >>> def reinforce(logits, cost, rng):
    ...     probs = 1 / (1 + np.exp(-logits))
    ...     bits = (rng.uniform(logits.shape) < probs).astype(float)
    ...     return cost(bits)[:, None] * (bits - probs)
    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0, 1.0]], requires_grad=True)
    >>> def fn(rng):
    ...     bits = mg.bernoulli(logits, mg.testing.from_function(reinforce), rng=rng)
    ...     return mg.expected(bits.prod(axis=1))
    >>> mg.testing.assert_unbiased(fn, logits).exact
    True

    An estimator in PyTorch, with all checks for pytest:

    >>> def in_torch(logits, cost, rng):
    ...     probs = logits.sigmoid()
    ...     bits = (rng.uniform(logits.shape) < probs).double()
    ...     return cost(bits)[:, None] * (bits - probs)
    >>> import torch                                                        # doctest: +SKIP
    >>> rule = from_function(in_torch, array=torch.from_numpy)              # doctest: +SKIP
    >>> @mg.testing.parametrize_with_checks([rule])                         # doctest: +SKIP
    ... def test_in_torch(rule, check):
    ...     check(rule)
    """
    for expected, argument in (("a function (logits, cost, rng) as estimate", estimate),
                               ("a function of a NumPy array as array", array)):
        if not callable(argument):
            raise TypeError(f"from_function: expected {expected}, got {argument!r}")
    return FunctionRule(estimate, array, unbiased)
