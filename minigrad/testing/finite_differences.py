"""Comparison of vector-Jacobian products with finite differences.

    (f(x + h) - f(x - h)) / 2h = f'(x) + O(h²)

in float64, with the step h = 6e-6 · max(1, |x|).  6e-6 is the cube root of the rounding error.  With this step, the
errors of truncation and of rounding are about equal, and about eleven digits are correct.  If a function varies within
this step, such as sin(x) at 10⁶ or log(x) at 10⁻⁷, smaller steps are tried too.  If a function is so large that
rounding hides its slopes, an error says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops
from minigrad.arguments import described, function, is_real, is_whole
from minigrad.graph import Evaluation, ancestors
from minigrad.tensor import Tensor, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from minigrad.aliases import Array, Shape

STEP = 6e-6
MOST_ENTRIES = 10_000       # the largest number of entries of a Jacobian that is compared entry by entry
DIRECTIONS = 5              # the number of random directions in which a larger Jacobian is compared
#: Factors by which the step is multiplied where products and differences disagree.
FINER = 10.0 ** -np.arange(1, 13)
HIDDEN = 1e-5               # the largest rounding error at a finer step, relative to the slope
EPS = np.finfo(np.float64).eps
ROUNDING = 4 * EPS / STEP   # the rounding error of a difference, relative to the function


def gradcheck(fn: Callable[..., Tensor], inputs: Any, *, rtol: float = 1e-6, atol: float = 1e-7, order: int = 1,
              seed: int = 0, step: float | None = None) -> bool:
    """Compare the gradients of ``fn`` with central differences, in float64.

    A Jacobian of at most 10,000 entries is compared entry by entry, and then its product with a random cotangent is
    compared.  A larger Jacobian is compared in random directions.  Where the values disagree, fourth-order and
    one-sided differences are computed too.  They distinguish a wrong product from a kink, and from a function that
    varies within the step.  Then each primitive of the graph is compared alone, to find the one with the error.

    Parameters
    ----------
    fn : function of the inputs that returns one Tensor.  For the same inputs it must return the same value.
    inputs : Tensor or array, or a list of them.  Floating inputs are converted to float64 and differentiated.  Other
        inputs are passed to ``fn`` unchanged.
    rtol, atol : the values may differ by atol + rtol · (the larger value), plus the rounding error of ``fn``.
    order : 2 also compares second derivatives, which are computed with ``create_graph``.
    seed : seed of the random cotangent and directions.
    step : step of the differences, in units of max(1, |x|).  6e-6 by default.

    Returns
    -------
    True

    Raises
    ------
    AssertionError
        The values disagree.  The message says "wrong", "kink" or "step too coarse".  It names the primitive, the
        argument, the index, both values and the seed.  Or the function is so large that its rounding errors hide all
        slopes, so that they cannot be compared.
    TypeError
        ``fn`` does not return a float64 Tensor.
    ValueError
        There are no floating inputs, ``fn`` returns different values for the same inputs, ``order`` is not 1 or 2,
        ``step`` is not above 0, or ``fn`` draws random bits whose logits depend on the inputs.

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
                         f"rule {random[0].rule!r}. A sample is not continuous, so differences give no gradient. "
                         "Use mg.testing.exact_gradient for the exact gradient, or mg.testing.assert_unbiased to "
                         "test the rule")
    if not np.array_equal(out.data, evaluate(fn, arguments).data, equal_nan=True):
        raise ValueError("gradcheck: expected a function that returns the same value each time, got two "
                         "different values. Draw random numbers outside the function" + (
                             ", or make the generator inside the function: rng=mg.Generator(0)" if random else ""))
    disagreement = check.locate(fn, arguments)
    if disagreement is None and order == 2:
        cotangent = leaf(check.rng.standard_normal(out.shape))
        disagreement = check.locate(gradients_of(fn), [*arguments, cotangent], "second derivative, ")
    if disagreement is not None:
        raise AssertionError(f"gradcheck: {disagreement}; seed {seed}")
    return True


def leaf(x: Any) -> Any:
    """A new float64 leaf with the value of x, if x is floating; otherwise x."""
    value = x.data if isinstance(x, Tensor) else x
    if getattr(value, "dtype", np.dtype(object)).kind != "f":
        return x
    return tensor(value, dtype=np.float64, requires_grad=True)


def is_leaf(x: Any) -> bool:
    """Whether x is one of the leaves that ``leaf`` has made."""
    return isinstance(x, Tensor) and x.requires_grad


