"""What holds for a whole graph: the promise of ``expected``, and which gradients are unbiased in it."""

from math import prod
from typing import NamedTuple

import numpy as np

from minigrad import devices, random
from minigrad.graph import Evaluation
from minigrad.objective import Objective
from minigrad.tensor import Tensor
from minigrad.testing.loss import compute

MOST_ROWS = 16      # flipped of each node: the first ones


def check_rows(fn, *, seed=0):
    """Raise unless ``costs[i]`` depends on row i of every node alone, as ``expected`` promises.

    One row of one node at a time is flipped, every 0 a 1 and every 1 a 0, and the graph replayed with
    the same noise below; no cost of another row may change.  Rules that blame each row for its own
    cost are wrong where one does, as under batch normalisation.  The first 16 rows are tried.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, drawing from the Generator it gets, or
        ``fn()``, drawing from the default one; or the loss itself.
    seed : of the state from which rows are flipped.

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
    AssertionError: rows are not independent: costs[1] of an expected() went from 0 to 0.1111 when \
row 0 of node 'bernoulli' was flipped. Leave that term outside expected, or compute each row by itself
    """
    evaluation, objective = objective_of(fn, seed)
    for node in objective.nodes:
        if node.primitive.stochastic:
            for term in objective.below(node):
                if term.inside:
                    check_node(evaluation, node, term)


def check_node(evaluation, node, term):
    """Flip rows of one node, and watch the costs of one term."""
    axes = node.shape[:node.ndim - node.primitive.event_ndim]
    shared = term.prefix(axes)
    rows = prod(shared)
    before = evaluation.value(term.costs).reshape(rows, -1)
    for row in range(min(rows, MOST_ROWS)):
        value = evaluation.value(node).reshape(rows, -1).copy()
        value[row] = 1 - value[row]
        after = evaluation.replay({node: value.reshape(node.shape)}, [term.costs]).value(term.costs)
        after = after.reshape(rows, -1)
        changed = np.abs(after - before) > 1e-6 * (np.abs(before) + np.abs(after))
        changed[row] = False
        if changed.any():
            other, column = np.argwhere(changed)[0]
            index = ", ".join(map(str, np.unravel_index(other, shared)))
            flipped = ", ".join(map(str, np.unravel_index(row, shared)))
            raise AssertionError(
                f"rows are not independent: costs[{index}] of an expected() went from {before[other, column]:.4g} "
                f"to {after[other, column]:.4g} when row {flipped} of node {node.primitive.name!r} was flipped. "
                "Leave that term outside expected, or compute each row by itself")


class Claim(NamedTuple):
    """Whether the gradient of a node's logits is unbiased, and if not, why."""

    node: Tensor
    unbiased: bool
    why: str


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
    _, objective = objective_of(fn, seed)
    claims = {}
    for node in reversed([node for node in objective.nodes if node.primitive.stochastic and node.requires_grad]):
        claims[node] = claim(node, [claims[x] for x in objective.next_below(node)])
    return list(reversed(claims.values()))


def claim(node, below):
    """The claim of a node, given those of the nodes that its gradient comes through first."""
    rule = node.primitive.rule
    spoilt = [c.node.primitive for c in below if not c.unbiased]
    if not rule.unbiased:
        return Claim(node, False, f"{rule!r} is biased")
    if not {"grad", "cost_and_grad_at"} & set(rule.needs):
        return Claim(node, True, f"{rule!r} is unbiased and asks for no gradient")
    if not rule.needs_unbiased_below:
        return Claim(node, True, f"{rule!r} is unbiased whatever gradient it gets")
    if spoilt:
        return Claim(node, False, f"{rule!r} needs unbiased gradients, and those through {spoilt[0].name!r} are not")
    return Claim(node, True, f"{rule!r} is unbiased, and so are the gradients it gets")


def objective_of(fn, seed):
    """The evaluation that recording made, and its loss taken apart into terms."""
    loss = fn if isinstance(fn, Tensor) else compute(fn, random.Generator(seed))
    devices.check_cpu("check_rows", loss)
    evaluation = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
    return evaluation, Objective(evaluation)
