"""Estimators written elsewhere, in NumPy, PyTorch or JAX, as rules that can be checked here."""

from functools import partial

import numpy as np

from minigrad.rule import Estimator


class FunctionRule(Estimator):
    """A rule that leaves the estimate to a function; see ``from_function``."""

    needs = frozenset({"cost_at"})
    seeded = False          # whether the function asked for ``rng.seed``

    def __init__(self, estimate, array, unbiased):
        self.estimate, self.array, self.unbiased = estimate, array, unbiased

    @property
    def name(self):
        """The function's own name, which test ids and reports show."""
        function = self.estimate
        while isinstance(function, partial):
            function = function.func
        return getattr(function, "__name__", type(function).__name__)

    def backward(self, node):
        def cost(value):
            return self.array(node.cost_at(np.asarray(value, float))[:, 0])

        return np.asarray(self.estimate(self.array(node.logits), cost, Draws(self, node.rng)), float)

    def __repr__(self):
        return f"from_function({self.name})"


class Draws:
    """Draws of a Generator as arrays of the framework of a rule."""

    def __init__(self, rule, rng):
        self.rule, self.rng = rule, rng

    def uniform(self, shape):
        u = self.rng.uniform(tuple(shape))
        return u if self.rule.array is np.asarray else self.rule.array(u)

    def normal(self, shape):
        return self.rule.array(self.rng.normal(tuple(shape)))

    def integers(self, high, shape):
        return self.rule.array(self.rng.integers(high, tuple(shape)))

    @property
    def seed(self):
        self.rule.seeded = True
        return self.rng.seed


def from_function(estimate, *, array=np.asarray, unbiased=True):
    """A rule made of a function, to be checked like any other.

    Parameters
    ----------
    estimate : function (logits, cost, rng) -> array of (rows, units), the estimated gradient of each
        row's cost with respect to its logits, of shape (rows, units) too.  ``cost(bits)`` is the cost
        of each row, of shape (rows,), at any bits of shape (rows, units); it may be called often.
        ``rng`` draws noise that depends on the row alone, however the batch is split:
        ``rng.uniform((rows, units))``, ``rng.normal(shape)`` and ``rng.integers(high, shape)``.
        ``rng.seed`` is an integer from which a generator of the framework may be started instead; the
        estimate then depends on how a batch is split, and the check of that fails.
    array : makes the framework's arrays from NumPy's: ``torch.from_numpy``, ``jax.numpy.asarray``.  The
        logits, the costs and all draws go through it; logits and uniforms are float64.
        What comes back only has to be acceptable to ``np.asarray``: detached, and on the CPU.
    unbiased : what the function claims.

    Returns
    -------
    Estimator, with the name of the function in test ids and reports.

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
    for name, given in (("a function (logits, cost, rng) as estimate", estimate),
                        ("a function from NumPy's arrays as array", array)):
        if not callable(given):
            raise TypeError(f"from_function: expected {name}, got {given!r}")
    return FunctionRule(estimate, array, unbiased)
