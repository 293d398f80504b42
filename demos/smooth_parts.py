"""Can a unit be exactly 0 most of the time, and still have a useful derivative?

    python -m demos.smooth_parts

If a unit is 0, the computation behind it can be skipped.  Bengio, Léonard & Courville (2013) describe two units
that are often 0 but contain a smooth part, which ordinary backward can differentiate.  With p = σ(a):

    noisy rectifier            h = max(0, a + z), z logistic           P(h > 0) = p     E[h] = log(1 + exp a)
    stochastic times smooth,   h = b √p, b = 1 with probability √p     P(h > 0) = √p    E[h] = p
    or STS

The noise of the rectifier is added before the maximum is taken.  So backward treats it as a constant: dh/da is 1
where h > 0, and 0 elsewhere.  The mean of dh/da is p, which is exactly the slope of E[h].

For h = b √p, backward differentiates √p and treats b as a constant.  But E[h] = √p · √p: the first root is the size
of h, the second is the probability that h is not 0.  Backward only sees the first, so its mean is ½ of the
slope of E[h], at every a.  For the cost h^k, whose mean is p^(k/2) √p, it is k / (k + 1) of the slope.

A rule for the bit b estimates the missing part.  Together the two parts are the whole slope.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

GRID = np.linspace(-4, 4, 17)       # a
TRY = """
  In measure, noise="gaussian". Now P(h > 0) and the slope are Φ(a), but measure still divides by p. What do you see?
  In share, use mg.exp(unit(a, rng)[:, 0]) as the cost. Why does the fraction now depend on a?
  python -m demos.conditional_mnist --method sts (or noisy-rectifier) trains a network of these units. A tenth of
    them are open.
"""


def held(a, rng):
    """Stochastic times smooth.  Backward treats b as a constant."""
    return mg.neurons.stochastic_times_smooth(a, rng=rng)


def with_rule(a, rng):
    """Stochastic times smooth, with REINFORCE for its bit."""
    root = mg.sqrt(mg.sigmoid(a))
    return root * mg.bernoulli(mg.log(root / (1 - root)), mg.estimators.Reinforce(), rng=rng)


def share(unit, k):
    """The mean of backward divided by the slope of E[h^k], at each point of the grid.  Exact."""
    a = mg.tensor(GRID[:, None], requires_grad=True)
    report = lesson.exact(lambda rng: mg.expected(unit(a, rng)[:, 0] ** k), a)
    return (report.mean / report.gradient)[:, 0]


def mean_at(a, function):
    """E[function(h)] for a unit of stochastic times smooth.  Exact."""
    return mg.testing.exact_expectation(
        lambda: mg.expected(function(held(mg.tensor([[a]]), mg.Generator(0))[:, 0])))


def measure(samples, seed):
    """P(h > 0) ("on") and E[h] ("mean") of both units on the grid, and the fractions of the slope.

    Sampled values are pairs (means, standard errors).
    """
    a = mg.tensor(np.repeat(GRID[:, None], samples, axis=1), requires_grad=True)
    h = mg.neurons.noisy_rectifier(a, noise="logistic", rng=mg.Generator(seed))
    slope = mg.grad(h.sum(), a).data * (1 + np.exp(-a.data))
    on, mean, whole = ((x.mean(axis=1), x.std(axis=1) / samples**0.5) for x in (h.data > 0, h.data, slope))
    return {
        "rectifier": {"on": on, "mean": mean},
        "sts": {"on": [mean_at(a, lambda h: (h > 0).astype(float)) for a in GRID],
                "mean": [mean_at(a, lambda h: h) for a in GRID]},
        "share": {"cost h": share(held, 1), "cost h²": share(held, 2), "cost h³": share(held, 3),
                  "cost h, and REINFORCE": share(with_rule, 1)},
        "rectifier's share": whole,
    }


def draw(found):
    figure, (left, right) = lesson.figure(1, 2)
    p, dots = 1 / (1 + np.exp(-GRID)), {"fmt": "o", "markersize": 4, "color": lesson.BLUE}
    formulas = {"sts": ("stochastic times smooth", lesson.RED, p**0.5, p),
                "rectifier": ("noisy rectifier", lesson.BLUE, p, np.log1p(np.exp(GRID)))}
    for name, colour, on, mean in formulas.values():
        left.plot(GRID, mean, color=colour, linewidth=4, alpha=0.5, label=f"{name}: E[h]")
        left.plot(GRID, on, "--", color=colour, label=f"{name}: P(h > 0)")
    for what in ("on", "mean"):
        values, errors = found["rectifier"][what]
        left.errorbar(GRID, values, 2 * errors, **dots)
        left.plot(GRID, found["sts"][what], "o", color=lesson.RED, markersize=4)
    left.set(xlabel="a", yscale="log", ylim=(0.01, 80))
    left.set_title("Mean, and probability of h > 0 (dots: measured)", fontsize=11)
    left.legend(frameon=False, loc="upper left")

    values, errors = found["rectifier's share"]
    right.errorbar(GRID, values, 2 * errors, label="noisy rectifier, cost h", **dots)
    styles = [(lesson.GREY, "--"), (lesson.GREEN, "-"), (lesson.ORANGE, "-"), (lesson.RED, "-")]
    for (name, values), (colour, line) in zip(reversed(found["share"].items()), styles, strict=True):
        right.plot(GRID, values, line, color=colour, label=f"STS, {name}")
    right.set(xlabel="a", ylabel="mean of backward / exact slope", ylim=(0, 2))
    right.set_title("Fraction of the slope that backward computes", fontsize=11)
    right.legend(frameon=False)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=20_000).parse_args(argv)
    found = measure(given.samples, given.seed)
    rectifier, sts, shares = found["rectifier"], found["sts"], found["share"]
    lesson.table(["a", "rectifier: P(h > 0)", "E[h]", "STS: P(h > 0)", "E[h]"], list(zip(
        GRID, rectifier["on"][0], rectifier["mean"][0], sts["on"], sts["mean"], strict=True))[::4])
    print("\nmean of backward / exact slope:")
    lesson.table(["a", "rectifier, cost h", *(f"STS, {name}" for name in shares)], list(zip(
        GRID, found["rectifier's share"][0], *shares.values(), strict=True))[::4])
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
