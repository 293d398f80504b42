"""The terms of a loss: weighted means over samples, and other terms.

    loss = expected(costs) + 0.1 · penalty          costs[i] depends only on row i of each binary node

A rule that works from costs must know which costs depend on a sample, and the weight of each cost in the loss.
``Objective`` finds this in the recorded graph.
"""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops
from minigrad.arguments import described
from minigrad.kernels.device.arrays import is_array, number
from minigrad.kernels.device.deferred import require
from minigrad.ops.primitives import primitive
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from minigrad.aliases import Array, Shape, TensorLike
    from minigrad.graph import Evaluation


def expected(costs: TensorLike, over: int | None = None) -> Tensor:
    """The mean of the costs over samples.

    By calling it you promise that ``costs[i]`` depends only on row i of each binary node.

    A loss may have several such terms, each with a weight.  Any other term counts as part of the cost of every row.
    The same holds for an ``expected`` whose weight depends on a binary node.

    Parameters
    ----------
    costs : Tensor or array, one cost per sample.  Its axes are those of the samples, the batch first: the axes of
        the logits without the last ``event_ndim``.  Average over other axes first: ``costs.mean(axis=1)``.
    over : the last axis of ``costs``, if it holds several samples of one example.  ``costs`` are then log-weights ℓ.
        The result is the mean over examples of Λ = log mean_k exp(ℓ_k) over this axis.  This is the
        importance-weighted bound, which you maximise.  You promise that ℓ[i, k] depends only on sample k of
        example i.  The rule ``Vimco`` needs this.

    Returns
    -------
    Tensor with one entry, of the dtype of the costs.

    Raises
    ------
    TypeError
        ``costs`` is neither a Tensor nor an array.
    ValueError
        There are no samples, a cost is not finite, or ``over`` is not the last axis.  At backward: the costs have an
        axis longer than 1 that is not a sample axis of any binary node on which they depend.  (Costs that do not depend
        on a binary node may have any axes.  The result is their mean.)

    >>> import minigrad as mg
    >>> mg.expected(mg.tensor([1.0, 2.0, 6.0]))
    tensor(3., dtype=float64)
    >>> mg.exp(mg.expected(mg.tensor(np.log([[1.0, 3.0], [2.0, 2.0]])), over=1))
    tensor(2., dtype=float64)
    """
    if not isinstance(costs, Tensor) and not is_array(costs):
        raise TypeError(f"expected: expected a Tensor or an array of costs, one per sample, got {described(costs)}. "
                        "Use mg.tensor(costs)")
    if over is None:
        return expected_cost(costs)
    shape = costs.shape if isinstance(costs, Tensor) else np.shape(costs)
    if over not in (-1, len(shape) - 1):
        raise ValueError("expected: expected over to be the last axis of the log-weights, got "
                         f"over={described(over)} for shape {shape}. Give bernoulli logits of (examples, samples, "
                         "units), and expected log-weights of (examples, samples)")
    return expected_cost(ops.logmeanexp(costs, axis=over), costs)


@primitive
def expected_cost(costs: Any, log_weights: Any = None) -> Any:
    """The mean of the costs.  ``log_weights``, from which they were computed, are an argument for rules to read."""
    if costs.size == 0:
        raise ValueError(f"expected: expected at least one sample, got costs of shape {costs.shape}")
    require(np.isfinite(costs).all(), lambda: ValueError(
        "expected: expected finite costs, got NaN or infinity. Look for an overflow in their computation"))
    return np.mean(costs)


expected_cost.name = "expected"         # in drawings and messages
expected_cost.vjps(lambda g, out, costs, log_weights=None: ops.broadcast_to(g / costs.size, shape=costs.shape), None)


