"""Vector-Jacobian products against finite differences.

    (f(x + h) - f(x - h)) / 2h = f'(x) + O(h²)

in float64, with a step h = 6e-6 · max(1, |x|), the cube root of the rounding error, at which truncation
and rounding both cost about eleven digits.  Where a function varies faster than that, as sin(x) at 10⁶ or log(x)
at 10⁻⁷, smaller steps are tried as well.  Where a function is so large that rounding hides its slopes, nothing can
be told, and that is said.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from minigrad import devices, ops
from minigrad.arguments import described, function, is_real, is_whole
from minigrad.graph import Evaluation, ancestors
from minigrad.tensor import Tensor, tensor

STEP = 6e-6
MOST_ENTRIES = 10_000       # of a Jacobian that is compared in full
DIRECTIONS = 5              # along which a larger one is
#: Factors of the step that are tried where products and differences disagree.
FINER = 10.0 ** -np.arange(1, 13)
HIDDEN = 1e-5               # of a slope: what rounding may cost at a finer step
EPS = np.finfo(np.float64).eps
ROUNDING = 4 * EPS / STEP      # error of a difference, relative to the function


def gradcheck(fn, inputs, *, rtol=1e-6, atol=1e-7, order=1, seed=0, step=None):
    """Compare the gradients of ``fn`` with central differences, in float64.

    A Jacobian of at most 10,000 entries is compared entry by entry, and once more weighted by a
    random cotangent; a larger one along random directions.  Where they disagree, the differences are
    taken again at fourth order and from either side, to tell a wrong product from a kink and from a
    function that varies within the step; and every primitive of the graph is compared alone, to
    name the one at fault.

    Parameters
    ----------
    fn : function of the inputs that returns one Tensor, always the same for the same inputs.
    inputs : Tensor or array, or a list of them.  Floating ones are converted to float64 and differentiated;
        others are handed to ``fn`` as they are.
    rtol, atol : the values may differ by atol + rtol · (the larger), beside the rounding of ``fn``.
    order : 2 compares second derivatives as well, taken through ``create_graph``.
    seed : of the random cotangent and directions.
    step : of the differences, in units of max(1, |x|); 6e-6 by default.

    Returns
    -------
    True

    Raises
    ------
    AssertionError
        They disagree.  The message says "wrong", "kink" or "step too coarse", and names primitive,
        argument, index, both values and the seed.  Or the function is so large that its rounding errors hide
        all slopes, so that nothing can be told.
    TypeError
        ``fn`` does not return a float64 Tensor.
    ValueError
        No floating inputs, two results of ``fn`` for the same ones, an ``order`` other than 1 and 2, a ``step`` that
        is not above 0, or random bits whose logits depend on the inputs.

    >>> import minigrad as mg
    >>> gradcheck(lambda x: mg.exp(x) * x, [mg.tensor([0.5, 1.0])], order=2)
    True
    """
    function("gradcheck", "a function of the inputs", fn, "Use lambda x: ...")
    if isinstance(inputs, (Tensor, np.ndarray)):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple)):
        raise TypeError(f"gradcheck: expected a list of inputs, got {described(inputs)}. Use [x]")
    if step is not None and (not is_real(step) or not step > 0):
        raise ValueError(f"gradcheck: expected a step above 0 or None, got {described(step)}")
    if not is_whole(order, 1) or order > 2:
        raise ValueError(f"gradcheck: expected order 1 or 2, got {described(order)}")
    if not is_real(rtol) or not is_real(atol):
        raise TypeError(f"gradcheck: expected numbers as rtol and atol, got {described(rtol)} and {described(atol)}")
    check = Comparison(rtol, atol, np.random.default_rng(seed), step or STEP)
    arguments = [leaf(x) for x in inputs]
    if not any(map(is_leaf, arguments)):
        raise ValueError("gradcheck: expected floating Tensors or arrays among the inputs, got none. "
                         "Integers have no gradient")
    out = evaluate(fn, arguments)
    random = [node.primitive for node in ancestors([out]) if node.primitive.stochastic]
    if any(node.primitive.stochastic and node.requires_grad for node in ancestors([out])):
        raise ValueError(f"gradcheck: expected a function without random bits, got node {random[0].name!r} with the "
                         f"rule {random[0].rule!r}. A sample jumps, so differences do not give its gradient. Use "
                         "mg.testing.exact_gradient for the exact one, or mg.testing.assert_unbiased to test the rule")
    if not np.array_equal(out.data, evaluate(fn, arguments).data, equal_nan=True):
        raise ValueError("gradcheck: expected a function that gives the same result each time, got two "
                         "different ones. Make the random numbers outside of it" + (
                             ", or in it from a generator that starts there: rng=mg.Generator(0)" if random else ""))
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
    devices.check_cpu("gradcheck", out)
    return out


def cotangents(out, seed, arguments, create_graph=False):
    """The cotangent of every leaf among the arguments, zero where ``out`` does not depend on it."""
    leaves = [x for x in arguments if is_leaf(x)]
    found = Evaluation([out], [seed]).backward(leaves, create_graph)
    return [ops.dense(found.get(x, np.zeros(x.shape))) for x in leaves]


def gradients_of(fn):
    """The function (inputs, cotangent) -> gradients of ``fn``, end to end in one vector."""
    def gradients(*arguments):
        *arguments, cotangent = arguments
        found = cotangents(fn(*arguments), cotangent, arguments, create_graph=True)
        vector = ops.concatenate([ops.reshape(g, (-1,)) for g in found])
        return vector if isinstance(vector, Tensor) else Tensor(vector)
    return gradients


@dataclass
class Line:
    """weights · fn(x + t · direction) as a function of the number t; x is one of the arguments."""

    fn: object
    arguments: list
    argnum: int
    direction: np.ndarray
    weights: np.ndarray

    def outputs(self, t):
        moved = list(self.arguments)
        moved[self.argnum] = leaf(moved[self.argnum].data + t * self.direction)
        return self.fn(*moved).data

    def __call__(self, t):
        return np.sum(self.weights * self.outputs(t))

    def slopes(self, h):
        """Central differences of the outputs."""
        return (self.outputs(h) - self.outputs(-h)) / (2 * h)


@dataclass
class Disagreement:
    """A product that differs from the finite differences, and what these say when taken otherwise."""

    where: str
    line: Line
    step: float
    product: float
    tolerance: float

    def verdict(self, central, fourth):
        """A smooth function bends half as much over half a step; a kink or a jump does not."""
        f, h = self.line, self.step
        bends = np.array([(f(h) - 2 * f(0) + f(-h)) / h for h in (h, h / 2, h / 4)])
        rounding = 8 * ROUNDING * np.abs(f(0))
        if np.abs(bends[0]) > self.tolerance + rounding and not np.all(
                np.abs(bends[1:] - bends[:-1] / 2) <= 0.2 * np.abs(bends[:-1]) + rounding):
            return "kink"
        if np.abs(fourth - self.product) < np.abs(central - self.product) / 3:
            return "step too coarse"
        return "wrong"

    def __str__(self):
        f, h = self.line, self.step
        central = (f(h) - f(-h)) / (2 * h)
        fourth = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
        return (f"{self.where}: {self.verdict(central, fourth)}. Expected {central:.9g} (central "
                f"difference), got {self.product:.9g} (vector-Jacobian product); at fourth order "
                f"{fourth:.9g}, from the left {(f(0) - f(-h)) / h:.9g}, "
                f"from the right {(f(h) - f(0)) / h:.9g}")


class Comparison:
    """Products against differences, within a tolerance."""

    def __init__(self, rtol, atol, rng, step=STEP):
        self.rtol, self.atol, self.rng, self.step = rtol, atol, rng, step

    def locate(self, fn, arguments, prefix=""):
        """A disagreement of ``fn``, laid to the first of its primitives that has one by itself."""
        found = self.compare(fn, arguments, prefix + getattr(fn, "__name__", "fn"))
        if found is None:
            return None
        for node in ancestors([evaluate(fn, arguments)]):
            operands = list(node.operands)
            for i, x, product in node.parents:
                operands[i] = x.data if product is None else leaf(x)
            if node.dtype == np.float64 and not node.primitive.stochastic and any(map(is_leaf, operands)):
                alone = self.compare(partial(node.primitive, **node.options), operands,
                                     f"{prefix}primitive {node.primitive.name}")
                if alone is not None:
                    return alone
        found.where += " (each primitive agrees by itself: does a value leave the graph?)"
        return found

    def compare(self, fn, arguments, name):
        """The worst disagreement of the first argument that has one, or None."""
        out = evaluate(fn, arguments)
        leaves = [i for i, x in enumerate(arguments) if is_leaf(x)]
        weights = self.rng.standard_normal(out.shape)
        products = cotangents(out, weights, arguments)
        entries = out.size * sum(arguments[i].size for i in leaves)
        rows = None
        if entries <= MOST_ENTRIES:
            rows = [cotangents(out, unit(i, out.shape), arguments) for i in range(out.size)]
        for n, i in enumerate(leaves):
            line = partial(Line, fn, arguments, i)
            if rows is None:
                found = self.along_directions(line, out.data, arguments[i].data, weights, products[n])
            else:
                jacobian = np.array([row[n].ravel() for row in rows]).reshape(out.size, arguments[i].size)
                found = self.in_full(line, out.data, arguments[i].data, jacobian, weights, products[n])
            if found is not None:
                found.where = f"{name}, argument {i} at {found.where}"
                return found
        return None

    def in_full(self, line, out, x, jacobian, weights, products):
        """Compare every entry of the Jacobian, then its product with a random cotangent."""
        steps = self.step * np.maximum(1, np.abs(x)).ravel()
        steps = (x.ravel() + steps) - x.ravel()     # so that x + step is a float
        columns = np.zeros((out.size, x.size))
        for j in range(x.size):
            columns[:, j] = line(unit(j, x.shape), weights).slopes(steps[j]).ravel()
        tolerance = self.tolerance(np.abs(columns), np.abs(out).reshape(-1, 1))
        self.refuse_to_guess(np.maximum(np.abs(columns), np.abs(jacobian)), self.rounding(np.abs(out).reshape(-1, 1)))
        for i, j in np.argwhere(~(np.abs(jacobian - columns) <= tolerance)):
            finer = self.at_finer_steps(line(unit(j, x.shape), unit(i, out.shape)), steps[j], jacobian[i, j])
            if finer is not None:
                columns[i, j] = finer
        tolerance = self.tolerance(np.abs(columns), np.abs(out).reshape(-1, 1))
        if (entry := worst(jacobian - columns, tolerance)) is not None:
            i, j = entry
            return Disagreement(f"index {index(j, x.shape)}, output {index(i, out.shape)}",
                                line(unit(j, x.shape), unit(i, out.shape)),
                                steps[j], jacobian[entry], tolerance[entry])
        products = products.ravel()
        tolerance = np.linalg.norm(weights) * self.tolerance(np.linalg.norm(columns, axis=0), np.linalg.norm(out))
        if (entry := worst(products - weights.ravel() @ columns, tolerance)) is not None:
            (j,) = entry
            return Disagreement(f"index {index(j, x.shape)}, random cotangent", line(unit(j, x.shape), weights),
                                steps[j], products[j], tolerance[j])
        return None

    def along_directions(self, line, out, x, weights, products):
        """Compare along random directions; where one disagrees, halve it down to a single entry."""
        scale = np.maximum(1, np.abs(x))
        for _ in range(DIRECTIONS):
            entries, numbers = np.arange(x.size), self.rng.standard_normal(x.shape) * scale
            found = self.along(line, out, numbers, entries, weights, products)
            while found is not None and entries.size > 1:
                for half in np.array_split(entries, 2):
                    closer = self.along(line, out, numbers, half, weights, products)
                    if closer is not None:
                        found, entries = closer, half
                        break
                else:
                    break
            if found is not None:
                return found
        return None

    def along(self, line, out, numbers, entries, weights, products):
        """The disagreement along one direction, which is zero but for some entries of ``numbers``."""
        direction = np.zeros_like(numbers)
        direction.flat[entries] = numbers.flat[entries] if entries.size > 1 else 1
        line = line(direction, weights)
        slopes = line.slopes(self.step)
        product = np.sum(products * direction)
        size = np.linalg.norm(weights)
        tolerance = size * self.tolerance(np.linalg.norm(slopes), np.linalg.norm(out))
        self.refuse_to_guess(np.maximum(size * np.linalg.norm(slopes), np.abs(product)),
                             size * self.rounding(np.linalg.norm(out)))
        if np.abs(product - np.sum(weights * slopes)) <= tolerance:
            return None
        if self.at_finer_steps(line, self.step, product) is not None:
            return None
        at = f"index {index(entries[0], numbers.shape)}" if entries.size == 1 else f"{entries.size} entries"
        return Disagreement(f"{at}, random cotangent", line, self.step, product, tolerance)

    def rounding(self, values):
        """The error of a difference of values of this size."""
        return 4 * EPS / self.step * values

    def tolerance(self, slopes, values):
        return self.atol + self.rtol * slopes + self.rounding(values)

    def refuse_to_guess(self, slopes, rounding):
        """Raise where the error of the differences is larger than every slope, so that any product would pass."""
        top = np.max(slopes, initial=0)
        if top > self.atol and np.all(slopes <= rounding):
            raise AssertionError(
                "gradcheck: cannot tell. The function is so large that its rounding errors hide slopes below "
                f"{np.max(rounding):.2g}, and the largest is {top:.2g}. Subtract a constant from it, or pass a larger "
                "step")

    def at_finer_steps(self, line, step, product):
        """A difference with a smaller step that agrees with the product and is precise enough to tell; or None."""
        x = line.arguments[line.argnum].data[line.direction != 0]
        for h in step * FINER:
            if h < 1e4 * EPS * np.abs(x).max():     # too few floats lie within the step
                return None
            above, below = line(h), line(-h)
            slope = (above - below) / (2 * h)
            rounding = 4 * EPS * max(abs(above), abs(below)) / h
            if (abs(slope - product) <= self.atol + self.rtol * abs(slope) + rounding
                    and rounding <= HIDDEN * max(abs(slope), abs(product))):
                return slope
        return None


def worst(difference, tolerance):
    """The index of the entry furthest beyond its tolerance, a NaN before all; None if there is none."""
    excess = np.abs(difference) - tolerance
    if np.all(excess <= 0):
        return None
    return index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)


def unit(j, shape):
    """Zeros but for a 1 at entry j."""
    return np.eye(1, math.prod(shape), j).reshape(shape)


def index(j, shape):
    """Entry j as an index."""
    return tuple(map(int, np.unravel_index(j, shape)))
