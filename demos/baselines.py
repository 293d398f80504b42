"""REINFORCE is unbiased but has a large variance.  Which baseline reduces the variance most?

    python -m demos.baselines

A baseline is a number c that is subtracted from the cost L.  The score b − p is 0 on average.  So the mean of
(b − p)(L − c) does not depend on c, as long as c does not depend on the sample.  But the variance depends on c.  It is
a parabola in c, with its minimum at

    c_i = E[(b_i − p_i)² L] / E[(b_i − p_i)²]

for unit i (Corollary 1 of Bengio, Léonard & Courville 2013).  This is a weighted mean of the cost L.  Throws
in which unit i had its less likely value have a larger weight.  At p = ½ all weights are equal, and c_i = E[L].

The two means are not known beforehand.  So each unit keeps two moving averages, of (b − p)² L and of (b − p)²,
and divides one by the other.  An estimate uses the averages of the earlier throws, which are then updated.  A
baseline that contained the cost of its own throw would depend on the sample, and the estimate would be biased.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson
from minigrad.estimators.baselines import LeastVariance

P = np.array([0.2, 0.5, 0.8])
LOGITS = mg.tensor(np.log(P / (1 - P)), requires_grad=True)
CONSTANTS = np.linspace(-1, 5, 25)
BATCH = 32      # throws per pass
COLOURS = (lesson.BLUE, lesson.ORANGE, lesson.RED)
TRY = """
  In learn, LeastVariance(decay=0.9), as in the paper. It learns faster. How much larger are its fluctuations?
  P = np.array([0.02, 0.5, 0.98]). For one unit, the baseline E[L] is worse than no baseline. Why for this one?
  In play, add 100 to the cost. How does the variance without a baseline change? And with the other baselines?
"""


def play(rule, rng, throws=1):
    """Bits of shape (throws, 3), and their costs exp(½ Σ A_ij b_i b_j + 0.3 Σ b_i)."""
    b = mg.bernoulli(LOGITS + np.zeros((throws, 1)), rule, rng=rng)
    pairs = b[:, 0] * b[:, 1] - 2 * b[:, 0] * b[:, 2] + 1.5 * b[:, 1] * b[:, 2]
    return b, mg.exp(0.5 * pairs + 0.3 * b.sum(axis=1))


def examine(rule):
    """Exact bias and variance of the rule's estimate for each unit, over all eight outcomes."""
    return lesson.exact(lambda rng: mg.expected(play(rule, rng)[1]), LOGITS)


def variances(baseline):
    return examine(mg.estimators.Reinforce(baseline)).variance


def weighted_cost(unit):
    """E[(b − p)² L] for a unit, or E[L] if ``unit`` is None."""
    def fn():
        b, cost = play(mg.estimators.Reinforce(), mg.Generator(0))
        return mg.expected(cost if unit is None else cost * (b[:, unit] - P[unit]) ** 2)
    return mg.testing.exact_expectation(fn)


def learn(passes, seed):
    """A rule with moving averages, and its baselines after each pass: an array of shape (passes, 3)."""
    rule, rng, curve = mg.estimators.Reinforce(baseline=LeastVariance(decay=0.99)), mg.Generator(seed), []
    for _ in range(passes):
        mg.grad(mg.expected(play(rule, rng, BATCH)[1]), LOGITS)
        memory = rule.state_dict()
        curve.append(memory["weighted_cost"] / memory["weight"])
    return rule, np.array(curve)


def measure(passes, seed):
    rule, curve = learn(passes, seed)
    mean = weighted_cost(None)
    best = np.array([weighted_cost(i) for i in range(3)]) / (P * (1 - P))
    parabolas = [examine(mg.estimators.Reinforce(c)) for c in CONSTANTS]
    return {
        "bias": np.max(np.abs([report.bias for report in parabolas])),
        "parabolas": np.array([report.variance for report in parabolas]),
        "mean cost": mean,
        "best": best,
        "learned": curve,
        "variance": {
            "0": variances(0),
            "E[L]": variances(mean),
            "best": np.array([variances(c)[i] for i, c in enumerate(best)]),
            "learned": examine(rule).variance,
        },
    }


def draw(found):
    figure, (left, right) = lesson.figure(1, 2)
    for i, colour in enumerate(COLOURS):
        left.plot(CONSTANTS, found["parabolas"][:, i], color=colour, label=f"unit with p = {P[i]}")
        left.plot(found["best"][i], found["variance"]["best"][i], "o", color=colour)
        right.plot(found["learned"][:, i], color=colour)
        right.axhline(found["best"][i], color=colour, linestyle="--", linewidth=1)
    left.plot([], [], "o", color=lesson.GREY, label="best baseline (formula)")
    left.axvline(found["mean cost"], ymax=0.6, color=lesson.GREY, linestyle=":", label="E[L]")
    left.set(xlabel="baseline c", ylabel="variance of (b − p)(L − c)", ylim=(0, 4))
    left.set_title("Each unit has its own best baseline", fontsize=11)
    left.legend(frameon=False)
    right.set(xlabel=f"pass ({BATCH} throws each)", ylabel="ratio of the two averages")
    right.set_title("Moving averages learn it (dashed: formula)", fontsize=11)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=600).parse_args(argv)
    found = measure(given.samples, given.seed)
    print(f"E[L] = {found['mean cost']:.4g}; largest bias with {len(CONSTANTS)} baselines: {found['bias']:.0e}\n")
    lesson.table(["p", "best baseline", "learned", *(f"variance with {name}" for name in found["variance"])],
                 zip(P, found["best"], found["learned"][-1], *found["variance"].values(), strict=True))
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