class Term:
    """A term of a loss: weight · mean(costs) of an ``expected``, or the sum of weight · x for another node x.

    Attributes
    ----------
    inside : whether it is an ``expected``.
    node : the node of ``expected``, or x.
    weight : a number for an ``expected``, otherwise an array of the shape of x.
    costs : the costs of the ``expected``, or x.
    log_weights : the log-weights that the costs were computed from, or None.
    """

    def __init__(self, node: Any, weight: Any) -> None:
        self.inside = node.primitive is expected_cost
        self.node, self.weight = node, number(np.sum(weight)) if self.inside else weight
        self.costs = node.parents[0][1] if self.inside else node
        self.log_weights = node.parents[1][1] if self.inside and len(node.parents) > 1 else None

    @property
    def samples_shape(self) -> Shape:
        """The axes that must be sample axes of the nodes above: those of the costs, or of their log-weights."""
        return self.costs.shape if self.log_weights is None else self.log_weights.shape

    def prefix(self, axes: Shape) -> Shape:
        """The leading axes that the costs and the samples of a node have in common."""
        return self.costs.shape[:len(axes)] if self.inside else ()

    def by_row(self, costs: Any, axes: Shape, samples: int) -> Array:
        """The weighted costs of K alternatives, (K, *axes), times ``samples``.  So each is the cost of one sample."""
        shared = self.prefix(axes)
        if self.inside:
            costs = self.scale(axes, samples) * costs.reshape(len(costs), *shared, -1).mean(axis=-1)
        else:
            costs = (self.weight * costs).reshape(len(costs), -1).sum(axis=-1)
        costs = costs.reshape(-1, *shared, *(1,) * (len(axes) - len(shared)))
        return np.broadcast_to(costs, (len(costs), *axes))

    def scale(self, axes: Shape, samples: int) -> Any:
        """The weight of each cost of an ``expected``, times ``samples``."""
        return self.weight * (samples / prod(self.prefix(axes)))


def add_weight(weights: dict[Any, Any], x: Any, weight: Any) -> None:
    """Add ``weight`` to the weight of x."""
    weights[x] = weights[x] + weight if x in weights else weight


