"""Is the mean of a gradient estimate the gradient, and is its variance what it should be?

Every coordinate is judged by itself: an error in one is not averaged away over the others, and the
bound is set so that a right rule is rejected, at any of its coordinates, with probability at most
``significance``.  Where the noise of the rules is finite, mean and variance are sums over all
outcomes, and there is nothing left to chance.
"""

if __name__ == "statistics":
    raise ImportError(
        "this file is minigrad.testing.statistics, but Python was started in its folder, where it hides Python's own "
        "module statistics; start Python in another folder"
    )

from dataclasses import dataclass
from html import escape
from secrets import randbits
from statistics import NormalDist

import numpy as np

from minigrad import output
from minigrad.arguments import described, is_real, is_whole
from minigrad.testing.moments import Moments, Problem

ROUNDING = {"float64": 1e-9, "float32": 1e-4}       # of an exact sum, relative to its terms
OF_COSTS = {"float64": 1e-11, "float32": 1e-5}      # of an estimate, relative to the size of the costs
POWER = 0.99
MOST_LINES = 30     # of a printed report


@dataclass(repr=False)
class EstimatorReport:
    """What ``check_estimator`` found, in arrays of the form of ``params``.

    Attributes
    ----------
    gradient : the exact one.
    mean, bias, stderr, z, variance : by coordinate; ``bias`` is the mean less the exact gradient,
        ``stderr`` its standard error (0 where the outcomes were enumerated) and ``z`` their ratio
        (0 or infinite where they were).
    cosine : of the angle between the mean and the exact gradient.
    evaluations : of the cost that one estimate takes, the forward pass included.
    seconds : that one estimate took on this machine, the median over those that were made.
    exact : whether all outcomes were enumerated; if not, ``runs`` is the number of samples.
    detectable : the smallest bias that would have been detected with probability 0.99, by coordinate.
    unbiased : whether no coordinate is farther from the exact gradient than ``significance`` allows.
    """

    problem: Problem
    truth: np.ndarray
    moments: Moments
    significance: float
    confirmed: np.ndarray = None

    def __post_init__(self):
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

    def tolerance(self):
        """How far rounding may take an exact mean from the truth, by coordinate."""
        rounding, of_costs = (max(table[str(p.dtype)] for p in self.problem.leaves) for table in (ROUNDING, OF_COSTS))
        terms = np.abs(self.truth) + np.sqrt(self.moments.variance) + np.abs(self.truth).max()
        return rounding * terms + of_costs * self.problem.scale

    @property
    def critical(self):
        """The largest |z| that passes: two-sided, and shared out among the coordinates."""
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
    def smallest(self):
        """The bias that would have been found, as an array over all coordinates."""
        if self.exact:
            return self.tolerance()
        return (self.critical + NormalDist().inv_cdf(POWER)) * self.moments.stderr

    detectable = property(lambda self: self.problem.shaped(self.smallest))

    @property
    def cosine(self):
        norms = np.linalg.norm(self.moments.mean) * np.linalg.norm(self.truth)
        return float(self.moments.mean @ self.truth / norms) if norms > 0 else float("nan")

    def fault(self):
        """What is wrong with the mean, in a sentence or two; None if nothing is."""
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

    def pattern(self):
        """A regularity of the bias that tells where to look."""
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

    def parts(self):
        """What is said before the table, its header, its rows, and what is said after it."""
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

    def summary(self):
        """How mean and variance were found, in a line."""
        m = self.moments
        how = f"{m.runs} samples"
        if m.exact:
            how = f"all {m.runs} joint outcomes enumerated: exact"
        if m.exact and m.rows > 1:
            how = (f"{m.runs} outcomes enumerated, those of each of {m.rows} groups of rows by themselves: exact if "
                   f"rows are independent, as they were in {m.states} states of the other rows")
        return f"{how}; {m.evaluations:.3g} evaluations each; cosine {self.cosine:.4f}"

    def passed(self):
        """What an unbiased estimate has shown, in a sentence."""
        return (f"unbiased; a bias of {np.max(self.smallest):.2g} would have been found"
                + ("" if self.exact else f" with probability {POWER}"))

    def notes(self):
        """What else the graph shows: a list of sentences."""
        notes = [f"claims to be unbiased, but not in this graph: {claim}" for claim in self.problem.broken_claims]
        if self.problem.given_up:
            notes.append("not decided exactly: to enumerate all outcomes takes more than "
                         f"{self.problem.most_evaluations} evaluations of the cost, so samples were drawn")
        if self.problem.relaxed:
            names = ", ".join(map(repr, self.problem.relaxed))
            notes.append(f"the samples of {names} are relaxed; the exact gradient is that for samples of 0 and 1")
        return notes

    def __repr__(self):
        before, header, rows, after = self.parts()
        width = max(map(len, self.problem.coordinates), default=0)
        table = ["{:{}}  {:>12} {:>12} {:>11} {:>10} {:>7} {:>11}".format(row[0], width, *row[1:])
                 for row in [header, *rows]]
        return output.shown("\n".join([before, *table, *after]))

    def _repr_html_(self):
        """What a notebook shows."""
        before, header, rows, after = self.parts()
        lines = [f"<tr><th>{'</th><th>'.join(header)}</th></tr>"]
        lines += [f"<tr><th>{escape(name)}</th><td>{'</td><td>'.join(cells)}</td></tr>" for name, *cells in rows]
        return f"<p>{before}</p><table>{''.join(lines)}</table>" + "".join(f"<p>{escape(line)}</p>" for line in after)


