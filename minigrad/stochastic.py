"""Stochastic binary nodes: how they are sampled, and how their rules estimate gradients.

    gate = bernoulli(logits, rule, rng=rng)     b = 1[u < σ(logits)], one uniform u per unit
    loss = expected(costs)                      the mean over samples; costs[i] depends only on row i
    loss.backward()                             calls the rule of each node to estimate ∂E[loss]/∂logits

A sample has no derivative.  So each binary node has a *rule*, a gradient estimator.  In the backward pass the rule gets
a ``BinaryNode``.  It has the logits, the sample and the uniforms of the node as arrays of (rows, units).  A rule that
declares it also gets the gradient with respect to the sample, the cost of each row, or the cost for other samples.

All these values are for one sample, and so is the estimate that the rule returns: the cost of a row is the weighted sum
of the terms that depend on the node, before averaging.  ``Bernoulli.estimate`` divides by the number of samples.
"""

from __future__ import annotations

import warnings
from copy import copy
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops, random, sharing
from minigrad.arguments import described, is_whole
from minigrad.claims import claims_of, may_break
from minigrad.kernels.device.deferred import require
from minigrad.objective import Objective
from minigrad.ops.alternatives import Flips, stack
from minigrad.ops.packed import ALL, NOTHING, OPEN
from minigrad.ops.primitives import Primitive
from minigrad.recording import record
from minigrad.rule import checked_rule
from minigrad.tensor import Tensor, tensor

if TYPE_CHECKING:
    from minigrad.aliases import Array, ArrayLike, TensorLike
    from minigrad.rule import Estimator


def bernoulli(logits: ArrayLike | Tensor, estimator: Estimator, *, rng: random.Generator | None = None,
              event_ndim: int = 1, name: str | None = None, context: TensorLike | None = None) -> Tensor:
    """Binary samples b = 1[u < σ(logits)].  ``estimator`` estimates the gradient of the logits.

    u has 32 bits, also in float32 graphs.  P(b = 1) equals σ(logit) with an error of at most 1 % for logits of −18
    and more.  P(b = 0) equals σ(−logit) with the same accuracy for logits up to 18.  For logits outside this range,
    the smaller probability is rounded to a multiple of 2⁻³².  It is 0 if |logit| is above 22.9.  The same seed gives
    the same samples on every device.

    Parameters
    ----------
    logits : Tensor or array, float32 or float64.  Its last ``event_ndim`` axes are the units of one sample.  The axes
        before them are independent samples, with the batch first.
    estimator : the rule, an ``Estimator``.  It has no default, so that no gradient is silently zero.
    rng : Generator; by default the one that ``mg.manual_seed`` restarts.
    name : the name of the node in drawings and messages.
    context : Tensor or array with the axes of the samples as its leading axes: the input of a learned baseline.  No
        gradient flows into it.

    Returns
    -------
    Tensor of the shape and dtype of the logits.  Do not branch on its ``.item()`` or ``.numpy()``, but use
    ``mg.where``: a rule that replays the graph with another sample cannot take another branch.

    Raises
    ------
    TypeError
        There is no estimator, or the logits have another dtype.
    ValueError
        The logits are not finite, or they have fewer axes than ``event_ndim``.

    >>> import minigrad as mg
    >>> logits = mg.tensor([[-80.0, 0.0, 80.0]], requires_grad=True)
    >>> gate = mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=mg.Generator(1))
    >>> mg.expected((gate * [1.0, 2.0, 3.0]).sum(axis=1)).backward()
    >>> logits.grad
    array([[1., 2., 3.]])
    """
    checked_rule(estimator, "bernoulli")
    if not isinstance(logits, Tensor):
        logits = tensor(logits)
    if logits.dtype.kind != "f":
        raise TypeError(f"bernoulli: expected floating logits, got dtype {logits.dtype}. Use .astype(float)")
    require(np.isfinite(logits.value).all(), lambda: ValueError(
        "bernoulli: expected finite logits, got NaN or infinity. Look for an overflow in their computation"))
    rng = random.current() if rng is None else random.checked("bernoulli", rng)
    if not is_whole(event_ndim) or event_ndim > logits.ndim:
        raise ValueError(f"bernoulli: expected logits whose last axes, event_ndim = {described(event_ndim)} of them, "
                         f"are the units of a sample, got logits of shape {logits.shape}. Use event_ndim=0 where each "
                         "logit is a sample of its own, or give one sample of one unit as logits of shape (1, 1)")
    if not isinstance(name, (str, type(None))):
        raise TypeError(f"bernoulli: expected a string as name, got {described(name)}. Use name='gates', say")
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


