"""Straight-through takes the slope of the cost at the sample for the gradient.  When does that go wrong?

    python -m demos.straight_through

A bit is 0 or 1, so all that matters of its cost f is f(0) and f(1).  The gradient is their difference,

    d E[f(b)] / d logit = p (1 − p) (f(1) − f(0)).

Straight-through looks at f'(b) instead.  On a straight line that is the same.  But bend the line, and
leave its ends where they are: for the bit nothing changes, for the rule everything.  With curvature κ,

    f(b) = b + ½ κ b (b − 1),      mean of the rule:  p (1 − p) (1 + κ (p − ½)).

(That is the rule with the slope of the sigmoid; without it, p (1 − p) is missing.)  κ (p − ½) is the
error, relative to the gradient.  At p = ½ the two ends make up for each other.  For a bit that is mostly
off, more than κ = 2 / (1 − 2p) turns the sign round, and learning goes uphill.  The cost (b − t)² is
such a parabola, with κ = 2 / (1 − 2t): at t = 0.499 that is 1000.
Bengio, Léonard & Courville (2013), Eq 13.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

RULES = ["StraightThrough", "StraightThroughSlope", "Reinforce"]
CURVATURES = np.geomspace(0.1, 2000, 40)
COLOURS = {0.1192: lesson.RED, 0.5: lesson.ORANGE, 0.8808: lesson.BLUE}      # by p = P(b = 1)
TARGET = 0.499
TRY = """
  TARGET = 0.501, where the bit should be 1: which rule notices?
  "Darn" or "ReinMax" in RULES: right for every parabola.  In bent, add b * (b - 1) * (b - 0.5): and now?
  python -m demos.toy_problem lets each rule learn with (b - t)². Where does straight-through stop, and why there?
"""


def bent(curvature):
    return lambda b: b + 0.5 * curvature * b * (b - 1)


def distance(b):
    return (b - TARGET) ** 2


def examine(name, cost, p, rows=1):
    """The gradient of E[cost(b)] by the logit of b, and the mean of a rule of ``mg.estimators``: both exact.

    With several rows the cost may be another one in each.
    """
    logits = mg.tensor(np.full((rows, 1), np.log(p / (1 - p))), requires_grad=True)
    rule = getattr(mg.estimators, name)()
    report = lesson.exact(
        lambda rng: rows * mg.expected(cost(mg.bernoulli(logits, rule, rng=rng)[:, 0])), logits)
    return report.gradient[:, 0], report.mean[:, 0]


def ratio(cost, p, rows=1):
    """The mean of straight-through, as a multiple of the gradient."""
    gradient, mean = examine("StraightThroughSlope", cost, p, rows)
    return mean / gradient


def measure():
    """Means by cost and rule at p = 0.1192; ratios by p and curvature, and the one at (b − t)²."""
    costs = {"straight": bent(0), "κ = 2": bent(2), "κ = 10": bent(10), f"(b - {TARGET})²": distance}
    means = {}
    for name, cost in costs.items():
        found = [examine(rule, cost, 0.1192) for rule in RULES]
        means[name] = [found[0][0].item(), *(mean.item() for _, mean in found)]
    ratios = {p: ratio(bent(CURVATURES), p, len(CURVATURES)) for p in COLOURS}
    return means, ratios, ratio(distance, 0.1192).item()


def draw(ratios, marked):
    figure, (left, right) = lesson.figure(1, 2)
    b = np.linspace(0, 1, 101)
    for curvature, colour in ((0, lesson.GREY), (4, lesson.GREEN), (-4, lesson.PURPLE)):
        f = bent(curvature)
        left.plot(b, f(b), color=colour, label=f"κ = {curvature}".replace("-", "−"))
        ends = mg.tensor([0.0, 1.0], requires_grad=True)
        for end, slope in zip(ends.data, mg.grad(f(ends).sum(), ends).data, strict=True):
            reach = np.array([-0.12, 0.12])
            left.plot(end + reach, f(end) + slope * reach, color=colour, linewidth=3, alpha=0.5)
    left.plot([0, 1], [0, 1], "o", color="black", label="all that the bit sees")
    left.set(xlabel="b", ylabel="cost f(b)", ylim=(-0.5, 2.1))
    left.set_title("The same bit, other slopes at its ends", fontsize=11)
    left.legend(frameon=False)
    right.axhspan(-2000, 0, color=lesson.GREY, alpha=0.2, linewidth=0)
    right.text(0.1, -10, "wrong sign")
    for p, colour in COLOURS.items():
        right.plot(CURVATURES, ratios[p], color=colour, label=f"p = {p}")
    right.plot(2 / (1 - 2 * TARGET), marked, "o", color=lesson.RED)
    right.text(900, marked, f"cost (b − {TARGET})² ", color=lesson.RED, ha="right", va="top")
    right.set_xscale("log")
    right.set_yscale("symlog", linthresh=2)
    right.set(xlabel="curvature κ", ylabel="mean of straight-through / gradient", ylim=(-2000, 20000))
    right.set_yticks([-1000, -100, -10, -1, 0, 1, 10, 100, 1000])
    right.set_title("What bending the cost does to the rule", fontsize=11)
    right.legend(frameon=False, loc="upper left")
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__).parse_args(argv)
    means, ratios, marked = measure()
    lesson.table(["cost, at p = 0.1192", "gradient", *(f"mean of {rule}" for rule in RULES)],
                 [(name, *row) for name, row in means.items()])
    lesson.close(draw(ratios, marked), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
