"""Tests of the mean and the variance of a gradient estimate.

Each coordinate is tested separately, so an error in one coordinate is not averaged over the others.  A correct rule is
rejected with a probability of at most ``significance``, over all its coordinates.  If the noise of the rules can be
enumerated, mean and variance are sums over all outcomes, and the result is certain.
"""

from __future__ import annotations

if __name__ == "statistics":
    raise ImportError(
        "this file is minigrad.testing.statistics, but Python was started in its folder, where it hides the "
        "module statistics of Python; start Python in another folder"
    )

from dataclasses import dataclass
from html import escape
from secrets import randbits
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import output
from minigrad.arguments import described, is_real, is_whole
from minigrad.testing.moments import Moments, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array
    from minigrad.tensor import Tensor

ROUNDING = {"float64": 1e-9, "float32": 1e-4}       # rounding error of an exact sum, relative to its terms
OF_COSTS = {"float64": 1e-11, "float32": 1e-5}      # rounding error of an estimate, relative to the costs
POWER = 0.99        # of the test, for the bias that a report calls detectable
MOST_LINES = 30     # the largest number of lines in the table of a report


@dataclass(repr=False)
class EstimatorReport:
    """The result of ``check_estimator``.  Its arrays have the form of ``params``.

    Attributes
    ----------
    gradient : the exact gradient.
    mean, bias, stderr, z, variance : moments of the estimate, for each coordinate.  ``bias`` is the mean minus the
        exact gradient, ``stderr`` is its standard error, and ``z`` is bias / stderr.  If all outcomes were enumerated,
        ``stderr`` is 0, and ``z`` is 0 or infinite.
    cosine : cosine of the angle between the mean and the exact gradient.
    evaluations : number of evaluations of the cost for one estimate, with the forward pass.
    seconds : time for one estimate on this machine, the median of those that were measured.
    exact : whether all outcomes were enumerated.  If not, ``runs`` is the number of samples.
    detectable : for each coordinate the smallest bias that would be detected with probability 0.99.
    unbiased : whether no coordinate has a significant bias.
    """

    problem: Problem
    truth: Array
    moments: Moments
    significance: float
    confirmed: Array | None = None

    def __post_init__(self) -> None:
        m = self.moments
        self.difference = m.mean - self.truth
        if m.exact:
            right = np.abs(self.difference) <= self.tolerance()
            self.ratio = np.where(right, 0.0, np.copysign(np.inf, self.difference))
        else:
            self.ratio = ratio(self.difference, m.stderr)
        self.biased = np.abs(self.ratio) > self.critical
        if self.confirmed is not None:
            self.biased &= self.confirmed

    def tolerance(self) -> Array:
        """The largest rounding error of an exact mean, for each coordinate."""
        rounding, of_costs = (max(table[str(p.dtype)] for p in self.problem.leaves) for table in (ROUNDING, OF_COSTS))
        terms = np.abs(self.truth) + np.sqrt(self.moments.variance) + np.abs(self.truth).max()
        return rounding * terms + of_costs * self.problem.scale

    @property
    def critical(self) -> float:
        """The largest |z| that passes the two-sided test, corrected for the number of coordinates."""
        return critical(self.significance, len(self.truth))

    gradient = property(lambda self: self.problem.shaped(self.truth))
    mean = property(lambda self: self.problem.shaped(self.moments.mean))
    bias = property(lambda self: self.problem.shaped(self.difference))
    stderr = property(lambda self: self.problem.shaped(self.moments.stderr))
    z = property(lambda self: self.problem.shaped(self.ratio))
    variance = property(lambda self: self.problem.shaped(self.moments.variance))
    evaluations = property(lambda self: self.moments.evaluations)
    seconds = property(lambda self: float(np.median(self.problem.times)))
    exact = property(lambda self: self.moments.exact)
    runs = property(lambda self: self.moments.runs)
    unbiased = property(lambda self: not self.biased.any())

    @property
    def smallest(self) -> Array:
        """The smallest detectable bias, as a vector over all coordinates."""
        if self.exact:
            return self.tolerance()
        return (self.critical + NormalDist().inv_cdf(POWER)) * self.moments.stderr

    detectable = property(lambda self: self.problem.shaped(self.smallest))

    @property
    def cosine(self) -> float:
        norms = np.linalg.norm(self.moments.mean) * np.linalg.norm(self.truth)
        return float(self.moments.mean @ self.truth / norms) if norms > 0 else float("nan")

    def fault(self) -> str | None:
        """A message that describes the bias of the mean.  None if there is none."""
        if self.unbiased:
            return None
        mean, truth, names = self.moments.mean, self.truth, self.problem.coordinates
        worst = int(np.argmax(np.where(self.biased, np.abs(self.difference), -1.0)))
        if not mean.any() and not self.moments.variance.any():
            return (f"silent zero: expected {truth[worst]:.4g} at {names[worst]}, got 0 in every outcome. "
                    "No gradient comes back through the samples")
        if self.exact:
            size = f"{self.difference[worst]:.4g}, exactly"
        else:
            size = (f"{self.difference[worst]:.4g} ± {self.moments.stderr[worst]:.2g} "
                    f"(z = {self.ratio[worst]:.1f}, allowed {self.critical:.1f})")
        text = (f"biased at {names[worst]} by {size}: expected {truth[worst]:.6g}, got mean {mean[worst]:.6g}. "
                f"{self.biased.sum()} of {len(truth)} coordinates are biased")
        return text + self.pattern()

    def pattern(self) -> str:
        """A regularity of the bias, which helps to find its cause; "" if there is none."""
        mean, truth, allowed = self.moments.mean, self.truth, self.tolerance()
        if not self.exact:
            allowed = self.critical * self.moments.stderr
        factor = mean @ truth / max(truth @ truth, 1e-300)
        dead = ~mean.astype(bool) & (self.moments.variance == 0) & self.biased
        if (np.abs(mean) <= allowed).all():
            return "; the mean is 0 throughout"
        if (np.abs(mean - factor * truth) <= allowed).all():
            return f"; the mean is {factor:.4g} times the gradient throughout"
        if (np.abs(np.abs(mean) - np.abs(truth)) <= allowed).all():
            return "; only signs are reversed"
        if dead.any():
            return f"; silent zero at {self.problem.coordinates[int(np.argmax(dead))]}, which never gets a gradient"
        return ""

    def parts(self) -> tuple[str, list[str], list[list[str]], list[Any]]:
        """The parts of a printed report: a line, the header and the rows of a table, and the lines after it."""
        m = self.moments
        header = ["", "gradient", "mean", "bias", "stderr", "z", "variance"]
        shown = np.sort(np.argsort(-np.abs(self.difference), kind="stable")[:MOST_LINES])
        columns = [self.truth, m.mean, self.difference, m.stderr, self.ratio, m.variance]
        formats = [".6g", ".6g", ".3g", ".2g", ".2f", ".5g"]
        rows = [[self.problem.coordinates[i], *(format(column[i], form)
                                                for column, form in zip(columns, formats, strict=True))] for i in shown]
        after = []
        if len(shown) < len(self.truth):
            after.append(f"and {len(self.truth) - len(shown)} coordinates with less bias")
        after.append(self.passed() if self.unbiased else self.fault())
        return self.summary(), header, rows, after + self.notes()

    def summary(self) -> str:
        """A line that says how mean and variance were computed."""
        m = self.moments
        how = f"{m.runs} samples"
        if m.exact:
            how = f"all {m.runs} joint outcomes enumerated: exact"
        if m.exact and m.rows > 1:
            how = (f"{m.runs} outcomes enumerated, separately for {m.rows} groups of rows: exact if rows are "
                   f"independent, as they were in {m.states} states of the other rows")
        return f"{how}; {m.evaluations:.3g} evaluations each; cosine {self.cosine:.4f}"

    def passed(self) -> str:
        """The sentence of a report on an unbiased estimate."""
        return (f"unbiased; a bias of {np.max(self.smallest):.2g} would have been found"
                + ("" if self.exact else f" with probability {POWER}"))

    def notes(self) -> list[str]:
        """Sentences about broken claims and relaxed samples in the graph."""
        notes = [f"claims to be unbiased, but not in this graph: {claim}" for claim in self.problem.broken_claims]
        if self.problem.given_up:
            notes.append("not decided exactly: to enumerate all outcomes takes more than "
                         f"{self.problem.most_evaluations} evaluations of the cost, so samples were drawn")
        if self.problem.relaxed:
            names = ", ".join(map(repr, self.problem.relaxed))
            notes.append(f"the samples of {names} are relaxed; the exact gradient is for samples of 0 and 1")
        return notes

    def __repr__(self) -> str:
        before, header, rows, after = self.parts()
        width = max(map(len, self.problem.coordinates), default=0)
        table = ["{:{}}  {:>12} {:>12} {:>11} {:>10} {:>7} {:>11}".format(row[0], width, *row[1:])
                 for row in [header, *rows]]
        return output.shown("\n".join([before, *table, *after]))

    def _repr_html_(self) -> str:
        """The report as a table in a notebook."""
        before, header, rows, after = self.parts()
        lines = [f"<tr><th>{'</th><th>'.join(header)}</th></tr>"]
        lines += [f"<tr><th>{escape(name)}</th><td>{'</td><td>'.join(cells)}</td></tr>" for name, *cells in rows]
        return f"<p>{before}</p><table>{''.join(lines)}</table>" + "".join(f"<p>{escape(line)}</p>" for line in after)


