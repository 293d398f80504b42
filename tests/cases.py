"""One row per primitive, or several where its behaviours differ: the function, NumPy's own, and inputs.

Inputs keep away from kinks, ties and the ends of domains, where finite differences say nothing.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.special
import scipy.stats

from minigrad import ops
from minigrad.objective import expected_cost
from minigrad.ops.joining import join
from minigrad.ops.special import ratio

rng = np.random.default_rng(20130815)


@dataclass
class Case:
    """A call and what it should give; ``order`` is how often it can be differentiated."""

    name: str
    call: object
    expected: object
    inputs: tuple
    order: int

    def __str__(self):
        return f"{self.name}-{'-'.join('x'.join(map(str, getattr(x, 'shape', ()))) for x in self.inputs)}"


cases = []


def row(function, expected, *inputs, order=2, **options):
    cases.append(Case(function.__name__, partial(function, **options), partial(expected, **options), inputs,
                      order))


def normal(*shape):
    return rng.standard_normal(shape)


def positive(*shape):
    return rng.uniform(0.5, 2, shape)


def inside(*shape):
    """Between 0 and 1."""
    return rng.uniform(0.1, 0.9, shape)


# Arithmetic and elementary functions.
for function in (ops.add, ops.subtract, ops.multiply):
    row(function, getattr(np, function.__name__), normal(2, 3), normal(2, 3))
    row(function, getattr(np, function.__name__), normal(3, 1), normal(2, 1, 4))
    row(function, getattr(np, function.__name__), normal(3), 2)
    row(function, getattr(np, function.__name__), 2.5, normal(3))
row(ops.divide, np.divide, normal(2, 3), positive(3))
row(ops.divide, np.divide, 2, positive(3))
row(ops.power, np.power, positive(2, 3), normal(3))
row(ops.power, np.power, normal(3), 3)
row(ops.power, np.power, normal(3), 2)
row(ops.power, np.power, normal(3), 1)
row(ops.power, np.power, normal(3), 0)
row(ops.power, np.power, positive(3), -0.5)
row(ops.power, np.power, 2.0, normal(3))
row(ops.power, np.power, normal(3), np.array([2, 0, 1], np.int8))
for function in (ops.negative, ops.absolute, ops.square, ops.exp, ops.expm1, ops.sin, ops.cos, ops.arctan,
                 ops.sinh, ops.cosh, ops.tanh):
    row(function, getattr(np, function.__name__), normal(2, 3))
for function in (ops.sqrt, ops.log, ops.log1p, ops.reciprocal):
    row(function, getattr(np, function.__name__), positive(2, 3))
row(ops.tan, np.tan, inside(3))
row(ops.sign, np.sign, normal(3), order=0)
row(ops.stop_gradient, np.copy, normal(3), order=0)
row(ops.to_device, lambda x, device: x, normal(3), device="cpu")
row(ops.astype, lambda x, dtype: x.astype(dtype), normal(3), dtype=np.float64)

# Comparisons and choices.
for function in (ops.less, ops.less_equal, ops.greater, ops.greater_equal, ops.equal, ops.not_equal):
    row(function, getattr(np, function.__name__), np.array([1.0, 2, 3]), np.array([[2.0], [3]]), order=0)
for function in (ops.logical_and, ops.logical_or):
    row(function, getattr(np, function.__name__), np.array([0.0, 1]), np.array([[0.0], [1]]), order=0)
row(ops.logical_not, np.logical_not, np.array([0.0, 1]), order=0)
row(ops.where, np.where, np.array([True, False, True]), normal(2, 3), normal(3))
row(ops.where, np.where, np.array([[True], [False]]), normal(3), 0)
row(ops.mask, lambda x, m: np.where(m, x, 0), normal(2, 3), np.array([[1, 0, 1], [0, 0, 1]]))
row(ops.mask, lambda x, m: np.where(m, x, 0), normal(3), np.array([[True], [False]]))
row(ops.maximum, np.maximum, normal(2, 3), normal(3))
row(ops.maximum, np.maximum, normal(3), 0)
row(ops.minimum, np.minimum, normal(4, 1), normal(5))
row(ops.clip, np.clip, normal(6), -0.5, 0.5)
row(ops.clip, np.clip, normal(6), None, 0.5)

# Reductions.
for function in (ops.sum, ops.mean, ops.var, ops.prod, ops.max, ops.min, ops.logsumexp):
    theirs = scipy.special.logsumexp if function is ops.logsumexp else getattr(np, function.__name__)
    row(function, theirs, normal(2, 3))
    row(function, theirs, normal(2, 3), axis=0)
    row(function, theirs, normal(2, 3, 2), axis=-2, keepdims=True)
    row(function, theirs, normal(2, 3, 2), axis=(0, -1))
row(ops.var, np.var, normal(4), ddof=1)
row(ops.prod, np.prod, np.array([[0.0, 2, 3], [0, 0, 5]]), axis=1)
row(ops.logmeanexp, lambda x, axis: np.log(np.mean(np.exp(x), axis=axis)), normal(2, 3), axis=0)
row(ops.cumsum, np.cumsum, normal(2, 3), axis=-1)
row(ops.argmax, np.argmax, normal(2, 3), axis=1, order=0)
row(ops.argmin, np.argmin, normal(2, 3), order=0)
row(expected_cost, np.mean, normal(5))

# Matrix products.
for left, right in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((3,), (2, 3, 2)),
                    ((2, 2, 3), (3,)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1))):
    row(ops.matmul, np.matmul, normal(*left), normal(*right))
row(ops.linear, lambda x, w, b: x @ w.T + b, normal(2, 3), normal(4, 3), normal(4))
row(ops.linear, lambda x, w: x @ w.T, normal(2, 2, 3), normal(4, 3))
row(ops.linear, lambda x, w, b: x @ w.T + b, normal(3), normal(2, 3), normal(2))
row(ops.gated_linear, lambda x, w, b, gates, block: np.repeat(gates, block, 1) * (x @ w.T + b),
    normal(2, 3), normal(4, 3), normal(4), np.array([[1.0, 0], [0.5, 2]]), block=2)
row(ops.to_dense, np.copy, normal(2, 3))

# Indexing.
for shape, index in (
    ((4,), (1,)), ((4, 3), (slice(None, None, -2), 1)), ((4, 3), (Ellipsis, None, 2)), ((4, 3), ([0, 0, 2],)),
    ((4, 3), (np.array([0, 0, 3]), np.array([1, 1, -1]))), ((4,), (np.array([True, False, True, False]),)),
    ((2, 3), (np.array([[True, False, True], [False, False, True]]),)),
    ((3, 2, 4), (np.array([[0], [2]]), slice(None), np.array([1, 1]))), ((), ()),
):
    row(ops.getitem, lambda x, *i: x[i], normal(*shape), *index)


def scattered(x, *index, shape):
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


row(ops.scatter_add, scattered, normal(3), np.array([0, 0, 2]), shape=(4,))
row(ops.scatter_add, scattered, normal(2, 2), slice(1, None), np.array([2, 0]), shape=(3, 4))
row(ops.take_along_axis, np.take_along_axis, normal(2, 3), np.array([[0, 0], [2, 1]]), axis=1)
row(ops.take_along_axis, np.take_along_axis, normal(3, 2), np.array([[1, 2]]), axis=0)
row(ops.add_along_axis, lambda x, i, axis, shape: np.array([[x[0].sum(), 0, 0], [0, x[1, 1], x[1, 0]]], x.dtype),
    normal(2, 2), np.array([[0, 0], [2, 1]]), axis=1, shape=(2, 3))
row(ops.one_hot, lambda labels, classes: np.eye(classes)[labels], np.array([[2, 0], [1, 1]]),
    order=0, classes=3)

# Shapes.
row(ops.broadcast_to, np.broadcast_to, normal(3, 1), shape=(2, 3, 4))
row(ops.reshape, np.reshape, normal(2, 3), shape=(3, -1))
row(ops.expand_dims, np.expand_dims, normal(2, 3), axis=(0, -1))
row(ops.squeeze, np.squeeze, normal(1, 3, 1))
row(ops.squeeze, np.squeeze, normal(1, 3, 1), axis=-1)
row(ops.transpose, np.transpose, normal(2, 3))
row(ops.transpose, np.transpose, normal(2, 3, 4), axes=(1, -1, 0))
row(ops.swapaxes, np.swapaxes, normal(2, 3, 4), axis1=0, axis2=-1)
row(ops.moveaxis, np.moveaxis, normal(2, 3, 4), source=(0, 1), destination=(-1, 0))
row(ops.flip, np.flip, normal(2, 3), axis=1)
row(ops.flip, np.flip, normal(2, 3))
row(ops.roll, np.roll, normal(2, 3), shift=2)
row(ops.roll, np.roll, normal(2, 3), shift=(1, -1), axis=(0, 1))
row(ops.repeat, np.repeat, normal(2, 3), repeats=2, axis=1)
row(ops.repeat, np.repeat, normal(2, 3), repeats=3, axis=-2)
row(ops.tile, np.tile, normal(3), reps=2)
row(ops.tile, np.tile, normal(2, 3), reps=(2, 1, 3))
row(ops.tile, np.tile, normal(2, 3), reps=(2,))
row(join, lambda *xs, axis: np.concatenate(xs, axis), normal(2, 1), normal(2, 3), normal(2, 2), axis=-1)
row(ops.concatenate, np.concatenate, [normal(2), normal(1)])
row(ops.stack, np.stack, [normal(2), normal(2)], axis=1)

# Activations and costs.
row(ops.relu, lambda x: np.maximum(x, 0), normal(2, 3))
row(ops.sigmoid, scipy.special.expit, normal(2, 3))
row(ops.softplus, lambda x: np.log1p(np.exp(x)), normal(2, 3))
row(ops.log_sigmoid, scipy.special.log_expit, normal(2, 3))
row(ops.softmax, partial(scipy.special.softmax, axis=-1), normal(2, 3))
row(ops.softmax, scipy.special.softmax, normal(2, 3, 2), axis=(0, 1))
row(ops.log_softmax, partial(scipy.special.log_softmax, axis=-1), normal(2, 3))
row(ops.log_softmax, scipy.special.log_softmax, normal(2, 3), axis=0)
row(ops.cross_entropy, lambda s, y: -scipy.special.log_softmax(s, 1)[np.arange(3), y], normal(3, 4),
    np.array([3, 0, 0]))
row(ops.cross_entropy, lambda s, y: -scipy.special.log_softmax(s)[y], normal(4), np.array(2))
row(ops.binary_cross_entropy, lambda x, t: np.log1p(np.exp(x)) - t * x, normal(2, 3), inside(3))
row(ops.binary_cross_entropy, lambda x, t: np.log1p(np.exp(x)) - t * x, normal(3),
    np.array([False, True, True]))

# Special functions.
for function in (ops.erf, ops.erfc, ops.ndtr, ops.log_ndtr):
    row(function, getattr(scipy.special, function.__name__), normal(2, 3))
for function in (ops.ndtri, ops.logit):
    row(function, getattr(scipy.special, function.__name__), inside(2, 3))
for function in (ops.gammaln, ops.digamma):
    row(function, getattr(scipy.special, function.__name__), positive(2, 3))
row(ops.inverse_mills, lambda x: scipy.stats.norm.pdf(x) / scipy.stats.norm.cdf(x), normal(2, 3))
row(ops.polygamma, scipy.special.polygamma, 1, positive(3))
row(ops.polygamma, scipy.special.polygamma, 2, positive(3))
row(ops.betaln, scipy.special.betaln, positive(2, 3), positive(3))
row(ops.betaln, scipy.special.betaln, positive(3), 2)
row(ratio, np.divide, normal(2, 3), positive(3))
row(ratio, np.divide, normal(3), 2.0)
row(ops.xlogy, scipy.special.xlogy, positive(2, 3), positive(3))
row(ops.xlogy, scipy.special.xlogy, normal(3), 2.0)
row(ops.xlogy, scipy.special.xlogy, 2.0, positive(3))
row(ops.xlog1py, scipy.special.xlog1py, normal(2, 3), inside(3))
row(ops.xlog1py, scipy.special.xlog1py, normal(3), 2.0)