class Bernoulli(Primitive):
    """The primitive of one binary node.  It stores the uniforms, so that a replay uses the same ones.

    Each node has its own primitive, which is not in the table.  For the logits it has a rule in place of a
    vector-Jacobian product.
    """

    stochastic = True

    def __init__(self, rule, rng, logits, event_ndim, name):
        self.rule = rule
        self.products = (rule, None)        # of the logits and the context
        self.name = name or "bernoulli"
        self.event_ndim = event_ndim
        self.draw = rng.take()
        self.rng = copy(rng)        # a copy at this draw, since other threads may draw from rng meanwhile
        self.rng.draws = self.draw
        self.noise = self.rng.uniform(logits.shape, float, event_ndim, **rng.elsewhere(logits.device))
        self.memory = rule.recall(logits.device)
        self.replays = 0        # the number of replays for this node in the last backward pass

    def forward(self, logits, context=None):
        return in_dtype(self.rule.sample(logits, self.noise), logits.dtype)

    def level(self, node, wanted_parents, wanted, masks):
        """The level wanted of the cotangent of the sample (``ops.packed``): NOTHING if the rule does not use it."""
        if "grad" not in self.rule.needs:
            return NOTHING
        return ALL if self.rule.needs_closed_gates else OPEN

    def pull_back(self, node, g, wanted_parents, wanted, run, create_graph):
        """The cotangent of the logits, which the rule estimates."""
        return [(node.parents[0][1], self.estimate(node, g, run, create_graph))]

    def estimate(self, node, g, run, create_graph):
        """The rule's estimate as a cotangent of the logits."""
        rule = self.rule
        if create_graph and not rule.differentiable:
            raise ValueError(f"{rule!r} at node {self.name!r}: this rule defines no second derivative. "
                             "Use create_graph=False, or a rule with differentiable = True")
        if node.size == 0:      # there is nothing to estimate
            return node.detach() if create_graph else node.value
        view = BinaryNode(node, g, run, create_graph)
        if rule.needs_independent_rows and view.coupled:
            raise ValueError(f"{rule!r} at node {self.name!r}: this rule needs independent rows, but here several rows "
                             f"share one cost: there are {view.shape[0]} rows and {view.samples} costs. Give each row "
                             "a cost of its own in mg.expected, and have no term outside it, or use a rule that does "
                             "not need independent rows")
        if run.rules_learn:
            warn_of_bias(Objective.of(run))
            if self.memory is not None:
                owner, _ = run.shared.proposals.setdefault(id(rule), (node, view._proposed))
                if owner is not node:
                    raise ValueError(f"{rule!r}: expected an instance for each node, got one for two nodes of a graph "
                                     f"({self.name!r} and {owner.primitive.name!r}). They would share one memory. "
                                     "Make an instance for each")
        before = run.shared.replays
        estimate = rule.backward(view)
        if run.rules_learn:
            self.replays = run.shared.replays - before
        if isinstance(estimate, Tensor) and not create_graph:
            raise TypeError(f"{rule!r} at node {self.name!r}: expected an estimate that is an array, got a Tensor. "
                            "Return its value, estimate.data")
        if getattr(estimate, "shape", None) != view.shape or estimate.dtype not in (node.dtype, np.float64):
            got = getattr(estimate, "shape", type(estimate).__name__)
            raise ValueError(f"{rule!r} at node {self.name!r}: expected an estimate of (rows, units) = "
                             f"{view.shape} and dtype {either_dtype(node.dtype)}, got {got} and "
                             f"{getattr(estimate, 'dtype', 'no dtype')}")
        if devices.of(estimate) != node.device:
            raise ValueError(f"{rule!r} at node {self.name!r}: expected an estimate on {node.device!r}, got one on "
                             f"{devices.of(estimate)!r}. Make arrays on the device of others, as in "
                             "np.zeros(n, like=node.value)")
        return in_dtype(estimate, node.dtype).reshape(node.shape) / view.samples

    def learned(self, values):
        """Give the rule the memory that it proposed in a pass.  The pass has succeeded."""
        if values:
            self.rule.learn(self.memory, values)


def warn_of_bias(objective):
    """Warn of rules that claim to be unbiased but are not in this graph (``claims``).  Once in a pass."""
    if objective.warned or not may_break(objective):
        return
    objective.warned = True
    for node, claim in claims_of(objective).items():
        primitive = node.primitive
        if primitive.rule.unbiased and not claim.unbiased:
            warnings.warn(f"{primitive.rule!r} at node {primitive.name!r} claims to be unbiased, but in this graph its "
                          f"gradient may be biased: {claim.why}. Use another rule here, or an unbiased rule there. "
                          "mg.testing.unbiased_nodes lists all nodes", stacklevel=2)


