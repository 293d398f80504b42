"""Stochastic binary nodes: drawing them, what a rule may ask about them, and what they cost.

    gate = bernoulli(logits, rule, rng=rng)     b = 1[u < σ(logits)], one uniform u per unit
    loss = expected(costs)                      the mean over samples: costs[i] is about row i alone
    loss.backward()                             asks the rule of each node for ∂E[loss]/∂logits

A sample has no derivative.  Its node therefore carries a *rule* (a gradient estimator), which gets a
``BinaryNode``: the node in one canonical view, (rows, units), with the uniforms behind the sample,
and, if the rule declares that it needs them, the gradient that arrived at the sample, the cost that
it led to, or the cost that other values would have led to.

Everything a rule sees and returns is on the scale of one sample: the cost of a row is the weighted
sum of the terms below the node, before averaging.  The engine divides by the number of samples,
once, here.
"""

import warnings
from copy import copy
from functools import cached_property
from math import prod

import numpy as np

from minigrad import devices, ops, random
from minigrad.kernels import bernoulli_gates
from minigrad.kernels.deferred import require
from minigrad.objective import Objective
from minigrad.ops.alternatives import Flips, stack
from minigrad.ops.primitive import ALL, NOTHING, OPEN
from minigrad.tensor import Tensor, record, tensor


class Estimator:
    """A rule: how ∂E[cost]/∂logits is estimated from what one sample shows.

    A subclass declares what it needs and computes the estimate, an array of (rows, units):

    >>> import minigrad as mg
    >>> class Reinforce(mg.Estimator):
    ...     needs = {"cost"}
    ...     unbiased = True
    ...     def backward(self, node):
    ...         return node.cost * (node.value - node.probs)

    Attributes
    ----------
    needs : subset of {"grad", "cost", "cost_at", "cost_and_grad_at", "inner"}.  Each is computed only
        for the rules that declare it, and asking for another raises.
    unbiased : whether the mean of the estimate is ∂E[cost]/∂logits, given exact rules elsewhere.
    needs_unbiased_below : whether that claim rests on the gradients it asks for, which pass through the
        rules of the nodes below, being unbiased as well.
    needs_closed_gates : whether ``grad`` matters at units whose sample is 0.  Where it does not,
        gated layers below skip computing it there.
    differentiable : whether ``backward`` is written with primitives and may be differentiated again.
    state : what the rule learns (dict of arrays), or None for a rule without memory.
    """

    needs = frozenset()
    unbiased = False
    needs_unbiased_below = True
    needs_closed_gates = True
    differentiable = False
    state = None
    proposed = None

    def sample(self, logits, u):
        """The value of the node: 1[u < σ(logits)], unless a relaxation overrides it."""
        if hasattr(u, "bernoulli_gates"):       # noise that stands for all its values: testing.outcomes
            return u.bernoulli_gates(logits)
        return bernoulli_gates(logits, u)

    def backward(self, node):
        raise TypeError(f"{type(self).__name__}: expected a method backward(self, node) that returns "
                        "an array of (rows, units); a rule must define one")

    def update(self):
        """Commit what the last backward pass proposed to remember.  Optimisers call this once a step."""
        if self.proposed is not None:
            self.state.update(self.proposed)
            self.proposed = None

    def state_dict(self):
        """A copy of the rule's memory; empty for a rule without one."""
        return {name: np.array(devices.put(value, "cpu")) for name, value in (self.state or {}).items()}

    def misfit(self, state):
        """What keeps ``state`` from being this rule's memory, in words; "" where nothing does.

        A rule that has not seen a sample yet, whose memory is empty, takes any.
        """
        if not isinstance(state, dict):
            return f"expected a dict of arrays, got {type(state).__name__}"
        if self.state is None and state:
            return f"expected no state, since it has no memory, got {sorted(state)}"
        if self.state and state.keys() != self.state.keys():
            return f"expected a memory of {sorted(self.state)}, got {sorted(state)}"
        return ""

    def load_state_dict(self, state):
        """Put back what ``state_dict`` gave."""
        if self.misfit(state):
            raise ValueError(f"{type(self).__name__}: {self.misfit(state)}")
        if self.state is not None:
            self.state = {name: np.array(value) for name, value in state.items()}
            self.proposed = None

    def to(self, device):
        """Move the memory to ``device``, where it has to be once samples are there; passes see to that.

        Numbers, such as counts of passes, stay with the host.
        """
        if self.state is not None:
            self.state = {name: placed(value, device) for name, value in self.state.items()}

    def __repr__(self):
        return f"{type(self).__name__}()"


