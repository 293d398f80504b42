"""Estimators written elsewhere, in NumPy, PyTorch or JAX, as rules that can be checked here."""

import numpy as np

from minigrad.rule import Estimator


class FunctionRule(Estimator):
    """A rule that leaves the estimate to a function; see ``from_function``."""

    needs = frozenset({"cost_at"})

    def __init__(self, estimate, array, unbiased):
        self.estimate, self.array, self.unbiased = estimate, array, unbiased

    def backward(self, node):
        dtype = node.value.dtype

        def cost(value):
            return self.array(node.cost_at(np.asarray(value, dtype))[:, 0])

        return np.asarray(self.estimate(self.array(node.logits), cost, node.rng), dtype)

    def __repr__(self):
        return f"from_function({getattr(self.estimate, '__name__', self.estimate)})"


def from_function(estimate, *, array=np.asarray, unbiased=True):
    """A rule made of a function, to be checked like any other.

    Parameters
    ----------
    estimate : function (logits, cost, rng) -> array of (rows, units), the estimated gradient of each
        row's cost with respect to its logits, of shape (rows, units) too.  ``cost(bits)`` is the cost
        of each row, of shape (rows,), at any bits of shape (rows, units); it may be called often.
        ``rng`` is a minigrad.Generator: ``rng.uniform((rows, units))`` is noise that depends on the
        row alone, whatever the batch, and ``rng.seed`` an integer to start a framework's own
        generator from, at the price of estimates that depend on how a batch is split.
    array : makes the framework's arrays from NumPy's: ``torch.from_numpy``, ``jax.numpy.asarray``.
        What comes back only has to be acceptable to ``np.asarray``: detached, and on the CPU.
    unbiased : what the function claims.

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
    """
    return FunctionRule(estimate, array, unbiased)
