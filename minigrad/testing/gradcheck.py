"""Vector-Jacobian products against finite differences.

    (f(x + h) - f(x - h)) / 2h = f'(x) + O(h²)

in float64, with a step h = 6e-6 · max(1, |x|), the cube root of the rounding error, at which truncation
and rounding both cost about eleven digits.
"""

from dataclasses import dataclass

import numpy as np

from minigrad import ops
from minigrad.graph import Evaluation, ancestors
from minigrad.tensor import Tensor, tensor

STEP = 6e-6
MOST_ENTRIES = 10_000       # of a Jacobian that is compared in full
DIRECTIONS = 5              # along which a larger one is


def gradcheck(fn, inputs, *, rtol=1e-6, atol=1e-7, order=1, seed=0):
    """Compare the gradients of ``fn`` with central differences, in float64.

    A Jacobian of at most 10,000 entries is compared entry by entry, and once more weighted by a
    random cotangent; a larger one along random directions.  Where they disagree, the differences are
    taken again at fourth order and from either side, to tell a wrong product from a kink and from a
    function that varies within the step; and every primitive of the graph is compared alone, to
    name the one at fault.

    Parameters
    ----------
    fn : function of the inputs that returns one Tensor, always the same for the same inputs.
    inputs : list of Tensors or arrays.  Floating ones are converted to float64 and differentiated;
        others are handed to ``fn`` as they are.
    rtol, atol : the values may differ by atol + rtol · (the larger), beside the rounding of ``fn``.
    order : 2 compares second derivatives as well, taken through ``create_graph``.
    seed : of the random cotangent and directions.

    Returns
    -------
    True

    Raises
    ------
    AssertionError
        They disagree.  The message says "wrong", "kink" or "step too coarse", and names primitive,
        argument, index, both values and the seed.
    TypeError
        ``fn`` does not return a float64 Tensor.
    ValueError
        ``fn`` gives two results for the same inputs, or ``order`` is neither 1 nor 2.

    >>> import minigrad as mg
    >>> gradcheck(lambda x: mg.exp(x) * x, [mg.tensor([0.5, 1.0])], order=2)
    True
    """
    if order not in (1, 2):
        raise ValueError(f"gradcheck: expected order 1 or 2, got {order!r}")
    check = Check(rtol, atol, np.random.default_rng(seed))
    arguments = [leaf(x) for x in inputs]
    out = evaluate(fn, arguments)
    if not np.array_equal(out.data, evaluate(fn, arguments).data, equal_nan=True):
        raise ValueError("gradcheck: expected a function that gives the same result each time, got two "
                         "different ones. Make the random numbers outside of it")
    found = check.locate(fn, arguments)
    if found is None and order == 2:
        cotangent = leaf(check.rng.standard_normal(out.shape))
        found = check.locate(gradients_of(fn), [*arguments, cotangent], "second derivative, ")
    if found is not None:
        raise AssertionError(f"gradcheck: {found}; seed {seed}")
    return True


def leaf(x):
    """A fresh leaf with the value of x, in float64; what is not floating stays as it is."""
    value = x.data if isinstance(x, Tensor) else x
    if getattr(value, "dtype", np.dtype(object)).kind != "f":
        return x
    return tensor(value, dtype=np.float64, requires_grad=True)


def is_leaf(x):
    return isinstance(x, Tensor) and x.requires_grad


def evaluate(fn, arguments):
    out = fn(*arguments)
    if not isinstance(out, Tensor) or out.dtype != np.float64:
        got = f"a Tensor of {out.dtype}" if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(f"gradcheck: expected a function that returns a float64 Tensor, got {got}. Let its "
                        "result follow the dtype of its inputs")
    return out


def cotangents(out, seed, arguments, create_graph=False):
    """The cotangent of every leaf among the arguments, zero where ``out`` does not depend on it."""
    leaves = [x for x in arguments if is_leaf(x)]
    found = Evaluation([out], [seed]).backward(leaves, create_graph)
    return [found.get(x, np.zeros(x.shape)) for x in leaves]


def gradients_of(fn):
    """The function (inputs, cotangent) -> gradients of ``fn``, end to end in one vector."""
    def gradients(*arguments):
        *arguments, cotangent = arguments
        found = cotangents(fn(*arguments), cotangent, arguments, create_graph=True)
        vector = ops.concatenate([ops.reshape(g, (-1,)) for g in found])
        return vector if isinstance(vector, Tensor) else Tensor(vector)
    return gradients


@dataclass
class Disagreement:
    """Where a product and the finite differences part, and what the latter say from closer up."""

    verdict: str
    where: str
    product: float
    central: float
    fourth: float
    left: float
    right: float

    def __str__(self):
        return (f"{self.where}: {self.verdict}. Expected {self.central:.9g} (central difference), got "
                f"{self.product:.9g} (vector-Jacobian product); at fourth order {self.fourth:.9g}, "
                f"from the left {self.left:.9g}, from the right {self.right:.9g}")


class Check:
    """The comparisons, with their tolerance and random numbers."""

    def __init__(self, rtol, atol, rng):
        self.rtol, self.atol, self.rng = rtol, atol, rng

    def locate(self, fn, arguments, prefix=""):
        """The first disagreement of ``fn``, laid to one of its primitives if one is at fault by itself."""
        found = self.compare(fn, arguments, f"{prefix}{getattr(fn, '__name__', 'fn')}")
        if found is None:
            return None
        for node in ancestors([evaluate(fn, arguments)]):
            operands = list(node.operands)
            for i, x, product in node.parents:
                operands[i] = x.data if product is None else leaf(x)
            if not node.primitive.stochastic and any(map(is_leaf, operands)):
                alone = self.compare(lambda *xs, node=node: node.primitive(*xs, **node.options), operands,
                                     f"{prefix}primitive {node.primitive.name}")
                if alone is not None:
                    return alone
        return found

    def compare(self, fn, arguments, name):
        """The worst disagreement, or None."""
        out = evaluate(fn, arguments)
        weights = self.rng.standard_normal(out.shape)
        weighted = iter(cotangents(out, weights, arguments))
        compared = self.in_full if out.size * sum(
            x.size for x in arguments if is_leaf(x)) <= MOST_ENTRIES else self.along_directions
        for i, x in enumerate(arguments):
            if is_leaf(x):
                found = compared(Slice(fn, arguments, i), out, x, weights, next(weighted))
                if found is not None:
                    found.where = f"{name}, argument {i} at {found.where}"
                    return found
        return None

    def in_full(self, slice_, out, x, weights, weighted):
        """Compare every entry of the Jacobian, then the product with a random cotangent."""
        rows = np.zeros((out.size, *x.shape))
        for row, unit in zip(rows, np.eye(out.size), strict=True):
            (row[...],) = cotangents(out, unit.reshape(out.shape), [x])
        columns = np.zeros((out.size, x.size))
        for j, direction in enumerate(slice_.units(x)):
            columns[:, j] = slice_.central(direction).ravel()
        rows = rows.reshape(out.size, x.size)
        rounding = 4 * np.finfo(float).eps / STEP * np.abs(out.data).reshape(-1, 1)
        for product, central, pick in (
            (rows, columns, np.eye(out.size)),
            (weighted.reshape(1, -1), weights.reshape(1, -1) @ columns, weights.reshape(1, -1)),
        ):
            tolerance = self.tolerance(product, central) * np.abs(pick).sum(axis=1, keepdims=True)
            excess = np.abs(product - central) - tolerance - np.abs(pick) @ rounding
        return None