def evaluate(fn: Callable[..., Any], arguments: Sequence[Any]) -> Tensor:
    """The result of ``fn``, if it is a float64 Tensor on the CPU."""
    out = fn(*arguments)
    if not isinstance(out, Tensor) or out.dtype != np.float64:
        got = f"a Tensor of {out.dtype}" if isinstance(out, Tensor) else type(out).__name__
        raise TypeError(f"gradcheck: expected a function that returns a float64 Tensor, got {got}. Let its "
                        "result follow the dtype of its inputs")
    devices.check_cpu("gradcheck", out)
    return out


def cotangents(out: Tensor, seed: Any, arguments: Sequence[Any], create_graph: bool = False) -> list[Any]:
    """The cotangents of the leaves among the arguments.  Zeros for a leaf on which ``out`` does not depend."""
    leaves = [x for x in arguments if is_leaf(x)]
    gradients = Evaluation([out], [seed]).backward(leaves, create_graph)
    return [ops.dense(gradients.get(x, np.zeros(x.shape))) for x in leaves]


def gradients_of(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function (inputs, cotangent) -> gradients of ``fn``, as one vector."""
    def gradients(*arguments):
        *arguments, cotangent = arguments
        parts = cotangents(fn(*arguments), cotangent, arguments, create_graph=True)
        vector = ops.concatenate([ops.reshape(g, (-1,)) for g in parts])
        return vector if isinstance(vector, Tensor) else Tensor(vector)
    return gradients


@dataclass
class Line:
    """weights · fn(x + t · direction) as a function of the number t.  x is argument number ``argnum``."""

    fn: Callable[..., Any]
    arguments: list[Any]
    argnum: int
    direction: Array
    weights: Array

    def outputs(self, t: float) -> Array:
        """fn(x + t · direction)."""
        moved = list(self.arguments)
        moved[self.argnum] = leaf(moved[self.argnum].data + t * self.direction)
        return self.fn(*moved).data

    def __call__(self, t: float) -> Any:
        return np.sum(self.weights * self.outputs(t))

    def slopes(self, h: float) -> Array:
        """Central differences of the outputs, with step h."""
        return (self.outputs(h) - self.outputs(-h)) / (2 * h)


@dataclass
class Disagreement:
    """A product that differs from the central difference, and other differences that explain why."""

    where: str
    line: Line
    step: Any
    product: Any
    tolerance: Any

    def verdict(self, central: float, fourth: float) -> str:
        """"kink", "step too coarse" or "wrong".

        For a smooth function, the second difference divided by h is half as large for half the step.  At a kink or a
        jump it is not.
        """
        f, h = self.line, self.step
        bends = np.array([(f(h) - 2 * f(0) + f(-h)) / h for h in (h, h / 2, h / 4)])
        rounding = 8 * ROUNDING * np.abs(f(0))
        if np.abs(bends[0]) > self.tolerance + rounding and not np.all(
                np.abs(bends[1:] - bends[:-1] / 2) <= 0.2 * np.abs(bends[:-1]) + rounding):
            return "kink"
        if np.abs(fourth - self.product) < np.abs(central - self.product) / 3:
            return "step too coarse"
        return "wrong"

    def __str__(self) -> str:
        f, h = self.line, self.step
        central = (f(h) - f(-h)) / (2 * h)
        fourth = (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)
        return (f"{self.where}: {self.verdict(central, fourth)}. Expected {central:.9g} (central "
                f"difference), got {self.product:.9g} (vector-Jacobian product); at fourth order "
                f"{fourth:.9g}, from the left {(f(0) - f(-h)) / h:.9g}, "
                f"from the right {(f(h) - f(0)) / h:.9g}")


class Comparison:
    """The comparison of products with differences, within a tolerance."""

    def __init__(self, rtol: float, atol: float, rng: np.random.Generator, step: float = STEP) -> None:
        self.rtol, self.atol, self.rng, self.step = rtol, atol, rng, step

    def locate(self, fn: Callable[..., Any], arguments: list[Any], prefix: str = "") -> Disagreement | None:
        """A disagreement of ``fn``, or of its first primitive that also disagrees alone.  None if there is none."""
        disagreement = self.compare(fn, arguments, prefix + getattr(fn, "__name__", "fn"))
        if disagreement is None:
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
        disagreement.where += " (each primitive agrees alone: does a value leave the graph?)"
        return disagreement

    def compare(self, fn: Callable[..., Any], arguments: list[Any], name: str) -> Disagreement | None:
        """The largest disagreement of the first argument that has one.  None if there is none."""
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
                disagreement = self.along_directions(line, out.data, arguments[i].data, weights, products[n])
            else:
                jacobian = np.array([row[n].ravel() for row in rows]).reshape(out.size, arguments[i].size)
                disagreement = self.in_full(line, out.data, arguments[i].data, jacobian, weights, products[n])
            if disagreement is not None:
                disagreement.where = f"{name}, argument {i} at {disagreement.where}"
                return disagreement
        return None

    def in_full(self, line: Callable[..., Line], out: Array, x: Array, jacobian: Array, weights: Array,
                products: Array) -> Disagreement | None:
        """Compare every entry of the Jacobian, and then its product with a random cotangent."""
        steps = self.step * np.maximum(1, np.abs(x)).ravel()
        steps = (x.ravel() + steps) - x.ravel()     # the exact difference of two floats
        columns = np.zeros((out.size, x.size))
        for j in range(x.size):
            columns[:, j] = line(unit(j, x.shape), weights).slopes(steps[j]).ravel()
        tolerance = self.tolerance(np.abs(columns), np.abs(out).reshape(-1, 1))
        self.check_precision(np.maximum(np.abs(columns), np.abs(jacobian)), self.rounding(np.abs(out).reshape(-1, 1)))
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

    def along_directions(self, line: Callable[..., Line], out: Array, x: Array, weights: Array,
                         products: Array) -> Disagreement | None:
        """Compare in random directions.  A direction that disagrees is bisected down to a single entry."""
        scale = np.maximum(1, np.abs(x))
        for _ in range(DIRECTIONS):
            entries, numbers = np.arange(x.size), self.rng.standard_normal(x.shape) * scale
            disagreement = self.along(line, out, numbers, entries, weights, products)
            while disagreement is not None and entries.size > 1:
                for half in np.array_split(entries, 2):
                    closer = self.along(line, out, numbers, half, weights, products)
                    if closer is not None:
                        disagreement, entries = closer, half
                        break
                else:
                    break
            if disagreement is not None:
                return disagreement
        return None

    def along(self, line: Any, out: Array, numbers: Array, entries: Array, weights: Array,
              products: Array) -> Disagreement | None:
        """The disagreement in one direction: some entries of ``numbers``, and zeros elsewhere."""
        direction = np.zeros_like(numbers)
        direction.flat[entries] = numbers.flat[entries] if entries.size > 1 else 1
        line = line(direction, weights)
        slopes = line.slopes(self.step)
        product = np.sum(products * direction)
        size = np.linalg.norm(weights)
        tolerance = size * self.tolerance(np.linalg.norm(slopes), np.linalg.norm(out))
        self.check_precision(np.maximum(size * np.linalg.norm(slopes), np.abs(product)),
                             size * self.rounding(np.linalg.norm(out)))
        if np.abs(product - np.sum(weights * slopes)) <= tolerance:
            return None
        if self.at_finer_steps(line, self.step, product) is not None:
            return None
        at = f"index {index(entries[0], numbers.shape)}" if entries.size == 1 else f"{entries.size} entries"
        return Disagreement(f"{at}, random cotangent", line, self.step, product, tolerance)

    def rounding(self, values: Any) -> Any:
        """The rounding error of a difference of values of this size."""
        return 4 * EPS / self.step * values

    def tolerance(self, slopes: Any, values: Any) -> Any:
        """The largest difference that is allowed."""
        return self.atol + self.rtol * slopes + self.rounding(values)

    def check_precision(self, slopes: Any, rounding: Any) -> None:
        """Raise an AssertionError if rounding errors are larger than every slope: any product would pass."""
        top = np.max(slopes, initial=0)
        if top > self.atol and np.all(slopes <= rounding):
            raise AssertionError(
                "gradcheck: cannot tell. The function is so large that its rounding errors hide slopes below "
                f"{np.max(rounding):.2g}, and the largest slope is {top:.2g}. Subtract a constant from it, or pass a "
                "larger step")

    def at_finer_steps(self, line: Line, step: Any, product: Any) -> Any:
        """A precise difference with a smaller step that agrees with the product, or None."""
        x = line.arguments[line.argnum].data[line.direction != 0]
        for h in step * FINER:
            if h < 1e4 * EPS * np.abs(x).max():     # there are too few floats within the step
                return None
            above, below = line(h), line(-h)
            slope = (above - below) / (2 * h)
            rounding = 4 * EPS * max(abs(above), abs(below)) / h
            if (abs(slope - product) <= self.atol + self.rtol * abs(slope) + rounding
                    and rounding <= HIDDEN * max(abs(slope), abs(product))):
                return slope
        return None


def worst(difference: Array, tolerance: Array) -> Any:
    """The index of the entry that exceeds its tolerance most, or that is NaN.  None if there is none."""
    excess = np.abs(difference) - tolerance
    if np.all(excess <= 0):
        return None
    return index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), excess.shape)


def unit(j: Any, shape: Shape) -> Array:
    """An array of zeros, with a 1 at entry j."""
    return np.eye(1, math.prod(shape), j).reshape(shape)


def index(j: Any, shape: Shape) -> tuple[int, ...]:
    """The index of entry j, in the order of memory."""
    return tuple(map(int, np.unravel_index(j, shape)))