def as_list(arrays):
    if isinstance(arrays, dict):
        return list(arrays.values())
    return arrays if isinstance(arrays, list) else [arrays]


def ratio(difference, stderr):
    """Difference in units of its standard error; infinite where that is 0 and the difference is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference / stderr)


def critical(significance, count):
    """The |z| that one of ``count`` normal numbers exceeds with probability ``significance`` at most."""
    if not is_real(significance) or not 0 < significance < 1:
        raise ValueError(f"expected a significance between 0 and 1, got {described(significance)}")
    return -NormalDist().inv_cdf(significance / (2 * count))


def checked_seed(samples, seed):
    """The seed, or a fresh one for None, if it and the number of samples can be used."""
    if not is_whole(samples, 2):
        raise ValueError(f"expected samples to be an int of at least 2, got {described(samples)}")
    if seed is not None and not is_whole(seed):
        raise ValueError(f"expected seed to be an int of at least 0 or None, got {described(seed)}")
    return randbits(32) if seed is None else seed


def check_estimator(fn, params, *, samples=10_000, significance=1e-6, seed=None):
    """Compare the gradient that the rules of a graph estimate with the exact one, by coordinate.

    Up to ``samples`` backward passes are made.  If all outcomes of the noise can be enumerated with
    them (that of the binary nodes, and what the rules themselves draw), mean and variance are exact.
    If not, that many samples are drawn, and again as many if the first ones speak against the rule,
    which is rejected only if both do.  If there are too many joint outcomes, rows that ``expected`` declares
    independent are enumerated one after the other; the report says so.  Then it is tested, for every outcome and in
    another state of all other rows, that the estimate is a sum over rows.

    Memories of rules are read and never updated.

    Parameters
    ----------
    fn : function that returns a scalar loss: ``fn(rng)``, drawing from the Generator it gets, or
        ``fn()``, drawing from the default one.  It is called for every pass.
    params : Tensor, list or dict of Tensors, leaves that ``fn`` uses.  A dict gives them names.
    samples : backward passes that may be spent.
    significance : probability of rejecting a right rule, over all coordinates together.  For samples
        it rests on their mean being nearly normal.
    seed : of the samples; fresh by default.

    Returns
    -------
    EstimatorReport, which prints as a table.

    Raises
    ------
    AssertionError
        An estimate is not finite.
    ValueError
        More than 2**20 joint states; ``fn`` draws other noise than that of its binary nodes; the loss is not computed
        from one of ``params``; or the promise of ``expected`` is broken, as ``check_rows`` finds.

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
    again = EstimatorReport(problem, gradient, problem.sampled_moments(samples, seed + 1), significance)
    confirmed = again.biased & (np.sign(again.difference) == np.sign(report.difference))
    return EstimatorReport(problem, gradient, again.moments, significance, confirmed)


def assert_unbiased(fn, params, **options):
    """Raise unless the mean of the estimate is the exact gradient at every coordinate.

    It also has to be finite, and the same again for the same noise.  Parameters and options are those
    of ``check_estimator``, whose report is returned.

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
                             "Draw from the generator that is given, in a rule from node.rng")
    if not report.unbiased:
        raise AssertionError(report.fault())
    return report


def assert_mean(fn, params, reference, *, samples=10_000, significance=1e-6, seed=None):
    """Raise unless the mean of the estimate is ``reference``: how a biased rule keeps its word.

    Parameters
    ----------
    fn, params, samples, significance, seed : as for ``check_estimator``.
    reference : the mean, in the form of ``params``; or a function like ``fn`` whose estimate has it,
        with a rule that is known to be right.
    """
    compare("mean", fn, params, reference, samples, significance, seed)


def assert_variance(fn, params, reference, *, samples=10_000, significance=1e-6, seed=None):
    """Raise unless the variance of the estimate is ``reference``, at every coordinate.

    A wrong rule can have the right mean: noise that is drawn from the wrong place, or twice, shows
    in the variance alone.

    Parameters
    ----------
    fn, params, samples, significance, seed : as for ``check_estimator``.
    reference : the variances, in the form of ``params``; or a function like ``fn`` whose estimate has
        them, with a rule that is known to be right.

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


def compare(what, fn, params, reference, samples, significance, seed):
    """Raise unless a moment of the estimate, "mean" or "variance", is the reference."""
    seed = checked_seed(samples, seed)
    problem = Problem(fn, params)
    if callable(reference):
        reference = Problem(reference, params)
    else:
        try:
            reference = problem.flat(as_list(reference))
        except (TypeError, ValueError):
            raise TypeError("expected a reference in the form of params, or a function like fn, got "
                            f"{described(reference)}. Use an array for each of params") from None
        if reference.size != len(problem.coordinates):
            raise ValueError(f"expected a reference with {len(problem.coordinates)} entries, those of params, "
                             f"got {reference.size}")
    compare_moments(what, problem, reference, samples, significance, seed)


def compare_moments(what, problem, reference, samples, significance, seed):
    """Raise unless a moment of a problem's estimate is the reference, an array or another problem's."""
    _, groups = problem.exact(seed)
    found = problem.moments(groups, samples, seed)
    got, expected, stderr = getattr(found, what), reference, error_of(found, what)
    if isinstance(reference, Problem):
        known = reference.moments(groups, samples, seed + 1)
        expected, stderr = getattr(known, what), np.hypot(stderr, error_of(known, what))
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


def error_of(moments, what):
    return moments.stderr if what == "mean" else moments.variance_stderr
