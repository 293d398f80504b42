"""The numbers of the page: every rule on every problem, for all values of θ, temperature and number of samples."""

from inspect import signature

import numpy as np

import minigrad as mg
from demos.explorer.problems import PROBLEMS
from minigrad.testing.moments import Problem, moments_of

SAMPLES = [1, 2, 4, 8, 16]      # per estimate
TEMPERATURES = [0.1, 0.25, 0.5, 1.0, 2.0]
BINS = 61
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"      # encode the heights of bars
ROUNDING = 1e-9                 # rounding error of an exact sum, relative to its terms
MOST = 80                       # more outcomes of noise at one θ are sampled, not enumerated


class Sweep(Problem):
    """One rule on one problem.  Each row is one value of θ.

    Parameters
    ----------
    problem : one of ``problems``.
    rule : Estimator.
    thetas : array.
    draws : number of one-sample estimates that are drawn at each θ.
    """

    def __init__(self, problem, rule, thetas, draws, seed):
        self.costs, self.rule, self.draws = problem.costs, rule, draws
        theta = mg.tensor(thetas[:, None], requires_grad=True)
        super().__init__(lambda rng: self.loss(theta, rng), theta)
        self.drawn = self.estimates(seed)

    def loss(self, theta, rng):
        self.bits = []

        def draw(logits):
            self.bits.append(mg.bernoulli(logits, self.rule, rng=rng))
            return self.bits[-1]
        return mg.expected(self.costs(theta, draw))

    def estimates(self, seed):
        """One-sample estimates: an array of shape (draws, thetas)."""
        theta = mg.tensor(np.tile(self.params.data, (self.draws, 1)), requires_grad=True)
        estimates = mg.grad(self.loss(theta, mg.Generator(seed)), theta).numpy()
        self.evaluations = 1 + sum(b.primitive.replays for b in self.bits)
        return theta.size * estimates.reshape(self.draws, -1)

    def sampled_moments(self, samples, seed):
        """Moments of the drawn estimates, for rules whose noise cannot be enumerated."""
        return moments_of(self.drawn / len(self.params), self.evaluations)


def rules():
    """The rules without a memory, by name.  The estimates of a rule with a memory depend on its earlier calls."""
    found = {}
    for name in mg.estimators.__all__:
        rule = make(name)
        if rule.state is None and "inner" not in rule.needs:      # no problem here has log-weights
            found[name] = rule
    return found


def make(name, temperature=None):
    """A rule with this temperature, if it has one, and with a fixed scale instead of a learned one."""
    kind = getattr(mg.estimators, name)
    options = {"temperature": temperature, "scale": 1.0}
    takes = signature(kind).parameters
    return kind(**{option: x for option, x in options.items() if option in takes and x is not None})


def has_temperature(name):
    return "temperature" in signature(getattr(mg.estimators, name)).parameters


def grid(thetas, draws, seed=0, problems=PROBLEMS, progress=iter):
    """All data of the page, as JSON can represent it."""
    found = [whole(problem, thetas) for problem in problems]
    jobs = [(problem, numbers, name) for problem, numbers in zip(problems, found, strict=True) for name in rules()]
    for problem, numbers, name in progress(jobs):
        numbers["rules"][name] = variants(problem, name, thetas, draws, seed, numbers["gradient"])
    about = [{"name": name, "formula": " ".join((type(rule).__doc__ or "").split("\n\n")[0].split()),
              "needs": sorted(rule.needs), "unbiased": rule.unbiased, "temperature": has_temperature(name)}
             for name, rule in rules().items()]
    return {"version": mg.__version__, "seed": seed, "thetas": thetas.tolist(), "samples": SAMPLES, "draws": draws,
            "temperatures": TEMPERATURES, "bins": BINS, "digits": DIGITS, "rules": about, "problems": found}


def whole(problem, thetas):
    """A problem with its expected cost and exact gradient at each θ."""
    found = {"name": problem.name, "about": problem.about, "loss": [], "gradient": [], "rules": {}}
    for theta in thetas:
        leaf = mg.tensor([[theta]], requires_grad=True)
        rng = mg.Generator(0)       # the exact results depend neither on the draws nor on the rule

        def loss(leaf=leaf, rng=rng):
            return mg.expected(problem.costs(leaf, lambda a: mg.bernoulli(a, mg.estimators.Stop(), rng=rng)))
        found["loss"].append(mg.testing.exact_expectation(loss))
        found["gradient"].append(mg.testing.exact_gradient(loss, leaf).item())
    return found


def variants(problem, name, thetas, draws, seed, gradient):
    """The numbers of a rule at each temperature, or once if it has no temperature."""
    temperatures = TEMPERATURES if has_temperature(name) else [None]
    sweeps = [Sweep(problem, make(name, temperature), thetas, draws, seed) for temperature in temperatures]
    seen = np.concatenate([np.quantile(sweep.drawn, [0.005, 0.995]) for sweep in sweeps] + [gradient])
    margin = 0.04 * np.ptp(seen)
    low, high = seen.min() - margin, seen.max() + margin
    found, finite = [], True
    for sweep in sweeps:
        # The first temperature shows whether the noise can be enumerated.
        moments = sweep.moments(len(thetas), MOST * len(thetas), seed) if finite else sweep.sampled_moments(draws, seed)
        finite = moments.exact
        # The loss is a mean over rows, which divides the gradient of each row's θ by len(thetas).  Undo that.
        bias, variance = moments.mean * len(thetas) - gradient, moments.variance * len(thetas) ** 2
        if finite:
            rounding = ROUNDING * (np.sqrt(variance) + np.abs(gradient).max())
            bias[np.abs(bias) <= rounding] = 0
        found.append({
            "rule": repr(sweep.rule),
            "bias": bias.tolist(),
            "variance": variance.tolist(),
            "exact": moments.exact,
            "evaluations": moments.evaluations,
            "low": low, "high": high,
            "bars": [[bars(estimates, low, high) for estimates in averages(sweep.drawn, n).T] for n in SAMPLES],
        })
    return found


def averages(drawn, n):
    """Estimates from n samples each: means over groups of n rows.  Every row is used once."""
    return drawn.reshape(n, len(drawn) // n, -1).mean(axis=0)


def bars(estimates, low, high):
    """A histogram as a string of digits: the index of the first bar, then the heights, from 0 to 63 for the highest.

    The outermost bars include all estimates beyond them.
    """
    counts, _ = np.histogram(estimates.clip(low, high), BINS, (low, high))
    heights = np.ceil(63 * counts / counts.max()).astype(int)
    first, last = np.flatnonzero(heights)[[0, -1]]
    return "".join(DIGITS[i] for i in (first, *heights[first:last + 1]))
