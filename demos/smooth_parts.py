"""Can a unit be exactly 0 most of the time, and still have a derivative to learn by?

    python -m demos.smooth_parts

Where a unit is 0, nothing behind it has to be computed.  Two units that Bengio, Léonard & Courville
(2013) made for this keep a smooth part, on which ordinary backward works.  With p = σ(a):

    noisy rectifier            h = max(0, a + z), z logistic           P(h > 0) = p     E[h] = log(1 + exp a)
    stochastic times smooth,   h = b √p, b = 1 with probability √p     P(h > 0) = √p    E[h] = p
    or STS

The rectifier's noise enters before its kink, so backward takes it like any number.  dh/da is 1 where
h > 0, on average p, and that is exactly the slope of E[h].

Of b √p, backward differentiates √p and holds b.  But E[h] = √p · √p: one root is how large h is, the
other how often it is there, and backward sees the first one only.  Its mean is ½ of the slope, at
every a; and for a cost h^k, whose mean is p^(k/2) √p, it is k / (k + 1).

The rest is not lost: let the bit have a rule of its own, and the two shares add up to the whole.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

GRID = np.linspace(-4, 4, 17)       # a
TRY = """
  noise="gaussian" in measure: P(h > 0) is now Φ(a), and so is the slope, which measure still takes to be p.
  In share, mg.exp(unit(a, rng)[:, 0]) as the cost: why does the share now depend on a?
  python -m demos.conditional_mnist --method sts, or noisy-rectifier: the units at work, with a tenth of them open.
"""


def held(a, rng):
    """Stochastic times smooth, as it is: b is held."""
    return mg.neurons.stochastic_times_smooth(a, rng=rng)


def with_rule(a, rng):
    """The same, with REINFORCE for its bit."""
    root = mg.sqrt(mg.sigmoid(a))
    return root * mg.bernoulli(mg.log(root / (1 - root)), mg.estimators.Reinforce(), rng=rng)


def share(unit, k):
    """What the mean of backward is, as a part of the slope of E[h^k], at each point of the grid; exact."""
    a = mg.tensor(GRID[:, None], requires_grad=True)
    report = lesson.exact(lambda rng: mg.expected(unit(a, rng)[:, 0] ** k), a)
    return (report.mean / report.gradient)[:, 0]


def mean_at(a, function):
    """E[function(h)] of a unit of stochastic times smooth; exact."""
    return mg.testing.exact_expectation(
        lambda: mg.expected(function(held(mg.tensor([[a]]), mg.Generator(0))[:, 0])))


def measure(samples, seed):
    """On and mean of both units on the grid, and shares of the slope; (means, standard errors) where sampled."""
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
    left.set_title("How large, and how often not 0 (dots: measured)", fontsize=11)
    left.legend(frameon=False, loc="upper left")

    values, errors = found["rectifier's share"]
    right.errorbar(GRID, values, 2 * errors, label="noisy rectifier, cost h", **dots)
    styles = [(lesson.GREY, "--"), (lesson.GREEN, "-"), (lesson.ORANGE, "-"), (lesson.RED, "-")]
    for (name, values), (colour, line) in zip(reversed(found["share"].items()), styles, strict=True):
        right.plot(GRID, values, line, color=colour, label=f"STS, {name}")
    right.set(xlabel="a", ylabel="mean of backward / exact slope", ylim=(0, 2))
    right.set_title("How much of the slope backward sees", fontsize=11)
    right.legend(frameon=False)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=20_000).parse_args(argv)
    found = measure(given.samples, given.seed)
    rectifier, sts, shares = found["rectifier"], found["sts"], found["share"]
    lesson.table(["a", "rectifier: P(h > 0)", "E[h]", "STS: P(h > 0)", "E[h]"], list(zip(
        GRID, rectifier["on"][0], rectifier["mean"][0], sts["on"], sts["mean"], strict=True))[::4])
    print("\nshares of the slope that backward sees:")
    lesson.table(["a", "rectifier, cost h", *(f"STS, {name}" for name in shares)], list(zip(
        GRID, found["rectifier's share"][0], *shares.values(), strict=True))[::4])
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
