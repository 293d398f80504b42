"""Four papers propose four gradient estimators for a random bit.  Are they really different?

    python -m demos.one_rule_four_names

    Darn       (2014)   (b − ½)(b − p) g             REINFORCE with a linear control variate about ½
    ReinMax    (2023)   (2π(1 − π) − ½p(1 − p)) g    Heun's second-order method, π = ½(σ(logit/τ) + b)
    Zgr        (2023)   ½(p(1 − p) + (b − p)²) g     mean of straight-through and DARN about p
    GumbelRao  (2021)   the slope of a relaxed bit   averaged over the noise, given b

Here g is the gradient of the cost at the sample.  At τ = 1, π = ½(p + b).  Since b² = b for a bit, the first three
rules are then the same polynomial: ½(1 − p) g if b = 1, and ½p g if b = 0.  GumbelRao tends to the same estimate
as its temperature τ tends to 0.  The mean is p(1 − p) · ½(f'(0) + f'(1)).  This is the trapezoid rule for
f(1) − f(0), which is exact for costs up to degree two.

The rules differ at other temperatures, with a centre other than ½, and for variables with more than two values.

Gregor et al. (2014); Liu et al. (2023); Shekhovtsov (2023); Paulus et al. (2021).
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson
from demos.relaxations import Even

LOGITS = np.linspace(-4, 4, 33)
ROWS = 40               # evenly spaced u: every unit is 0 in some rows and 1 in others
TEMPERATURES = np.geomspace(0.01, 10, 25)
COSTS = {"(b − 0.3)²": lambda b: (b - 0.3) ** 2, "exp(b)": mg.exp}
TRY = """
  In COSTS, add b ** 3 and mg.sin(np.pi * b). Neither is quadratic. Why does the second one have no bias?
  In the left panel, draw Darn("mean") and StraightThroughSlope(). Zgr() is the mean of which two curves?
  In the left panel, some estimates of ReinMax(0.5) are below 0: they have the wrong sign. For which bits?
"""


def given_bit(rule, cost):
    """The estimates given b = 0 and given b = 1: an array of shape (2, logits)."""
    logits = mg.tensor(np.tile(LOGITS, (ROWS, 1)), requires_grad=True)
    bits = mg.bernoulli(logits, rule, rng=Even(0))
    mg.expected(cost(bits).sum(axis=1)).backward()
    estimate = ROWS * logits.grad
    return np.array([np.nanmean(np.where(bits.data == bit, estimate, np.nan), axis=0) for bit in (0, 1)])


def factor(rule):
    """The factor by which the rule multiplies g.  With the cost b, g = 1, so the estimate is this factor."""
    return given_bit(rule, lambda b: b)


def bias(rule, cost):
    """The mean of the estimate minus the exact gradient, for every logit."""
    p = 1 / (1 + np.exp(-LOGITS))
    at_0, at_1 = given_bit(rule, cost)
    ends = cost(mg.tensor([0.0, 1.0])).numpy()
    return (1 - p) * at_0 + p * at_1 - p * (1 - p) * (ends[1] - ends[0])


def measure(samples=2000):
    """Factors by rule, largest biases by rule and cost, and distances from DARN by rule and temperature."""
    rules = mg.estimators

    def smooth(temperature):
        return rules.GumbelRao(temperature, samples=samples)        # evenly spaced noise: an integral

    named = {"Darn()": rules.Darn(), "ReinMax()": rules.ReinMax(), "Zgr()": rules.Zgr(),
             "GumbelRao(0.01)": smooth(0.01), "GumbelRao(0.3)": smooth(0.3), "ReinMax(0.5)": rules.ReinMax(0.5),
             "Darn('mean')": rules.Darn("mean"), "StraightThroughSlope()": rules.StraightThroughSlope()}
    factors = {name: factor(rule) for name, rule in named.items()}
    biases = {name: [np.abs(bias(rule, cost)).max() for cost in COSTS.values()] for name, rule in named.items()}
    distances = {name: [distance(factor(make(t)), factors["Darn()"]) for t in TEMPERATURES]
                 for name, make in [("ReinMax", rules.ReinMax), ("GumbelRao", smooth)]}
    return factors, biases, distances


def distance(a, b):
    return np.abs(a - b).max()


def show(factors, biases):
    rows = [[name, f"{distance(f, factors['Darn()']):.1g}", *(f"{x:.2g}" for x in biases[name])]
            for name, f in factors.items()]
    lesson.table(["rule", "distance from Darn()", *(f"bias for {cost}" for cost in COSTS)], rows)
    print("maximum over logits from -4 to 4; values near 1e-16 are rounding errors")


def draw(factors, distances):
    figure, (left, right) = lesson.figure(columns=2)
    styles = {"Darn()": {"color": lesson.SKY, "linewidth": 7, "alpha": 0.5},
              "ReinMax()": {"color": lesson.BLUE, "linewidth": 2},
              "Zgr()": {"color": "black", "linestyle": "", "marker": ".", "markersize": 4},
              "GumbelRao(0.3)": {"color": lesson.ORANGE, "linestyle": "--"},
              "ReinMax(0.5)": {"color": lesson.RED, "linestyle": "--"}}
    for name, style in styles.items():
        for given, label in zip(factors[name], (name, None), strict=True):
            left.plot(LOGITS, given, label=label, **style)
    left.annotate("where b = 1", (-4.1, 0.515))
    left.annotate("where b = 0", (4.1, 0.515), ha="right")
    left.set(xlabel="logit", ylabel="estimate / gradient at the sample", title="Three of the rules are equal",
             ylim=(-0.09, 0.74))
    left.legend(loc="upper center", fontsize=8, ncols=2)
    for (name, values), colour in zip(distances.items(), (lesson.RED, lesson.ORANGE), strict=True):
        right.plot(TEMPERATURES, values, "o-", markersize=4, color=colour, label=f"{name}(τ)")
    right.axhline(distance(factors["Zgr()"], factors["Darn()"]), color="black", linestyle=":", label="Zgr")
    right.set(xscale="log", yscale="log", xlabel="temperature τ", ylabel="largest distance from Darn()",
              title="Equal to Darn at τ = 1, or as τ → 0")
    right.legend(loc="center left", fontsize=8)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, samples=2000).parse_args(argv)
    factors, biases, distances = measure(given.samples)
    show(factors, biases)
    lesson.close(draw(factors, distances), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
