"""Straight-through uses the slope of the cost at the sample as the gradient.  When does that go wrong?

    python -m demos.straight_through

A bit is 0 or 1, so only the costs f(0) and f(1) matter.  The gradient is proportional to their difference:

    d E[f(b)] / d logit = p (1 − p) (f(1) − f(0)).

Straight-through uses the derivative f'(b) instead.  If f is a straight line, this is the same.  If f is curved
between the same two end points, the gradient stays the same, but f'(0) and f'(1) change.  With curvature κ,

    f(b) = b + ½ κ b (b − 1),      mean of the rule:  p (1 − p) (1 + κ (p − ½)).

(This is the rule with the slope of the sigmoid.  Without the slope, the factor p (1 − p) is missing.)  So κ (p − ½)
is the relative error.  At p = ½ the errors at the two ends cancel.  If p < ½ and κ > 2 / (1 − 2p), the estimate has
the wrong sign, and training increases the cost.  The cost (b − t)² is (up to a factor and a constant) such a
parabola, with κ = 2 / (1 − 2t).  At t = 0.499 this is 1000.
Bengio, Léonard & Courville (2013), Eq 13.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

RULES = ["StraightThrough", "StraightThroughSlope", "Reinforce"]
CURVATURES = np.geomspace(0.1, 2000, 40)
COLOURS = {0.1192: lesson.RED, 0.5: lesson.ORANGE, 0.8808: lesson.BLUE}      # keys: p = P(b = 1)
TARGET = 0.499
TRY = """
  TARGET = 0.501: now the bit should be 1. For which rules does the sign of the mean change?
  Add "Darn" or "ReinMax" to RULES. Both are unbiased for every parabola. In bent, add b * (b - 1) * (b - 0.5). How
    does their bias change?
  python -m demos.toy_problem trains a bit with each rule and the cost (b - t)². Where does straight-through stop? Why?
"""


def bent(curvature):
    return lambda b: b + 0.5 * curvature * b * (b - 1)


def distance(b):
    return (b - TARGET) ** 2


def examine(name, cost, p, rows=1):
    """The gradient of E[cost(b)] with respect to the logit of b, and the mean of a rule's estimate.  Both are exact.

    With several rows, each row can have a different cost.
    """
    logits = mg.tensor(np.full((rows, 1), np.log(p / (1 - p))), requires_grad=True)
    rule = getattr(mg.estimators, name)()
    report = lesson.exact(
        lambda rng: rows * mg.expected(cost(mg.bernoulli(logits, rule, rng=rng)[:, 0])), logits)
    return report.gradient[:, 0], report.mean[:, 0]


def ratio(cost, p, rows=1):
    """The mean of straight-through divided by the gradient."""
    gradient, mean = examine("StraightThroughSlope", cost, p, rows)
    return mean / gradient


def measure():
    """Means by cost and rule at p = 0.1192; ratios by p and curvature; and the ratio for the cost (b − t)²."""
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
    left.plot([0, 1], [0, 1], "o", color="black", label="the only costs that occur")
    left.set(xlabel="b", ylabel="cost f(b)", ylim=(-0.5, 2.1))
    left.set_title("Equal costs at 0 and 1, different slopes", fontsize=11)
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
    right.set_title("Bias grows with the curvature of the cost", fontsize=11)
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
