"""What a loss is made of: weighted means over samples, and the rest.

    loss = expected(costs) + 0.1 · penalty          costs[i] is about row i of every binary node alone

A rule that works from costs must know which costs a sample led to, and with what weight they enter
the loss.  ``Objective`` works that out from the recorded graph; nobody has to say it.
"""

import warnings
from math import prod

import numpy as np

from minigrad import ops
from minigrad.arguments import described
from minigrad.kernels.device.arrays import is_array, number
from minigrad.kernels.device.deferred import require
from minigrad.ops.primitives import primitive
from minigrad.tensor import Tensor


def expected(costs, over=None):
    """The mean over samples, and the statement that ``costs[i]`` depends on row i of every node alone.

    Parameters
    ----------
    costs : one cost per sample.  Its axes are those of the samples, the batch first: the axes of the logits
        without the last ``event_ndim``.  Average over other axes first, as in ``costs.mean(axis=1)``.
    over : the last axis of ``costs``, if the samples of one example lie along it.  ``costs`` are then their
        log-weights ℓ, and the result is the mean over examples of Λ = log mean_k exp(ℓ_k) over this axis,
        the importance-weighted bound, which is to be made large.  It states that ℓ[i, k] depends on
        sample k of example i alone, which the rule ``Vimco`` makes use of.

    Several such terms add up in a loss, each with its weight.  What enters a loss otherwise, or with
    a weight that itself depends on a binary node, counts whole for every row.

    Raises
    ------
    ValueError
        No samples, a cost that is not finite, or ``over`` is not the last axis.  At backward: an axis of the
        costs, longer than 1, is no sample axis of any binary node that they depend on.  (Costs that depend
        on no binary node may have any axes: the result is their mean.)

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
def expected_cost(costs, log_weights=None):
    """The mean of the costs; the log-weights that they were made of are there for rules to look at."""
    if costs.size == 0:
        raise ValueError(f"expected: expected at least one sample, got costs of shape {costs.shape}")
    require(np.isfinite(costs).all(), lambda: ValueError(
        "expected: expected finite costs, got NaN or infinity. Look for an overflow above"))
    return np.mean(costs)


expected_cost.name = "expected"         # in drawings and messages
expected_cost.vjps(lambda g, out, costs, log_weights=None: ops.broadcast_to(g / costs.size, shape=costs.shape), None)


class Term:
    """A part of a loss: weight · mean(costs) of an ``expected``, or weight · anything else, summed."""

    def __init__(self, node, weight):
        self.inside = node.primitive is expected_cost
        self.node, self.weight = node, number(np.sum(weight)) if self.inside else weight
        self.costs = node.parents[0][1] if self.inside else node
        self.log_weights = node.parents[1][1] if self.inside and len(node.parents) > 1 else None

    @property
    def samples_shape(self):
        """What ought to be sample axes of the nodes above: those of the costs, or of their log-weights."""
        return self.costs.shape if self.log_weights is None else self.log_weights.shape

    def prefix(self, axes):
        """The leading axes that the costs and the samples of a node have in common."""
        return self.costs.shape[:len(axes)] if self.inside else ()

    def by_row(self, costs, axes, samples):
        """Weighted costs of K alternatives as an array of (K, *axes), on the scale of one of ``samples``."""
        shared = self.prefix(axes)
        if self.inside:
            costs = self.scale(axes, samples) * costs.reshape(len(costs), *shared, -1).mean(axis=-1)
        else:
            costs = (self.weight * costs).reshape(len(costs), -1).sum(axis=-1)
        costs = costs.reshape(-1, *shared, *(1,) * (len(axes) - len(shared)))
        return np.broadcast_to(costs, (len(costs), *axes))

    def scale(self, axes, samples):
        """The weight of each cost of an ``expected``, on the scale of one of ``samples``."""
        return self.weight * (samples / prod(self.prefix(axes)))


def add_weight(weights, x, weight):
    weights[x] = weights[x] + weight if x in weights else weight


class Objective:
    """The loss of a backward pass, taken apart into its terms.

    Walking from the loss through sums, differences and products with constants finds every
    ``expected`` that enters it linearly, with its weight; the rest stays whole.
    """

    @classmethod
    def of(cls, evaluation):
        """The objective of a pass; its replays share it, since they have the same terms."""
        if evaluation.shared.objective is None:
            evaluation.shared.objective = cls(evaluation)
        return evaluation.shared.objective

    def __init__(self, evaluation):
        self.nodes = evaluation.nodes()
        self.outputs = evaluation.outputs
        self.cotangents = [g.value if isinstance(g, Tensor) else g for g in evaluation.cotangents]
        self.binary = [node for node in self.nodes if node.primitive.stochastic]
        self.claims, self.warned = None, False      # what their rules claim, once it has been asked for (``claims``)
        self.random = self.descendants(set(self.binary))
        self.terms = []
        self._below = {}
        weights = {}
        for x, g in zip(self.outputs, self.cotangents, strict=True):
            add_weight(weights, x, g)
        for x in reversed(self.nodes):
            if x in weights and x in self.random:
                weight = weights.pop(x)
                parts = self.parts(x, weight)
                if parts is None:
                    self.terms.append(Term(x, weight))
                else:
                    for part, its_weight in parts:
                        add_weight(weights, part, its_weight)
        self.check_axes()
        self.warn_of_equal_draws()

    def warn_of_equal_draws(self):
        """Warn of two binary nodes that were drawn with the same numbers, where no estimator is right."""
        drawn = {}
        for node in self.binary:
            other = drawn.setdefault(node.primitive.rng.name(), node)
            if other is not node:
                warnings.warn(
                    f"nodes {other.primitive.name!r} and {node.primitive.name!r} were drawn with the same uniform "
                    f"numbers, {node.primitive.rng!r}, so their samples depend on each other and estimates are "
                    "wrong. Share one generator between them, or give each a fork, rng.fork(0) and rng.fork(1)",
                    stacklevel=2)

    def check_axes(self):
        """Refuse costs with an axis that no binary node above them has: what lies along it are not samples.

        Most often it is an accident: (n, 1) minus (n,) is (n, n), and each row is blamed for the costs of all.
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
                    f"expected: {costs} of shape {shape} have an axis, {extra[0]}, that no binary node above them has; "
                    f"node {node.primitive.name!r} has samples {samples}. Give one for each sample: average over other "
                    f"axes first, mg.{average}({costs.replace('-', '_')}, axis={extra[0]}). Or was it an accident, "
                    "as in (n, 1) - (n,)?")

    def parts(self, x, weight):
        """The random parts that a number is a weighted sum of, with their weights; None if it is none.

        The products of a function that is linear in its random arguments give the weights.
        """
        random = {i: part for i, part, _ in x.parents if part in self.random}
        if (x.size != 1 or any(part.size != 1 for part in random.values())
                or not any(random.keys() <= set(group) for group in x.primitive.linear)):
            return None
        weight, products = np.reshape(weight, x.shape), x.primitive.products
        return [(part, np.reshape(products[i](weight, x.value, *x.operands, **x.options), part.shape))
                for i, part in random.items()]

    def descendants(self, roots):
        """The nodes that depend on any of ``roots``, and the roots."""
        found = set(roots)
        for node in self.nodes:
            if any(x in found for _, x, _ in node.parents):
                found.add(node)
        return found

    def next_below(self, node):
        """The binary nodes through which the gradient of a node comes first."""
        reached, found = {node}, []
        for x in self.nodes:
            if any(parent in reached for _, parent, product in x.parents if product is not None):
                if x.primitive.stochastic:
                    found.append(x)
                else:
                    reached.add(x)
        return found

    def below(self, node):
        """The terms that depend on a node."""
        if node not in self._below:
            dependent = self.descendants({node})
            self._below[node] = [term for term in self.terms if term.costs in dependent]
        return self._below[node]

    def is_coupled(self, node):
        """Whether several rows of a binary node share one cost."""
        return self.layout(self.below(node), node.shape[:node.ndim - node.primitive.event_ndim],
                           node.primitive.name)[1]

    def layout(self, terms, axes, name):
        """How many independent samples a node with these leading axes has, and whether several of
        its rows share one.

        Raises
        ------
        ValueError
            The axes of a cost and of the node's samples fit neither as prefix of the other.
        """
        for term in terms:
            shared = term.prefix(axes)
            if shared != axes[:len(shared)]:
                raise ValueError(
                    f"expected: costs of shape {term.costs.shape} fit node {name!r} with samples {axes} neither "
                    "way: one's axes must lead the other's. Give one cost per sample, or set event_ndim")
        samples = min((prod(term.prefix(axes)) for term in terms), default=1)
        return samples, samples < prod(axes)