def as_list(arrays: Any) -> list[Any]:
    """Arrays in the form of ``params``, as a list."""
    if isinstance(arrays, dict):
        return list(arrays.values())
    return arrays if isinstance(arrays, list) else [arrays]


def ratio(difference: Array, stderr: Array) -> Array:
    """difference / stderr, and 0 where the difference is 0.  Infinite where only ``stderr`` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / stderr)


def critical(significance: float, count: int) -> float:
    """The |z| that one of ``count`` normal numbers exceeds with a probability of at most ``significance``."""
    if not is_real(significance) or not 0 < significance < 1:
        raise ValueError(f"expected a significance between 0 and 1, got {described(significance)}")
    return -NormalDist().inv_cdf(significance / (2 * count))


def checked_seed(samples: int, seed: int | None) -> int:
    """The seed, or a new seed if it is None.  Raises a ValueError for a wrong seed or number of samples."""
    if not is_whole(samples, 2):
        raise ValueError(f"expected samples to be an int of at least 2, got {described(samples)}")
    if seed is not None and not is_whole(seed):
        raise ValueError(f"expected seed to be an int of at least 0 or None, got {described(seed)}")
    return randbits(32) if seed is None else seed


def check_estimator(fn: Callable[..., Tensor], params: Any, *, samples: int = 10_000, significance: float = 1e-6,
                    seed: int | None = None) -> EstimatorReport:
    """Compare the gradient that the rules of a graph estimate with the exact gradient, at each coordinate.

    If at most ``samples`` backward passes can enumerate all outcomes of the noise, mean and variance are exact.  The
    noise includes that of the binary nodes, and that of the rules.  If there are too many joint outcomes, rows that
    ``expected`` declares independent are enumerated one after the other.  The report says so.  Then a test checks that
    the estimate is a sum over rows, for every outcome, in another state of the other rows.

    If the outcomes cannot be enumerated, ``samples`` estimates are drawn.  If these show a bias, as many are drawn
    again.  The rule is rejected only if both sets show the bias.

    The memories of rules do not change.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, which draws from the Generator ``rng``, or ``fn()``, which
        draws from the default generator.  It is called for every pass.
    params : Tensor, list or dict of Tensors, leaves that ``fn`` uses.  The keys of a dict are their names.
    samples : the largest number of backward passes.
    significance : the probability with which a correct rule is rejected, over all coordinates.  For samples it assumes
        that their mean is nearly normal.
    seed : seed of the samples.  By default a new one.

    Returns
    -------
    EstimatorReport, which prints as a table.

    Raises
    ------
    AssertionError
        An estimate is not finite.
    ValueError
        There are more than 2**20 joint states.  Or ``fn`` draws other noise than that of its binary nodes.  Or the loss
        does not depend on one of ``params``.  Or rows are not independent, although ``expected`` requires it
        (``check_rows``).

    >>> import minigrad as mg
    >>> logits = mg.tensor([0.0, -1.0], requires_grad=True)
    >>> def fn(rng):
    ...     bits = mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng)
    ...     return mg.expected(bits.sum(keepdims=True) ** 2)
    >>> report = mg.testing.check_estimator(fn, logits)
    >>> report.unbiased, report.exact, report.bias.round(12) + 0.0
    (True, True, array([0., 0.]))
    """
    problem = Problem(fn, params)
    critical(significance, len(problem.coordinates))
    seed = checked_seed(samples, seed)
    gradient, groups = problem.exact(seed)
    report = EstimatorReport(problem, gradient, problem.moments(groups, samples, seed), significance)
    if report.unbiased or report.exact:
        return report
    second = EstimatorReport(problem, gradient, problem.sampled_moments(samples, seed + 1), significance)
    confirmed = second.biased & (np.sign(second.difference) == np.sign(report.difference))
    return EstimatorReport(problem, gradient, second.moments, significance, confirmed)


def assert_unbiased(fn: Callable[..., Tensor], params: Any, **options: Any) -> EstimatorReport:
    """Raise an AssertionError if the mean of the estimate differs from the exact gradient at any coordinate.

    The estimate also has to be finite, and two estimates from the same noise have to be equal.  The parameters and
    options are those of ``check_estimator``.  Returns the report.

    >>> import minigrad as mg
    >>> logits = mg.tensor([0.0, 0.0], requires_grad=True)
    >>> def fn(rng):
    ...     bits = mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=rng)
    ...     return mg.expected(bits.sum(keepdims=True))
    >>> mg.testing.assert_unbiased(fn, logits)
    Traceback (most recent call last):
    AssertionError: biased at gradient[0] by 0.75, exactly: expected 0.25, got mean 1. 2 of 2 coordinates are \
