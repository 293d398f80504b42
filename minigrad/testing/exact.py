"""Exact expectations and gradients, by enumerating every state of every binary node.

    E[cost]        = Σ_s P(s) cost(s)
    ∇ E[cost]      = Σ_s P(s) (∇cost(s) + cost(s) ∇log P(s))

where ∇ is the ordinary derivative with the bits fixed at s.  No rule is used, so you can compare rules with these
values.  Rows that ``expected`` declares independent are enumerated separately, and all rows at once: a batch
of four rows with three units each has 8 states, not 4096.  A test first checks that rows are independent
(``graphs.broken_rows``).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops
from minigrad.arguments import described
from minigrad.claims import is_relaxed
from minigrad.graph import Evaluation, ancestors
from minigrad.objective import Objective
from minigrad.tensor import Tensor
from minigrad.testing.graphs import broken_rows
from minigrad.testing.loss import compute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from minigrad.aliases import Array, Shape

MOST_BITS = 20


def exact_expectation(fn: Callable[..., Tensor]) -> float:
    """The exact expected value of the loss that ``fn`` computes, a float.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn()``, or ``fn(rng)``, which gets the default generator.  Recording has
        to be on.  It is called once.  Its graph is then replayed for every joint state of its binary nodes.

    Raises
    ------
    ValueError
        The loss is not a scalar.  Or there are more than 2**20 joint states.  Or rows are not independent, although
        ``expected`` requires it (``check_rows``).  Or a rule relaxes its sample, so that it is not 0 or 1.

    >>> import minigrad as mg
    >>> logits = mg.tensor([0.0, 0.0], requires_grad=True)
    >>> def fn():
    ...     bits = mg.bernoulli(logits, mg.estimators.StraightThrough())
    ...     return mg.expected(bits.prod(keepdims=True))
    >>> mg.testing.exact_expectation(fn)
    0.25
    """
    return Enumeration(compute(fn)).run()[0]


def exact_gradient(fn: Callable[..., Tensor], params: Tensor | Sequence[Tensor]) -> Any:
    """The exact gradient of the expected loss, an array for each tensor in ``params``.

    Parameters
    ----------
    fn : as in ``exact_expectation``.
    params : Tensor or list of Tensors, leaves that ``fn`` uses.

    Raises
    ------
    ValueError
        An error of ``exact_expectation``.  Or the loss does not depend on one of ``params``.

    >>> import minigrad as mg
    >>> logits = mg.tensor([0.0, 0.0], requires_grad=True)
    >>> def fn():
    ...     bits = mg.bernoulli(logits, mg.estimators.StraightThrough())
    ...     return mg.expected(bits.prod(keepdims=True))
    >>> mg.testing.exact_gradient(fn, logits)
    array([0.125, 0.125])
    """
    if isinstance(params, Tensor):
        return exact_gradient(fn, [params])[0]
    if not isinstance(params, (list, tuple)) or not all(isinstance(p, Tensor) for p in params):
        items = params if isinstance(params, (list, tuple)) else [params]
        raise TypeError("exact_gradient: expected params that are Tensors, one or a list of them, got "
                        f"{', '.join(map(described, items))}. Pass the leaves that fn uses")
    return Enumeration(compute(fn)).run(list(params))[1]


def check_used(loss: Tensor, params: Sequence[Tensor], names: Sequence[str] | None = None) -> None:
    """Raise a ValueError for parameters that the loss was not computed from.  Most often they are copies."""
    used = {loss}.union(*({x for _, x, _ in node.parents} for node in ancestors([loss])))
    for i, p in enumerate(params):
        if p not in used:
            name = names[i] if names else f"params[{i}]"
            raise ValueError(f"expected params that the loss is computed from, but it is not computed from {name} of "
                             f"shape {p.shape}. Pass the Tensor that fn uses, not a copy")


class Enumeration:
    """The joint states of the binary nodes of a loss, and the terms of the loss.

    ``relaxed`` allows rules that relax their samples.  Their states are then bits as well.
    """

    def __init__(self, loss: Tensor, relaxed: bool = False) -> None:
        if loss.size != 1:
            raise ValueError(f"exact enumeration: expected a scalar loss, got shape {loss.shape}")
        devices.check_cpu("exact enumeration", loss)
        self.loss = loss
        self.whole = Evaluation([loss], [np.ones(loss.shape, loss.dtype)])
        objective = Objective(self.whole)
        self.nodes, self.terms, self.objective = objective.binary, objective.terms, objective
        for node in self.nodes:
            if is_relaxed(node) and not relaxed:
                raise ValueError(
                    "exact enumeration: expected samples of 0 and 1, got relaxed ones, of "
                    f"{node.primitive.rule!r} at node {node.primitive.name!r}. Use another rule there")
        fault = broken_rows(self.whole, objective)
        if fault:
            raise ValueError(f"exact enumeration: expected the rows of a batch to be independent. {fault}")
        self.joint = any(not term.inside for term in self.terms)
        self.axes = () if self.joint else self.independent_axes()
        self.bits = sum(node.size // prod(self.axes) for node in self.nodes)
        if self.bits > MOST_BITS:
            raise ValueError(
                f"exact enumeration: expected at most 2**{MOST_BITS} joint states, got 2**{self.bits}. Use "
                "fewer units, or give costs per sample to mg.expected, so that rows can be taken separately")
        self.log_probability: Any = sum((self.log_probability_of(node) for node in self.nodes), start=0.0)

    def independent_axes(self) -> Shape:
        """The lengths of the leading axes that all costs and the samples of all nodes have in common."""
        shapes = [term.costs.shape for term in self.terms]
        shapes += [node.shape[:node.ndim - node.primitive.event_ndim] for node in self.nodes]
        shared = 0
        while shapes and all(len(s) > shared and s[shared] == shapes[0][shared] for s in shapes):
            shared += 1
        return shapes[0][:shared] if shapes else ()

    def by_group(self, x: Any, reduce: Callable[..., Any]) -> Any:
        """x in float64, reduced over all axes except the independent ones.  Recorded."""
        x = ops.reshape(ops.astype(x, dtype=np.dtype(float)), shape=(*self.axes, -1))
        return reduce(x, axis=-1)

    def log_probability_of(self, node: Any) -> Any:
        """The log-probability of the bits of a node, for each group of rows.  Recorded."""
        logits = node.parents[0][1]
        return self.by_group(node * ops.log_sigmoid(logits) + (1 - node) * ops.log_sigmoid(-logits), ops.sum)

    def states(self) -> Iterator[dict[Any, Array]]:
        """All joint states.  A state is a dict from node to value, with the same bits in every group of rows."""
        for number in range(2**self.bits):
            bits = number >> np.arange(self.bits) & 1
            state, start = {}, 0
            for node in self.nodes:
                units = node.shape[len(self.axes):]
                pattern = bits[start:start + prod(units)].reshape(units)
                state[node] = np.broadcast_to(pattern.astype(node.dtype), node.shape)
                start += prod(units)
            yield state

    def run(self, params: Sequence[Tensor] = ()) -> tuple[float, list[Array]]:
        """The expected loss, and its gradient with respect to ``params``.  Sets ``scale``, the size of the costs."""
        check_used(self.loss, params)
        self.scale = float(np.abs(self.loss.value).max())
        if not self.nodes:
            return self.finish(self.whole, params, [np.zeros(p.shape, p.dtype) for p in params])
        if self.joint:
            costs, weights = [self.by_group(self.loss, ops.sum)], [1.0]
        else:
            costs = [self.by_group(term.costs, ops.mean) for term in self.terms]
            weights = [term.weight for term in self.terms]
        groups = prod(self.axes)
        outputs = [*costs, self.log_probability]
        expectations = np.zeros(len(costs))
        gradients = [np.zeros(p.shape, p.dtype) for p in params]
        for state in self.states():
            at = Evaluation(outputs).replay(state)
            probability = np.exp(at.value(self.log_probability)) / groups
            values = [at.value(c) for c in costs]
            expectations += [np.sum(probability * v) for v in values]
            self.scale = max(self.scale, *(float(np.max(np.abs(w * v))) for w, v in zip(weights, values, strict=True)))
            at.cotangents = [w * probability for w in weights]
            at.cotangents += [probability * sum(w * v for w, v in zip(weights, values, strict=True))]
            self.accumulate(gradients, at, params)
        if self.joint:
            return float(expectations[0]), gradients
        # The exact values of the terms are now known.  The loss is an ordinary function of them.
        exact = {term.node: np.asarray(e, term.node.dtype)
                 for term, e in zip(self.terms, expectations, strict=True)}
        return self.finish(self.whole.replay(exact), params, gradients)

    def finish(self, evaluation: Evaluation, params: Iterable[Tensor],
               gradients: list[Array]) -> tuple[float, list[Array]]:
        """The loss of an evaluation, and ``gradients`` with its gradient added."""
        self.accumulate(gradients, evaluation, params)
        return float(np.sum(evaluation.value(self.loss))), gradients

    @staticmethod
    def accumulate(gradients: list[Array], evaluation: Evaluation, params: Iterable[Tensor]) -> None:
        """Add the gradient of an evaluation to ``gradients``."""
        for x, g in evaluation.backward(list(params)).items():
            gradients[next(i for i, p in enumerate(params) if p is x)] += ops.dense(g)
