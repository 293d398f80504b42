"""What holds for a whole graph: the promise of ``expected``, and which gradients are unbiased in it."""

from math import prod

import numpy as np

from minigrad import devices, random
from minigrad.claims import claims_of
from minigrad.graph import Evaluation
from minigrad.objective import Objective
from minigrad.tensor import Tensor
from minigrad.testing.loss import compute

MOST_ROWS = 16      # tried of each node
TRIALS = 48         # of all rows of a node together, at least


def check_rows(fn, *, seed=0):
    """Raise unless ``costs[i]`` depends on row i of every node alone, as ``expected`` promises.

    For each node and each row, the sample of the row is drawn once and those of all other rows twice, 0 and 1 with
    equal probability, and the graph is replayed with the same noise below.  The cost of the row must be the same both
    times.  It is not where rows are mixed up, as by batch normalisation, or where samples have their axes in another
    order than costs.  Rules that take the cost of a row for the effect of its own sample are wrong then.  At most 16
    rows of each node are tried, spread evenly, 48 times in all.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, drawing from the Generator it gets, or
        ``fn()``, drawing from the default one; or the loss itself.
    seed : of the draws.

    Raises
    ------
    AssertionError
        A cost changed with another row's sample; node, row and both costs are named.

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


def broken_rows(evaluation, objective, seed=0):
    """What breaks the promise of ``expected``, in words; None if nothing does."""
    rng = random.Generator(seed).fork(3)
    for node in objective.binary:
        for term in objective.below(node):
            if term.inside:
                fault = broken_rows_of(evaluation, node, term, rng)
                if fault:
                    return fault
    return None


def broken_rows_of(evaluation, node, term, rng):
    """The same for one node and one term."""
    shared = term.prefix(node.shape[:node.ndim - node.primitive.event_ndim])
    rows = prod(shared)
    values = evaluation.value(node).reshape(rows, -1)
    if rows < 2:
        return None
    tried = np.unique(np.linspace(0, rows - 1, min(rows, MOST_ROWS)).astype(int))
    for row in np.tile(tried, max(1, TRIALS // len(tried))):
        costs = []
        own = drawn(rng, values[row])
        for _ in range(2):
            value = drawn(rng, values)
            value[row] = own
            again = evaluation.replay({node: value.reshape(node.shape)}, [term.costs])
            costs.append(again.value(term.costs).reshape(rows, -1)[row])
        before, after = costs
        changed = np.abs(after - before) > 1e-6 * (np.abs(before) + np.abs(after))
        if changed.any():
            column = int(np.argmax(changed))
            index = ", ".join(map(str, map(int, np.unravel_index(row, shared))))
            return (f"rows are not independent: costs[{index}] of an expected() went from {before[column]:.4g} to "
                    f"{after[column]:.4g} when the other rows of node {node.primitive.name!r} were drawn again. Leave "
                    "that term outside expected, or compute each row by itself")
    return None


def drawn(rng, values):
    """Bits like ``values``, 0 and 1 with equal probability."""
    return (rng.uniform(values.shape, event_ndim=0) < 0.5).astype(values.dtype)


def unbiased_nodes(fn, *, seed=0):
    """Which binary nodes of a graph have unbiased gradients, worked out from what their rules claim.

    Nodes whose logits need no gradient, such as the masks of dropout, are left out.  A rule's claim is about its own
    logits.  If it rests on gradients (``needs_unbiased_below``), these
    come through the rules of the nodes below, and are no better than those: REBAR is unbiased above
    REINFORCE, and biased above straight-through.

    Parameters
    ----------
    fn : as for ``check_rows``.

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


def objective_of(fn, seed):
    """The evaluation that recording made, and its loss taken apart into terms."""
    loss = fn if isinstance(fn, Tensor) else compute(fn, random.Generator(seed))
    devices.check_cpu("check_rows", loss)
    evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
    return evaluation, Objective(evaluation)