biased; the mean is 4 times the gradient throughout
    """
    report = check_estimator(fn, params, **options)
    where = report.problem.undetermined(seed=0)
    if where is not None:
        raise AssertionError(f"not deterministic under a seed: two estimates from the same noise differ at {where}. "
                             "Draw from the generator rng that fn gets, and in a rule from node.rng")
    if not report.unbiased:
        raise AssertionError(report.fault())
    return report


def assert_mean(fn: Callable[..., Tensor], params: Any, reference: Any, *, samples: int = 10_000,
                significance: float = 1e-6, seed: int | None = None) -> None:
    """Raise an AssertionError if the mean of the estimate is not ``reference``.  For tests of biased rules.

    Parameters
    ----------
    fn, params, samples, significance, seed : as for ``check_estimator``.
    reference : the mean, in the form of ``params``.  Or a function like ``fn`` with a rule that is known to be correct.
        Its estimate then has this mean.
    """
    compare("mean", fn, params, reference, samples, significance, seed)


def assert_variance(fn: Callable[..., Tensor], params: Any, reference: Any, *, samples: int = 10_000,
                    significance: float = 1e-6, seed: int | None = None) -> None:
    """Raise an AssertionError if the variance of the estimate differs from ``reference`` at any coordinate.

    A wrong rule can have the right mean.  For example, a rule that draws new noise where it should use the noise of the
    sample may have a wrong variance only.

    Parameters
    ----------
    fn, params, samples, significance, seed : as for ``check_estimator``.
    reference : the variances, in the form of ``params``.  Or a function like ``fn`` with a rule that is known to be
        correct.  Its estimate then has these variances.

    >>> import minigrad as mg
    >>> logits = mg.tensor([0.0], requires_grad=True)
    >>> def fn(rng):
    ...     bit = mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng)
    ...     return mg.expected((bit - 0.499) ** 2)
    >>> mg.testing.assert_variance(fn, logits, np.array([0.03125]))
    Traceback (most recent call last):
    AssertionError: variance off by a factor 0.5 at gradient[0]: expected 0.03125, got 0.0156251, exactly
    """
    compare("variance", fn, params, reference, samples, significance, seed)


def compare(what: str, fn: Callable[..., Tensor], params: Any, reference: Any, samples: int, significance: float,
            seed: int | None) -> None:
    """Raise an AssertionError if a moment of the estimate, "mean" or "variance", is not the reference."""
    seed = checked_seed(samples, seed)
    problem = Problem(fn, params)
    if callable(reference):
        fn_of_reference: Any = reference
        reference = Problem(fn_of_reference, params)
    else:
        try:
            reference = problem.flat(as_list(reference))
        except (TypeError, ValueError):
            raise TypeError("expected a reference in the form of params, or a function like fn, got "
                            f"{described(reference)}. Use an array for each of params") from None
        if reference.size != len(problem.coordinates):
            raise ValueError(f"expected a reference with {len(problem.coordinates)} entries, as in params, "
                             f"got {reference.size}")
    compare_moments(what, problem, reference, samples, significance, seed)


def compare_moments(what: str, problem: Problem, reference: Any, samples: int, significance: float, seed: int) -> None:
    """Raise an AssertionError if a moment is not the reference: an array, or a Problem with the same moment."""
    _, groups = problem.exact(seed)
    moments = problem.moments(groups, samples, seed)
    got, expected, stderr = getattr(moments, what), reference, error_of(moments, what)
    if isinstance(reference, Problem):
        of_reference = reference.moments(groups, samples, seed + 1)
        expected, stderr = getattr(of_reference, what), np.hypot(stderr, error_of(of_reference, what))
    z = critical(significance, got.size)
    allowed = z * stderr + 1e-9 * (np.abs(expected).max() + np.abs(got).max())
    worst = int(np.argmax(np.abs(got - expected) / allowed.clip(1e-300)))
    if abs(got[worst] - expected[worst]) <= allowed[worst]:
        return
    if what == "variance":
        ratio = got[worst] / expected[worst] if expected[worst] else np.inf
        text = f"variance off by a factor {ratio:.4g}"
    else:
        text = f"mean off by {got[worst] - expected[worst]:.4g}"
    size = f" ± {stderr[worst]:.2g}" if stderr[worst] else ", exactly"
    raise AssertionError(f"{text} at {problem.coordinates[worst]}: expected {expected[worst]:.6g}, "
                         f"got {got[worst]:.6g}{size}")


def error_of(moments: Moments, what: str) -> Array:
    """The standard error of a moment, "mean" or "variance"."""
    return moments.stderr if what == "mean" else moments.variance_stderr