def placed(value, device):
    """An entry of a rule's memory on ``device``, a number of the host as a number."""
    if devices.of(value) == "cpu" and np.ndim(value) == 0:
        return value.item() if hasattr(value, "item") else value
    return devices.put(value, device)


def bernoulli(logits, estimator, *, rng=None, event_ndim=1, name=None, context=None):
    """Binary samples b = 1[u < σ(logits)], with ``estimator`` as their backward rule.

    Parameters
    ----------
    logits : Tensor or array, float32 or float64.  Its last ``event_ndim`` axes are the units of one
        sample; the axes before them are independent samples, the batch first.
    estimator : the rule, an ``Estimator``.  There is no default: no gradient is ever silently zero.
    rng : Generator; by default the one that ``mg.manual_seed`` starts.
    name : for drawings and messages.
    context : Tensor or array whose leading axes are those of the samples: what a learned baseline
        may look at.  No gradient flows into it.

    Returns
    -------
    Tensor of the logits' shape and dtype.  Control flow on its ``.item()`` or ``.numpy()`` is
    invisible to rules that replay the graph with another sample: branch with ``mg.where``.

    Raises
    ------
    TypeError
        No estimator, or logits of another dtype.
    ValueError
        Logits that are not finite, or fewer axes than ``event_ndim``.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[-80.0, 0.0, 80.0]], requires_grad=True)
    >>> gate = mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=mg.Generator(1))
    >>> mg.expected((gate * [1.0, 2.0, 3.0]).sum(axis=1)).backward()
    >>> logits.grad
    array([[1., 2., 3.]])
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(f"bernoulli: expected an estimator, a rule such as mg.estimators.StraightThrough(), "
                        f"got {estimator!r}. It decides what gradient the logits get")
    if not isinstance(logits, Tensor):
        logits = tensor(logits)
    if logits.dtype.kind != "f":
        raise TypeError(f"bernoulli: expected floating logits, got dtype {logits.dtype}. Use .astype(float)")
    require(np.isfinite(logits.value).all(), lambda: ValueError(
        "bernoulli: expected finite logits, got NaN or infinity. Look for an overflow above"))
    rng = random.default if rng is None else rng
    if not isinstance(rng, random.Generator):
        raise TypeError(f"bernoulli: expected a Generator as rng, got {type(rng).__name__}. Use mg.Generator(seed)")
    if not 0 <= event_ndim <= logits.ndim:
        raise ValueError(f"bernoulli: expected event_ndim from 0 to {logits.ndim}, the axes of the logits "
                         f"of shape {logits.shape}, got {event_ndim}")
    samples = logits.shape[:logits.ndim - event_ndim]
    arguments = (logits,)
    if context is not None:
        if not isinstance(context, Tensor):
            context = tensor(context)
        if context.shape[:len(samples)] != samples:
            raise ValueError(f"bernoulli: expected a context whose leading axes are the samples' {samples}, "
                             f"got shape {context.shape}")
        arguments = (logits, context)
    return record(Bernoulli(estimator, rng, logits, event_ndim, name), arguments, {})


class Bernoulli:
    """The primitive of one binary node: it keeps the uniforms, so that a replay draws the same."""

    stochastic = True
    graded = casts = False
    carries = None
    products = ("the rule's estimate", None)        # of the logits and the context

    def __init__(self, rule, rng, logits, event_ndim, name):
        self.rule = rule
        self.name = name or "bernoulli"
        self.event_ndim = event_ndim
        self.rng, self.draw = copy(rng), rng.draws
        self.noise = rng.uniform(logits.shape, logits.dtype, event_ndim, **rng.elsewhere(logits.device))
        self.replays = 0        # made by the last backward pass for this node's rule

    def forward(self, logits, context=None):
        return self.rule.sample(logits, self.noise)

    def demand(self, levels):
        """A rule that does not look at the gradient wants none computed."""
        if "grad" not in self.rule.needs:
            return NOTHING
        return ALL if self.rule.needs_closed_gates else OPEN

    def estimate(self, node, g, evaluation, create_graph):
        """The rule's estimate as a cotangent of the logits."""
        rule = self.rule
        if create_graph and not rule.differentiable:
            raise ValueError(f"{rule!r} at node {self.name!r}: this rule defines no second derivative. "
                             "Use create_graph=False, or a rule with differentiable = True")
        if rule.state is not None and not evaluation.nested:
            owner = evaluation.stateful.setdefault(id(rule), node)
            if owner is not node:
                raise ValueError(f"{rule!r}: one instance serves two nodes of a graph ({self.name!r} and "
                                 f"{owner.primitive.name!r}), whose memories would mix. Make one for each")
        if not evaluation.nested:
            self.warn_of_bias_below(node, evaluation)
        if rule.state and node.device != "cpu":
            rule.to(node.device)
        before = evaluation.replays.made
        view = BinaryNode(node, g, evaluation, create_graph)
        estimate = rule.backward(view)
        if not evaluation.nested:
            self.replays = evaluation.replays.made - before
        if getattr(estimate, "shape", None) != view.shape or estimate.dtype != node.dtype:
            got = getattr(estimate, "shape", type(estimate).__name__)
            raise ValueError(f"{rule!r} at node {self.name!r}: expected an estimate of (rows, units) = "
                             f"{view.shape} and dtype {node.dtype}, got {got} and "
                             f"{getattr(estimate, 'dtype', 'no dtype')}")
        if devices.of(estimate) != node.device:
            raise ValueError(f"{rule!r} at node {self.name!r}: expected an estimate on {node.device!r}, got one on "
                             f"{devices.of(estimate)!r}. Make arrays beside others, as in np.zeros(n, like=node.value)")
        return estimate.reshape(node.shape) / view.samples

    def warn_of_bias_below(self, node, evaluation):
        """Warn where the rule's claim rests on gradients that come through a biased rule."""
        rule = self.rule
        if rule.unbiased and rule.needs_unbiased_below and {"grad", "cost_and_grad_at"} & set(rule.needs):
            for x in Objective.of(evaluation).next_below(node):
                if not x.primitive.rule.unbiased:
                    warnings.warn(f"{rule!r} at node {self.name!r} is unbiased only if the gradients from below are; "
                                  f"{x.primitive.rule!r} at node {x.primitive.name!r} is biased. Use an unbiased rule "
                                  "there, or one here that asks for no gradient", stacklevel=2)


