"""A table of primitives: for each one or more rows with the function, NumPy's function, and inputs.

Inputs are not near kinks, ties or the ends of domains, where finite differences are wrong.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.special
import scipy.stats

from minigrad import ops
from minigrad.objective import expected_cost
from minigrad.ops.contraction import contract
from minigrad.ops.joining import join
from minigrad.ops.padding import pad_constant
from minigrad.ops.reductions import prod_of_packed
from minigrad.ops.special import ratio

rng = np.random.default_rng(20130815)


def take_top(x, k, **options):
    return ops.topk(x, k, **options)[0]



@dataclass
class Case:
    """A call and its right result.  ``order`` is the number of times that it can be differentiated."""

    name: str
    call: object
    expected: object
    inputs: tuple
    order: int

    def __str__(self):
        return f"{self.name}-{'-'.join('x'.join(map(str, getattr(x, 'shape', ()))) for x in self.inputs)}"


cases = []


def row(function, expected, *inputs, order=2, name=None, **options):
    cases.append(Case(name or function.__name__, partial(function, **options), partial(expected, **options), inputs,
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
                 ops.sinh, ops.cosh, ops.tanh, ops.arcsinh):
    row(function, getattr(np, function.__name__), normal(2, 3))
for function in (ops.sqrt, ops.log, ops.log1p, ops.log2, ops.log10, ops.reciprocal):
    row(function, getattr(np, function.__name__), positive(2, 3))
for function in (ops.tan, ops.arcsin, ops.arccos, ops.arctanh):
    row(function, getattr(np, function.__name__), inside(3))
row(ops.arccosh, np.arccosh, 1 + positive(3))
for function in (ops.hypot, ops.arctan2):
    row(function, getattr(np, function.__name__), normal(2, 3), normal(3))
    row(function, getattr(np, function.__name__), -2.0, normal(3))
    row(function, getattr(np, function.__name__), normal(3), 1.5)
row(ops.remainder, np.remainder, np.array([[7.5, -7.0, 0.6], [-0.6, 3.25, 9.2]]), np.array([2.0, -2.5, 0.5]))
row(ops.remainder, np.remainder, normal(4), 2)
row(ops.remainder, np.remainder, 7.5, positive(3))
row(ops.floor_divide, np.floor_divide, normal(2, 3), np.array([2.0, -2.5, 0.5]), order=0)
for function in (ops.floor, ops.ceil, ops.trunc, ops.round):
    row(function, getattr(np, function.__name__), 3 * normal(2, 3), order=0)
row(ops.round, np.round, 30 * normal(3), order=0, decimals=1)
row(ops.sign, np.sign, normal(3), order=0)
row(ops.stop_gradient, np.copy, normal(3), order=0)
row(ops.to_device, lambda x, device: x, normal(3), device="cpu")
row(ops.astype, lambda x, dtype: x.astype(dtype), normal(3), dtype=np.float64)

# Comparisons and choices.
for function in (ops.less, ops.less_equal, ops.greater, ops.greater_equal, ops.equal, ops.not_equal):
    row(function, getattr(np, function.__name__), np.array([1.0, 2, 3]), np.array([[2.0], [3]]), order=0)
for function in (ops.logical_and, ops.logical_or):
    row(function, getattr(np, function.__name__), np.array([0.0, 1]), np.array([[0.0], [1]]), order=0)
row(ops.logical_xor, np.logical_xor, np.array([0.0, 1]), np.array([[0.0], [1]]), order=0)
row(ops.logical_not, np.logical_not, np.array([0.0, 1]), order=0)
for function in (ops.isnan, ops.isinf, ops.isfinite):
    row(function, getattr(np, function.__name__), np.array([0.0, np.nan, np.inf, -np.inf]), order=0)
for function in (ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor):
    row(function, getattr(np, function.__name__), np.array([True, False]), np.array([[True], [False]]), order=0)
    row(function, getattr(np, function.__name__), np.array([12, -3]), 10, order=0)
row(ops.invert, np.invert, np.array([True, False]), order=0)
row(ops.invert, np.invert, np.array([0, 5, -3]), order=0)
row(ops.where, np.where, np.array([True, False, True]), normal(2, 3), normal(3))
row(ops.where, np.where, np.array([[True], [False]]), normal(3), 0)
row(ops.mask, lambda x, m: np.where(m, x, 0), normal(2, 3), np.array([[1, 0, 1], [0, 0, 1]]))
row(ops.mask, lambda x, m: np.where(m, x, 0), normal(3), np.array([[True], [False]]))
row(ops.maximum, np.maximum, normal(2, 3), normal(3))
row(ops.maximum, np.maximum, normal(3), 0)
row(ops.minimum, np.minimum, normal(4, 1), normal(5))
row(ops.clip, np.clip, normal(6), -0.5, 0.5)
row(ops.clip, np.clip, normal(6), None, 0.5)
row(ops.clip, np.clip, normal(6), min=-0.5)

# Reductions.
def euclidean(x, axis=None, keepdims=False):
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


for function in (ops.sum, ops.mean, ops.var, ops.std, ops.norm, ops.prod, ops.max, ops.min, ops.logsumexp):
    named = {"logsumexp": scipy.special.logsumexp, "norm": euclidean}
    theirs = named[function.__name__] if function.__name__ in named else getattr(np, function.__name__)
    row(function, theirs, normal(2, 3))
    row(function, theirs, normal(2, 3), axis=0)
    row(function, theirs, normal(2, 3, 2), axis=-2, keepdims=True)
    row(function, theirs, normal(2, 3, 2), axis=(0, -1))
for options in ({}, {"axis": 0}, {"axis": (0, -1), "keepdims": True}):
    row(prod_of_packed, np.prod, np.array([[[2.0, 0], [3, 4]], [[1, 0], [0, 5]]]), **options)
row(ops.var, np.var, normal(4), ddof=1)
row(ops.std, np.std, normal(4, 2), axis=0, ddof=1)
for function in (ops.any, ops.all):
    row(function, getattr(np, function.__name__), np.array([[0.0, 0, 0], [0, 1, 2], [1, 2, 3]]), axis=1, order=0)
    row(function, getattr(np, function.__name__), np.array([True, False]), order=0)
row(ops.prod, np.prod, np.array([[0.0, 2, 3], [0, 0, 5]]), axis=1)
row(ops.logmeanexp, lambda x, axis: np.log(np.mean(np.exp(x), axis=axis)), normal(2, 3), axis=0)
row(ops.cumsum, np.cumsum, normal(2, 3), axis=-1)
for axis in (0, -1):
    row(ops.cumprod, np.cumprod, normal(5, 3), axis=axis)
row(ops.cumprod, np.cumprod, np.array([[2.0, 0, 3, 0, 5], [0, 1, 2, 3, 4]]), axis=1)
row(ops.argmax, np.argmax, normal(2, 3), axis=1, order=0)
row(ops.argmin, np.argmin, normal(2, 3), order=0)
row(expected_cost, np.mean, normal(5))

# Matrix products.
for left, right in (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((3,), (2, 3, 2)),
                    ((2, 2, 3), (3,)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1))):
    row(ops.matmul, np.matmul, normal(*left), normal(*right))
for subscripts, *shapes in (
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->j", (3, 3, 2)), ("iii->i", (3, 3, 3)), ("ijij->ji", (2, 3, 2, 3)),
    ("i,j->ji", (2,), (3,)), ("i,i", (3,), (3,)), (",i->i", (), (3,)), ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
    ("...i->...", (2, 3)), ("i...,i...", (3, 2), (3, 1)), ("ij,j,jk->k", (2, 3), (3,), (3, 2)),
    ("ij,ij->i", (2, 3), (1, 3)), ("ij,ij->j", (2, 1), (2, 3)), ("i,i->", (3,), (1,)), ("ij,kj->ik", (2, 1), (3, 1)),
    ("ij,k->", (2, 3), (2,)), ("ii,i->i", (3, 3), (3,)), ("b i, b j -> b i j", (2, 3), (2, 2)),
):
    row(partial(ops.einsum, subscripts), partial(np.einsum, subscripts), *(normal(*shape) for shape in shapes),
        name=f"einsum {subscripts}")
row(contract, lambda x, y, subscripts: x @ y, normal(2, 3), normal(3, 2), subscripts="ij,jk->ik")
row(contract, lambda x, subscripts: x.T, normal(2, 3), subscripts="ij->ji")
row(ops.tensordot, np.tensordot, normal(2, 3, 4), normal(3, 4, 2))
row(ops.tensordot, np.tensordot, normal(2, 3), normal(4), axes=0)
row(ops.tensordot, np.tensordot, normal(2, 3, 4), normal(4, 2), axes=((0, -1), (1, 0)))
row(ops.tensordot, np.tensordot, normal(2, 3), normal(2, 3), axes=(0, 0))
for left, right in (((3,), (3,)), ((2, 3), (3, 2)), ((2, 3), (3,)), ((3,), (2, 3, 2)), ((), (2, 3))):
    row(ops.dot, np.dot, normal(*left), normal(*right))
row(ops.dot, np.dot, 2.0, normal(3))
for left, right in (((3,), (3,)), ((2, 3), (4, 3)), ((3,), (2, 3)), ((2, 3), ())):
    row(ops.inner, np.inner, normal(*left), normal(*right))
row(ops.outer, np.outer, normal(2, 2), normal(3))
for function in (ops.tril, ops.triu):
    for k in (-1, 0, 2):
        row(function, getattr(np, function.__name__), normal(3, 4), k=k)
    row(function, getattr(np, function.__name__), normal(2, 3, 2))
for k in (-2, -1, 0, 1, 3, 7):
    for shape in ((2, 3), (3, 2), (3, 3)):
        row(ops.diagonal, np.diagonal, normal(*shape), offset=k)
    row(ops.diag, np.diag, normal(3), k=k)
row(ops.diag, np.diag, normal(2, 3), k=1)
row(ops.diagonal, np.diagonal, normal(2, 3, 4), axis1=2, axis2=0)
row(ops.trace, np.trace, normal(3, 3))
row(ops.trace, np.trace, normal(2, 3, 4), offset=-1, axis1=1, axis2=2)
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
row(ops.gather, lambda x, axis, i: np.array([[x[0, 1], x[0, 1]], [x[1, 2], x[1, 0]]]), normal(3, 3), 1,
    np.array([[1, 1], [2, 0]]))
row(ops.gather, lambda x, axis, i: np.array([[x[2, 0], x[0, 1]]]), normal(3, 3), -2, np.array([[2, 0]]))
for axis in (0, -1):
    row(ops.argsort, np.argsort, normal(3, 4), axis=axis, order=0)
    row(ops.sort, np.sort, normal(3, 4), axis=axis)
    row(take_top, lambda x, k, axis: np.flip(np.sort(x, axis), axis).take(range(k), axis), normal(4, 3), k=2, axis=axis)
row(take_top, lambda x, k, largest: np.sort(x)[..., :k], normal(2, 4), k=3, largest=False)
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
row(ops.vstack, np.vstack, [normal(3), normal(2, 3)])
row(ops.hstack, np.hstack, [normal(2, 1), normal(2, 3)])
row(ops.hstack, np.hstack, [normal(2), normal(3)])
row(pad_constant, lambda x, width, value: np.pad(x, width, constant_values=value), normal(2, 3), width=((1, 0), (2, 1)),
    value=-1.5)
row(ops.pad, np.pad, normal(2, 3), pad_width=2)
row(ops.pad, np.pad, normal(2, 3), pad_width=((0, 1), (2, 0)), constant_values=7.0)
for mode in ("edge", "reflect", "symmetric", "wrap"):
    row(ops.pad, np.pad, normal(2, 3), pad_width=(2, 5), mode=mode)
for function in (ops.zeros_like, ops.ones_like):
    row(function, getattr(np, function.__name__), normal(2, 3), order=0)
row(ops.full_like, np.full_like, normal(2, 3), 2.5, order=0)
row(ops.stack, np.stack, [normal(2), normal(2)], axis=1)

# Activations and costs.
row(ops.relu, lambda x: np.maximum(x, 0), normal(2, 3))
row(ops.leaky_relu, lambda x, slope=0.01: np.where(x > 0, x, slope * x), normal(2, 3))
row(ops.leaky_relu, lambda x, slope: np.where(x > 0, x, slope * x), normal(2, 3), slope=0.2)
row(ops.elu, lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), normal(2, 3))
row(ops.elu, lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)), normal(2, 3), alpha=0.5)
row(ops.silu, lambda x: x * scipy.special.expit(x), normal(2, 3))
row(ops.gelu, lambda x: x * scipy.special.ndtr(x), normal(2, 3))
row(ops.gelu, lambda x, approximate: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))), normal(2, 3),
    approximate="tanh")
row(ops.logaddexp, np.logaddexp, normal(2, 3), normal(3))
row(ops.logaddexp, np.logaddexp, normal(3), 0.5)
row(ops.logaddexp, np.logaddexp, 0.5, normal(3))
row(ops.mse, lambda x, y: np.mean((x - y)**2), normal(2, 3), normal(2, 3))
row(ops.mse, lambda x, y, axis: np.mean((x - y)**2, axis), normal(2, 3), normal(2, 3), axis=-1)
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