class Objective:
    """The loss of a backward pass as a sum of terms.

    A walk from the loss through sums, differences and products with constants finds every ``expected`` that
    enters the loss linearly, and its weight.  Any other part of the sum is one term.

    Attributes
    ----------
    nodes : the nodes of the graph, in order of creation.
    outputs, cotangents : the outputs of the pass, and their cotangents.
    binary : the binary nodes.
    random : the binary nodes and the nodes that depend on them.
    terms : the terms of the loss that depend on a binary node.
    """

    @classmethod
    def of(cls, evaluation: Evaluation) -> Objective:
        """The objective of a pass.  Its replays share it, since they have the same terms."""
        shared: Any = evaluation.shared
        if shared.objective is None:
            shared.objective = cls(evaluation)
        return shared.objective

    def __init__(self, evaluation: Evaluation) -> None:
        self.nodes = evaluation.nodes()
        self.outputs = evaluation.outputs
        self.cotangents = [g.value if isinstance(g, Tensor) else g for g in evaluation.cotangents]
        self.binary = [node for node in self.nodes if node.primitive.stochastic]
        self.claims: Any = None         # set by ``claims``, when a claim is first needed
        self.warned = False
        self.random = self.descendants(set(self.binary))
        self.terms: list[Term] = []
        self._below: dict[Any, list[Term]] = {}
        weights: dict[Any, Any] = {}
        for x, g in zip(self.outputs, self.cotangents, strict=True):
            add_weight(weights, x, g)
        for x in reversed(self.nodes):
            if x in weights and x in self.random:
                weight = weights.pop(x)
                parts = self.parts(x, weight)
                if parts is None:
                    self.terms.append(Term(x, weight))
                else:
                    for part, part_weight in parts:
                        add_weight(weights, part, part_weight)
        self.check_axes()
        self.warn_of_equal_draws()

    def warn_of_equal_draws(self) -> None:
        """Warn of two binary nodes with the same uniforms.  All estimates are then wrong."""
        drawn = {}
        for node in self.binary:
            other = drawn.setdefault(node.primitive.rng.name(), node)
            if other is not node:
                warnings.warn(
                    f"nodes {other.primitive.name!r} and {node.primitive.name!r} were drawn with the same uniform "
                    f"numbers, {node.primitive.rng!r}, so their samples depend on each other and estimates are "
                    "wrong. Share one generator between them, or give each a fork, rng.fork(0) and rng.fork(1)",
                    stacklevel=2)

    def check_axes(self) -> None:
        """Raise a ValueError for costs with an axis that is not a sample axis of any binary node above them.

        Most often it is a mistake: (n, 1) minus (n,) broadcasts to (n, n), so the cost of each row includes other rows.
        """
        above = {}
        for node in self.binary:
            for term in self.below(node):
                above.setdefault(term, []).append(node)
        for term, nodes in above.items():
            shape = term.samples_shape
            node = max(nodes, key=lambda node: node.ndim - node.primitive.event_ndim)
            samples = node.shape[:node.ndim - node.primitive.event_ndim]
            extra = [axis for axis in range(len(samples), len(shape)) if shape[axis] > 1]
            if extra and term.inside:
                costs, average = ("costs", "mean") if term.log_weights is None else ("log-weights", "logmeanexp")
                raise ValueError(
                    f"expected: {costs} of shape {shape} have axis {extra[0]}, which no binary node above them has. "
                    f"Node {node.primitive.name!r} has samples {samples}. Expected one for each sample. Average over "
                    f"other axes first, as in mg.{average}({costs.replace('-', '_')}, axis={extra[0]}), or look for an "
                    "accidental broadcast, as in (n, 1) - (n,)")

    def parts(self, x: Any, weight: Any) -> list[tuple[Any, Any]] | None:
        """The random arguments of x and their weights, if x is a scalar and linear in them.  Otherwise None.

        The vector-Jacobian products of the primitive give the weights.
        """
        random = {i: part for i, part, _ in x.parents if part in self.random}
        if (x.size != 1 or any(part.size != 1 for part in random.values())
                or not any(random.keys() <= set(group) for group in x.primitive.linear)):
            return None
        weight, products = np.reshape(weight, x.shape), x.primitive.products
        return [(part, np.reshape(products[i](weight, x.value, *x.operands, **x.options), part.shape))
                for i, part in random.items()]

    def descendants(self, roots: Iterable[Any]) -> set[Any]:
        """The nodes that depend on any of ``roots``, and the roots."""
        dependent = set(roots)
        for node in self.nodes:
            if any(x in dependent for _, x, _ in node.parents):
                dependent.add(node)
        return dependent

    def next_below(self, node: Any) -> list[Any]:
        """The first binary nodes on the paths from a node to the loss.  Its gradient passes through their rules."""
        reached, binary = {node}, []
        for x in self.nodes:
            if any(parent in reached for _, parent, product in x.parents if product is not None):
                if x.primitive.stochastic:
                    binary.append(x)
                else:
                    reached.add(x)
        return binary

    def below(self, node: Any) -> list[Term]:
        """The terms that depend on a node."""
        if node not in self._below:
            dependent = self.descendants({node})
            self._below[node] = [term for term in self.terms if term.costs in dependent]
        return self._below[node]

    def is_coupled(self, node: Any) -> bool:
        """Whether several rows of a binary node share one cost."""
        return self.layout(self.below(node), node.shape[:node.ndim - node.primitive.event_ndim],
                           node.primitive.name)[1]

    def layout(self, terms: list[Term], axes: Shape, name: str) -> tuple[int, bool]:
        """The number of independent samples of a node with these sample axes, and whether several rows share a cost.

        Raises
        ------
        ValueError
            Neither the axes of a cost begin with the sample axes of the node, nor these with the axes of the cost.
        """
        for term in terms:
            shared = term.prefix(axes)
            if shared != axes[:len(shared)]:
                raise ValueError(
                    f"expected: costs of shape {term.costs.shape} do not fit node {name!r} with samples {axes}. The "
                    "axes of one must begin with those of the other. Give one cost per sample, or set event_ndim")
        samples = min((prod(term.prefix(axes)) for term in terms), default=1)
        return samples, samples < prod(axes)