class BinaryNode:
    """What a rule sees of its node: the world of one sample, in rows and units.

    Always there: ``logits``, ``probs``, ``value``, ``noise`` (the uniforms behind the sample), all of
    (rows, units); ``context`` of (rows, features) or None; ``rng``, a fresh Generator, the same in
    every pass over the same sample.  On request, if declared in ``needs``: ``grad``, ``cost``,
    ``cost_at`` and with it ``cost_flipped``, ``cost_and_grad_at``, ``inner``.
    """

    def __init__(self, node, g, evaluation, create_graph=False):
        self._node, self._g, self._evaluation, self._differentiable = node, g, evaluation, create_graph
        primitive = node.primitive
        self._rule = primitive.rule
        lead = node.ndim - primitive.event_ndim
        self._axes = node.shape[:lead]                  # the samples' axes, as the user has them
        self.shape = (prod(self._axes), prod(node.shape[lead:]))
        self.noise = primitive.noise.reshape(self.shape)
        objective = Objective.of(evaluation)
        self._terms = objective.below(node)
        self.samples, self.coupled = objective.layout(self._terms, self._axes, primitive.name)

    def _rows(self, x):
        if self._differentiable:
            return x.reshape(self.shape)
        return self._evaluation.value(x).reshape(self.shape)

    @property
    def logits(self):
        return self._rows(self._node.parents[0][1])

    @property
    def probs(self):
        return ops.sigmoid(self.logits)

    @property
    def value(self):
        return self._rows(self._node)

    @property
    def context(self):
        if len(self._node.parents) < 2:
            return None
        context = self._evaluation.value(self._node.parents[1][1])
        return context.reshape(self.shape[0], prod(context.shape[len(self._axes):]))

    @cached_property
    def rng(self):
        primitive = self._node.primitive
        rng = primitive.rng.fork(random.RULES, primitive.draw, *self._evaluation.path)
        rng.device = self._node.device
        return rng

    @property
    def grad(self):
        """Gradient of each row's cost at the sample, (rows, units), through the rules below."""
        self._declared("grad")
        if self._g is None:
            raise self._no_gradient("grad")
        return self._g.reshape(self.shape) * self.samples

    @property
    def cost(self):
        """The cost that each row led to, (rows, 1)."""
        self._declared("cost")
        return self._cost(self._evaluation)

    def cost_at(self, value, rows="together"):
        """The cost of each row, (rows, 1), had the sample been ``value``, an array of (rows, units).

        K alternatives, (K, rows, units), give costs (K, rows, 1), of as many replays made at once.

        Stochastic nodes below draw again from their own uniforms.  Where a cost depends on several
        rows of this node at once, ``rows="one by one"`` changes one at a time, with a replay each;
        "together" changes all of them.
        """
        self._declared("cost_at")
        value = self._checked(value)
        if rows not in ("together", "one by one"):
            raise ValueError(f"cost_at: expected rows 'together' or 'one by one', got {rows!r}")
        if value.ndim == 3:
            if rows == "together" or not self.coupled:
                return self._costs(value)
            return np.stack([self.cost_at(alternative, rows) for alternative in value])
        if rows == "together" or not self.coupled:
            return self._cost(self._replay(value))
        shape = (self.samples, self.shape[0] // self.samples, self.shape[1])
        costs = np.empty(shape[:2], self._node.dtype, like=self.value)
        for member in range(shape[1]):
            mixed = self.value.reshape(shape).copy()
            mixed[:, member] = value.reshape(shape)[:, member]
            costs[:, member] = self._cost(self._replay(mixed)).reshape(shape[:2])[:, member]
        return costs.reshape(-1, 1)

    def cost_flipped(self, units):
        """The costs, (K, rows, 1), had one bit of each row been the other: in alternative k unit units[k, r].

        ``units`` is (K, rows), or (K, 1) for the same unit in every row.  Where a cost depends on several
        rows, they are flipped one by one.  Cheaper than ``cost_at`` where the samples enter a linear layer.
        """
        self._declared("cost_at")
        value = self.value
        flips = Flips(value, 1 - value[np.arange(self.shape[0], like=value), units], units)
        return self.cost_at(stack(flips), rows="one by one") if self.coupled else self._costs(flips)

    def cost_and_grad_at(self, value):
        """The cost of each row, (rows, 1), and its gradient, (rows, units), at a relaxed ``value``.

        The rules of the nodes below run again there.
        """
        self._declared("cost_and_grad_at")
        evaluation = self._replay(self._checked(value))
        found = evaluation.backward([self._node])
        if self._node not in found:
            raise self._no_gradient("cost_and_grad_at")
        return self._cost(evaluation), found[self._node].reshape(self.shape) * self.samples

    @property
    def inner(self):
        """The log-weights that the costs of rows were made of: a list of (weight, array of (examples, K)).

        One for each term below that is an ``expected(log_weights, over=axis)`` with one log-weight for
        each row of this node; their rows are K to an example, in order.
        """
        self._declared("inner")
        return [(term.scale(self._axes, self.samples),
                 self._evaluation.value(term.log_weights).reshape(prod(term.costs.shape), -1))
                for term in self._terms if term.log_weights is not None and term.log_weights.shape == self._axes]

    def propose(self, **state):
        """Remember ``state`` once the pass is committed by ``rule.update()``; not in nested passes."""
        if not self._evaluation.nested:
            self._rule.proposed = {**(self._rule.proposed or {}), **state}

    def _declared(self, need):
        if need not in self._rule.needs:
            raise ValueError(f"{self._rule!r} asked for {need!r}, which it does not declare: its needs are "
                             f"{sorted(self._rule.needs)}. Add it to needs")
        if self._differentiable and need != "grad":
            raise ValueError(f"{self._rule!r}: {need!r} is not recorded, so the estimate cannot be "
                             "differentiated again. Set differentiable = False")

    def _no_gradient(self, need):
        return ValueError(
            f"{self._rule!r} at node {self._node.primitive.name!r} asked for {need!r}, but the cost depends on "
            "the sample through nothing that has a derivative. Use a rule that works from costs")

    def _checked(self, value):
        if value.shape[-2:] != self.shape or value.ndim > 3 or value.dtype != self._node.dtype:
            raise ValueError(f"{self._rule!r}: expected a value of (rows, units) = {self.shape} and dtype "
                             f"{self._node.dtype}, got {value.shape} and {value.dtype}")
        return value

    def _replay(self, value):
        return self._evaluation.replay({self._node: value.reshape(self._node.shape)})

    def _cost(self, evaluation):
        """The weighted sum of the terms below the node, by row."""
        return self._sum([evaluation.value(term.costs)[None] for term in self._terms], 1)[0]

    def _costs(self, alternatives):
        """The same for each of K alternatives, (K, rows, 1)."""
        costs = self._evaluation.replay_each(self._node, alternatives, [term.costs for term in self._terms])
        return self._sum(costs, len(alternatives))

    def _sum(self, costs, alternatives):
        """The terms of each alternative added up, (K, rows, 1)."""
        total = np.zeros((alternatives, *self._axes), like=self.value)
        for term, values in zip(self._terms, costs, strict=True):
            total = total + term.by_row(values, self._axes, self.samples)
        rule, name = self._rule, self._node.primitive.name
        require(np.isfinite(total).all(), lambda: ValueError(
            f"{rule!r} at node {name!r}: expected finite costs, got NaN or infinity. Look for an overflow below it"))
        return total.reshape(alternatives, self.shape[0], 1).astype(self._node.dtype)