def either_dtype(dtype):
    """The dtypes that an array of a rule may have, in words."""
    return "float64" if dtype == np.float64 else f"{dtype} or float64"


def in_dtype(x, dtype):
    """An array or Tensor, converted to ``dtype`` if it has another dtype."""
    return x if x.dtype == dtype else x.astype(dtype)


class BinaryNode:
    """A binary node as its rule sees it: arrays of (rows, units), with one sample in each row.

    A rule can always use ``logits``, ``probs``, ``value``, ``noise`` (the uniforms of the sample), ``context``, ``rng``
    and ``memory``.  If it declares them in ``needs``, it can also use ``grad``, ``cost``, ``cost_at`` and with it
    ``cost_flipped``, ``cost_and_grad_at`` and ``inner``.  The docstring of ``Estimator`` explains all of them.

    ``logits``, ``probs`` and ``noise`` are float64, also in a float32 graph: for p or u near 1, the rounding of float32
    would make 1 − p and 1 − u inaccurate.  Everything else has the dtype of the graph.  A rule may compute in float64.
    Its estimate, and the samples for which it asks the cost, are rounded to the dtype of the graph.  On the CPU the
    arrays are read-only, since they belong to the graph.
    """

    def __init__(self, node, g, evaluation, create_graph=False):
        self._node, self._g, self._evaluation, self._differentiable = node, g, evaluation, create_graph
        primitive = node.primitive
        self._rule = primitive.rule
        lead = node.ndim - primitive.event_ndim
        self._axes = node.shape[:lead]                  # the sample axes of the user's tensor
        self.shape = (prod(self._axes), prod(node.shape[lead:]))
        self.noise = sharing.read_only(primitive.noise.reshape(self.shape))
        objective = Objective.of(evaluation)
        self._terms = objective.below(node)
        self.samples, self.coupled = objective.layout(self._terms, self._axes, primitive.name)
        self._proposed = {}

    def __getattr__(self, name):
        """Called for a name that does not exist, or if a property has raised an AttributeError."""
        if hasattr(BinaryNode, name):
            return object.__getattribute__(self, name)      # raises the error of the property again
        names = {x for x in (*dir(BinaryNode), *vars(self)) if not x.startswith("_")}
        raise AttributeError(f"the node of a rule has no {name!r}. It has {', '.join(sorted(names))}. "
                             "help(mg.Estimator) explains them", name=name, obj=self)

    def __repr__(self):
        rows, units = self.shape
        return f"<node {self._node.primitive.name!r} of {rows} rows and {units} units, for {self._rule!r}>"

    def _rows(self, x):
        if self._differentiable:        # primitives will be used, which need one dtype
            return in_dtype(x.reshape(self.shape), np.float64)
        return sharing.read_only(self._evaluation.value(x).reshape(self.shape))

    @cached_property
    def logits(self) -> Any:
        return in_dtype(self._rows(self._node.parents[0][1]), np.float64)

    @cached_property
    def probs(self) -> Any:
        return ops.sigmoid(self.logits)

    @property
    def value(self) -> Any:
        return self._rows(self._node)

    @property
    def context(self) -> Array | None:
        if len(self._node.parents) < 2:
            return None
        context = self._evaluation.value(self._node.parents[1][1])
        return sharing.read_only(context.reshape(self.shape[0], prod(context.shape[len(self._axes):])))

    @cached_property
    def rng(self) -> random.Generator:
        primitive = self._node.primitive
        rng = primitive.rng.fork(random.RULES, primitive.draw, *self._evaluation.path)
        rng.device = self._node.device
        return rng

    @property
    def grad(self) -> Any:
        """The gradient of each row's cost with respect to the sample, (rows, units)."""
        self._declared("grad")
        if self._g is None:
            raise self._no_gradient("grad")
        g = in_dtype(self._g, np.float64) if self._differentiable else self._g
        return g.reshape(self.shape) * self.samples

    @property
    def cost(self) -> Array:
        """The cost of each row, (rows, 1)."""
        self._declared("cost")
        return self._cost(self._evaluation)

    def cost_at(self, value: Array, rows: str = "together") -> Array:
        """The cost of each row, (rows, 1), for another sample ``value``, an array of (rows, units).

        For K samples, (K, rows, units), it returns costs (K, rows, 1).  The K replays run together.

        Binary nodes that depend on the sample are sampled again with the same uniforms.  If several rows share a cost,
        ``rows="one by one"`` changes one row at a time, with a replay for each.  "together" changes all rows.
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
            changed = self.value.reshape(shape).copy()
            changed[:, member] = value.reshape(shape)[:, member]
            costs[:, member] = self._cost(self._replay(changed)).reshape(shape[:2])[:, member]
        return costs.reshape(-1, 1)

    def cost_flipped(self, units: Array) -> Array:
        """The costs, (K, rows, 1), for K samples in which one bit of each row is flipped.

        Sample k has unit ``units[k, r]`` of row r flipped.  ``units`` is (K, rows), or (K, 1) for the same unit in each
        row.  If several rows share a cost, bits are flipped in one row at a time.  This is faster than ``cost_at`` if
        the sample is the input of a linear layer.
        """
        self._declared("cost_at")
        value = self.value
        flips = Flips(value, 1 - value[np.arange(self.shape[0], like=value), units], units)
        return self.cost_at(stack(flips), rows="one by one") if self.coupled else self._costs(flips)

    def cost_and_grad_at(self, value: Array) -> tuple[Array, Array]:
        """The cost of each row, (rows, 1), and its gradient, (rows, units), for the relaxed sample ``value``.

        Binary nodes that depend on the sample are sampled again, and their rules are called again.
        """
        self._declared("cost_and_grad_at")
        evaluation = self._replay(self._checked(value))
        cotangents = evaluation.backward([self._node])
        if self._node not in cotangents:
            raise self._no_gradient("cost_and_grad_at")
        return self._cost(evaluation), cotangents[self._node].reshape(self.shape) * self.samples

    @property
    def inner(self) -> list[tuple[Any, Array]]:
        """The log-weights from which the costs were computed: a list of pairs (weight, array of (examples, K)).

        There is one pair for each term ``expected(log_weights, over=axis)`` that depends on this node and has one
        log-weight for each row.  The K rows of an example follow each other.
        """
        self._declared("inner")
        return [(term.scale(self._axes, self.samples),
                 self._evaluation.value(term.log_weights).reshape(prod(term.costs.shape), -1))
                for term in self._terms if term.log_weights is not None and term.log_weights.shape == self._axes]

    @property
    def memory(self) -> Any:
        """The memory of the rule at the time when the sample was drawn, a dict.  None for a rule without memory."""
        memory = self._node.primitive.memory
        return None if memory is None else {name: sharing.read_only(value) for name, value in memory.items()}

    def propose(self, **values: Any) -> None:
        """Propose new values for the memory.  The next draw commits the proposal of the last pass.

        Proposals of a pass that fails are dropped.  So are those of a pass inside another pass.
        """
        self._proposed.update(values)

    def _declared(self, need):
        if need not in self._rule.needs:
            raise ValueError(f"{self._rule!r} asked for {need!r}, which it has not declared. Its needs are "
                             f"{sorted(self._rule.needs)}. Add {need!r} to needs")
        if self._differentiable and need != "grad":
            raise ValueError(f"{self._rule!r}: {need!r} is not recorded, so the estimate cannot be "
                             "differentiated again. Set differentiable = False")

    def _no_gradient(self, need):
        return ValueError(
            f"{self._rule!r} at node {self._node.primitive.name!r} asked for {need!r}, but no path with "
            "derivatives leads from the sample to the cost. Use a rule that needs only costs")

    def _checked(self, value):
        if value.shape[-2:] != self.shape or value.ndim > 3 or value.dtype not in (self._node.dtype, np.float64):
            raise ValueError(f"{self._rule!r}: expected a value of (rows, units) = {self.shape} and dtype "
                             f"{either_dtype(self._node.dtype)}, got {value.shape} and {value.dtype}")
        return in_dtype(value, self._node.dtype)

    def _replay(self, value):
        return self._evaluation.replay({self._node: value.reshape(self._node.shape)})

    def _cost(self, evaluation):
        """The weighted sum of the terms that depend on the node, for each row."""
        return self._sum([evaluation.value(term.costs)[None] for term in self._terms], 1)[0]

    def _costs(self, alternatives):
        """``_cost`` for each of K alternatives, (K, rows, 1)."""
        costs = self._evaluation.replay_each(self._node, alternatives, [term.costs for term in self._terms])
        return self._sum(costs, len(alternatives))

    def _sum(self, costs, alternatives):
        """The weighted sum of the terms for each alternative, (K, rows, 1)."""
        total = np.zeros((alternatives, *self._axes), like=self.value)
        for term, values in zip(self._terms, costs, strict=True):
            total = total + term.by_row(values, self._axes, self.samples)
        rule, name = self._rule, self._node.primitive.name
        require(np.isfinite(total).all(), lambda: ValueError(
            f"{rule!r} at node {name!r}: expected finite costs, got NaN or infinity. Look for an overflow between "
            "the node and the cost"))
        return total.reshape(alternatives, self.shape[0], 1).astype(self._node.dtype)
