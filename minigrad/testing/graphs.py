"""Properties of a whole graph: whether its rows are independent, and which of its gradients are unbiased."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, random
from minigrad.claims import claims_of
from minigrad.graph import Evaluation
from minigrad.objective import Objective
from minigrad.tensor import Tensor
from minigrad.testing.loss import compute

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array
    from minigrad.claims import Claim
    from minigrad.objective import Term

MOST_ROWS = 16      # the largest number of rows of a node that are tested
TRIALS = 48         # the number of trials for each node, over all its rows


def check_rows(fn: Callable[..., Tensor] | Tensor, *, seed: int = 0) -> None:
    """Raise an error if ``costs[i]`` of an ``expected`` depends on other rows than row i of a binary node.

    For each node and each row, the sample of the row is drawn once, and the samples of all other rows are drawn twice.
    The bits are 0 and 1 with equal probability.  The graph is replayed for both, with the same noise in other nodes.
    The cost of the row must be the same both times.  It differs if the computation mixes rows, as in batch
    normalisation, or if the costs have their axes in another order than the samples.  Then rules that use the cost of
    each row give wrong estimates.  At most 16 rows of each node are tested, evenly distributed, in 48 trials.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, which draws from the Generator ``rng``, or ``fn()``, which
        draws from the default generator.  Or the loss, a Tensor.
    seed : seed of the draws.

    Raises
    ------
    AssertionError
        A cost changes with the sample of another row.  The message names the node, the row and both costs.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0], [1.0], [2.0]], requires_grad=True)
    >>> def fn(rng):
    ...     bits = mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng)
    ...     return mg.expected((bits - bits.mean(axis=0)).sum(axis=1) ** 2)
    >>> mg.testing.check_rows(fn)
    Traceback (most recent call last):
    AssertionError: rows are not independent: costs[0] of an expected() went from 0.4444 to 0.1111 when \
the other rows of node 'bernoulli' were drawn again. Leave that term outside expected, or compute each row by itself
    """
    fault = broken_rows(*objective_of(fn, seed), seed)
    if fault:
        raise AssertionError(fault)


def broken_rows(evaluation: Evaluation, objective: Objective, seed: int = 0) -> str | None:
    """A message that says which rows are not independent.  None if all are."""
    rng = random.Generator(seed).fork(3)
    for node in objective.binary:
        for term in objective.below(node):
            if term.inside:
                fault = broken_rows_of(evaluation, node, term, rng)
                if fault:
                    return fault
    return None


def broken_rows_of(evaluation: Evaluation, node: Any, term: Term, rng: random.Generator) -> str | None:
    """The same for one node and one term of the loss."""
    shared = term.prefix(node.shape[:node.ndim - node.primitive.event_ndim])
    rows = prod(shared)
    values = evaluation.value(node).reshape(rows, -1)
    if rows < 2:
        return None
    tested = np.unique(np.linspace(0, rows - 1, min(rows, MOST_ROWS)).astype(int))
    for row in np.tile(tested, max(1, TRIALS // len(tested))):
        costs = []
        own = random_bits(rng, values[row])
        for _ in range(2):
            value = random_bits(rng, values)
            value[row] = own
            replayed = evaluation.replay({node: value.reshape(node.shape)}, [term.costs])
            costs.append(replayed.value(term.costs).reshape(rows, -1)[row])
        before, after = costs
        changed = np.abs(after - before) > 1e-6 * (np.abs(before) + np.abs(after))
        if changed.any():
            column = int(np.argmax(changed))
            index = ", ".join(map(str, map(int, np.unravel_index(row, shared))))
            return (f"rows are not independent: costs[{index}] of an expected() went from {before[column]:.4g} to "
                    f"{after[column]:.4g} when the other rows of node {node.primitive.name!r} were drawn again. Leave "
                    "that term outside expected, or compute each row by itself")
    return None


def random_bits(rng: random.Generator, values: Array) -> Array:
    """Bits in the shape and dtype of ``values``, 0 and 1 with equal probability."""
    return (rng.uniform(values.shape, event_ndim=0) < 0.5).astype(values.dtype)


def unbiased_nodes(fn: Callable[..., Tensor] | Tensor, *, seed: int = 0) -> list[Claim]:
    """Which binary nodes of a graph have unbiased gradients, according to the claims of their rules.

    Nodes whose logits need no gradient, such as the masks of dropout, are left out.  The claim of a rule is about the
    gradient of its own logits.  If the rule uses gradients (``needs_unbiased_below``), these come from the rules of the
    nodes below.  If one of them is biased, the result is biased too.  For example, REBAR is unbiased above REINFORCE,
    and biased above straight-through.

    Parameters
    ----------
    fn, seed : as for ``check_rows``.

    Returns
    -------
    list of Claim, with the fields node, unbiased and why, in order of creation.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[0.0]], requires_grad=True)
    >>> def fn(rng):
    ...     above = mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng, name="above")
    ...     below = mg.bernoulli(above - 1, mg.estimators.StraightThrough(), rng=rng, name="below")
    ...     return mg.expected(below.sum(axis=1))
    >>> for claim in mg.testing.unbiased_nodes(fn):
    ...     print(claim.node.primitive.name, claim.unbiased, claim.why)
    above True Reinforce(baseline=Constant(number=0.0)) is unbiased and asks for no gradient
    below False StraightThrough() is biased
    """
    return list(claims_of(objective_of(fn, seed)[1]).values())


def objective_of(fn: Callable[..., Tensor] | Tensor, seed: int) -> tuple[Evaluation, Objective]:
    """The evaluation of a recorded loss, and the loss as a sum of terms."""
    loss = fn if isinstance(fn, Tensor) else compute(fn, random.Generator(seed))
    devices.check_cpu("check_rows", loss)
    evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
    return evaluation, Objective(evaluation)
