"""Check an estimator that is written in JAX.

    from minigrad.testing.programs import jax as programs

    def test_estimator():
        programs.assert_unbiased(cost, params, estimate)

The check enumerates ``jax.random.bernoulli`` and ``jax.random.categorical``, also inside ``jax.grad``, ``jax.vmap``,
``jax.lax.scan`` and jitted functions, which run without ``jit``.  Other noise is drawn from fixed keys, and the
report says "sampled".
"""

from contextlib import ExitStack
from functools import partial

import numpy as np

try:
    import jax
except ImportError as error:
    raise ImportError("minigrad.testing.programs.jax needs JAX: python -m pip install jax") from error

from minigrad.arguments import described, function
from minigrad.kernels.interrupts import uninterrupted
from minigrad.testing.programs.checking import Program, check
from minigrad.testing.programs.jax_samplers import Answers
from minigrad.testing.programs.report import Coordinates
from minigrad.testing.programs.script import number
from minigrad.testing.programs.session import Session
from minigrad.testing.statistics import ROUNDING

__all__ = ["assert_unbiased", "check_estimator"]

CALLER = "check_estimator"
NOISE = "other noise of jax.random"


def double_precision(on):
    """A context with or without float64."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(on)
    from jax.experimental import enable_x64

    return enable_x64(on)


class Eager(Session):
    """JAX without jit, with the samplers of a check in place of its own."""

    def __init__(self, answers):
        self.answers = answers
        self.open, self.precision = ExitStack(), ExitStack()

    @uninterrupted
    def start(self):
        self.answers.replace()
        self.open.enter_context(jax.disable_jit())

    @uninterrupted
    def precise(self, wide):
        """Begin or end computing in float64."""
        self.precision.close()
        if wide:
            self.precision.enter_context(double_precision(True))

    def restore(self):
        self.precision.close()
        self.open.close()
        self.answers.put_back()


class JaxProgram(Program):
    """Functions of parameters and a key."""

    def __init__(self, cost, params, estimate, key):
        self.compute_cost = function(CALLER, "cost as a function (params, key)", cost, "Use def cost(params, key)")
        if estimate is None:
            estimate = jax.grad(cost)
        self.compute_estimate = function(CALLER, "estimate as a function (params, key)", estimate,
                                         "Use def estimate(params, key)")
        self.key = function(CALLER, "key as a function of an integer", key, "Use jax.random.key or jax.random.PRNGKey")
        paths, self.tree = jax.tree_util.tree_flatten_with_path(params)
        leaves = []
        for _, x in paths:
            if str(getattr(x, "dtype", "no dtype")) not in ("float32", "float64") and not isinstance(x, float):
                raise TypeError(f"{CALLER}: expected params to be a tree of arrays of float32 or float64, got "
                                f"{described(x)} in it. Use jnp.array(x, float)")
            leaves.append(jax.numpy.asarray(x))
        single = jax.tree_util.treedef_is_leaf(self.tree)
        names = ["gradient" if single else "params" + jax.tree_util.keystr(path) for path, _ in paths]
        self.dtypes = [x.dtype for x in leaves]
        self.double = all(dtype == np.float64 for dtype in self.dtypes)
        self.coordinates = Coordinates(names, leaves, partial(jax.tree_util.tree_unflatten, self.tree),
                                       ROUNDING["float64" if self.double else "float32"])
        self.answers = Answers()
        self.current = Eager(self.answers)

    def session(self):
        return self.current

    def write(self, flat, wide):
        self.current.precise(wide and not self.double)
        parts = [jax.numpy.asarray(part, np.float64 if wide else dtype)
                 for part, dtype in zip(self.coordinates.split(flat), self.dtypes, strict=True)]
        self.params = jax.tree_util.tree_unflatten(self.tree, parts)

    def unmoved(self):
        return True         # JAX's arrays do not change

    def once(self, work, run, seed):
        self.answers.begin(run)
        try:
            return work(self.params, self.key(seed))
        finally:
            self.answers.end()

    def result(self, work, run, numbers):
        """The numbers that one run returns.  A probe also runs with another key, to find continuous noise."""
        seed = run.seed % 2**31
        found = numbers(self.once(work, run, seed))
        if run.probe:
            run.script.again()
            if not np.array_equal(found, numbers(self.once(work, run, seed ^ 1)), equal_nan=True):
                run.noise.add(NOISE)
        return found

    def cost(self, run):
        return self.result(self.compute_cost, run, partial(number, "cost(params, key)"))

    def estimate(self, run):
        return self.result(self.compute_estimate, run, self.flat)

    def flat(self, found):
        leaves, tree = jax.tree_util.tree_flatten(found)
        shapes, expected = [np.shape(x) for x in leaves], [v.shape for v in self.coordinates.values]
        if tree != self.tree or shapes != expected:
            raise ValueError(f"expected estimate(params, key) to return a tree like params, with arrays of shapes "
                             f"{expected}, got {tree} with {shapes}")
        return np.concatenate([np.asarray(x, float).ravel() for x in leaves])


def check_estimator(cost, params, estimate=None, *, key=jax.random.key, samples=50_000, significance=1e-6, seed=None,
                    directions=None, step=None):
    """Compare the mean of an estimate with the gradient of the expected cost, over all outcomes.

    The functions run without ``jit``, once for every outcome of their samples.  The gradient is a central
    difference of the expected cost, in float64.  Noise that cannot be enumerated is drawn from fixed keys, and the
    report says so.

    Parameters
    ----------
    cost : function (params, key) that samples with the key, and returns the cost of one run, a scalar.
    params : tree of arrays of float32 or float64, such as an array, a list or a dict.
    estimate : function (params, key) that returns the estimated gradient of one run, a tree like ``params``.
        By default it is ``jax.grad(cost)``, as for straight-through and relaxations.
    key : function that makes a key from an integer; ``jax.random.PRNGKey`` for keys of the older kind.
    samples : the largest number of runs of the program.
    significance : probability of rejecting a right estimator if noise is sampled.
    seed : seed of the keys and the directions; a new one by default.
    directions : compare this number of random directions, instead of all coordinates.  By default
        20 directions if there are more than 200 coordinates.
    step : step of the differences; by default 1e-3 (0.05 if the noise of the cost is sampled).

    Returns
    -------
    ProgramReport, an EstimatorReport, which prints as a table.

    Raises
    ------
    AssertionError
        A cost or an estimate is not finite.
    TypeError
        Parameters are not floating arrays, or samples are drawn in a function that only runs compiled.
    ValueError
        The check needs more runs than ``samples``.  One key is used for different samples.  The program returns
        different results for the same samples, or no scalar.  The cost does not depend on the parameters.  The
        expected cost has a kink.

    >>> import jax, jax.numpy as jnp
    >>> logits = jnp.array([0.3, -0.5])
    >>> @jax.jit
    ... def cost(logits, key):
    ...     bits = jax.random.bernoulli(key, jax.nn.sigmoid(logits))
    ...     return (bits.sum() - 0.4) ** 2
    >>> def reinforce(logits, key):
    ...     p = jax.nn.sigmoid(logits)
    ...     return cost(logits, key) * (jax.random.bernoulli(key, p) - p)
    >>> report = check_estimator(cost, logits, reinforce)
    >>> report.unbiased, report.exact, report.runs
    (True, True, 4)
    """
    return check(JaxProgram(cost, params, estimate, key), samples=samples, significance=significance, seed=seed,
                 directions=directions, step=step)


def assert_unbiased(cost, params, estimate=None, **options):
    """Raise unless the mean of an estimate is the gradient; the arguments are those of ``check_estimator``.

    >>> import jax, jax.numpy as jnp
    >>> def cost(logits, key):
    ...     p = jax.nn.sigmoid(logits)
    ...     bits = jax.random.bernoulli(key, p) + p - jax.lax.stop_gradient(p)       # straight-through
    ...     return (bits.sum() - 0.25) ** 2
    >>> assert_unbiased(cost, jnp.array([1.0]))
    Traceback (most recent call last):
    AssertionError: biased at gradient[0] by 0.09086, exactly: expected 0.098306, got mean 0.189164. 1 of 1 \
coordinates are biased; the mean is 1.924 times the gradient throughout
    """
    report = check_estimator(cost, params, estimate, **options)
    if not report.unbiased:
        raise AssertionError(report.fault())
    return report
