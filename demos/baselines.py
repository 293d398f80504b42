"""REINFORCE is right on average and far off each time.  What may one subtract from the cost to calm it?

    python -m demos.baselines

The score b − p is 0 on average, so the mean of (b − p)(L − c) does not depend on c, as long as c knows
nothing of the sample: any number will do.  The variance is a parabola in c, with its bottom at

    c_i = E[(b_i − p_i)² L] / E[(b_i − p_i)²]

for unit i (Corollary 1 of Bengio, Léonard & Courville 2013).  That is a mean of the cost in which
throws count that were surprising for this unit; with p = ½ all are equally surprising, and it is E[L].

Nobody knows these means beforehand, so each unit keeps two moving averages, one of (b − p)² L and one of
(b − p)², and divides.  They are read as they were before a throw, and hear of it afterwards: a
baseline that already contained the cost of its own throw would spoil the mean.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson
from minigrad.estimators.baselines import LeastVariance

P = np.array([0.2, 0.5, 0.8])
LOGITS = mg.tensor(np.log(P / (1 - P)), requires_grad=True)
CONSTANTS = np.linspace(-1, 5, 25)
BATCH = 32      # throws in one pass
COLOURS = (lesson.BLUE, lesson.ORANGE, lesson.RED)
TRY = """
  LeastVariance(decay=0.9) in learn, as in the paper: faster, and how much less steady?
  P = [0.02, 0.5, 0.98]: for one of the units, E[L] is worse than no baseline at all. Why that one?
  return b, cost + 100 in play: what happens to the column without a baseline, and what to the others?
"""


def play(rule, rng, throws=1):
    """Bits (throws, 3), and what they cost: exp(½ Σ A_ij b_i b_j + 0.3 Σ b_i)."""
    b = mg.bernoulli(LOGITS + np.zeros((throws, 1)), rule, rng=rng)
    pairs = b[:, 0] * b[:, 1] - 2 * b[:, 0] * b[:, 2] + 1.5 * b[:, 1] * b[:, 2]
    return b, mg.exp(0.5 * pairs + 0.3 * b.sum(axis=1))


def examine(rule):
    """Bias and variance of its estimate, by unit, over all eight outcomes."""
    return lesson.exact(lambda rng: mg.expected(play(rule, rng)[1]), LOGITS)


def variances(baseline):
    return examine(mg.estimators.Reinforce(baseline)).variance


def weighted_cost(unit):
    """E[(b − p)² L] of a unit; E[L] for None."""
    def fn():
        b, cost = play(mg.estimators.Reinforce(), mg.Generator(0))
        return mg.expected(cost if unit is None else cost * (b[:, unit] - P[unit]) ** 2)
    return mg.testing.exact_expectation(fn)


def learn(passes, seed):
    """A rule with moving averages, and its baselines after each pass, (passes, 3)."""
    rule, rng, curve = mg.estimators.Reinforce(baseline=LeastVariance(decay=0.99)), mg.Generator(seed), []
    for _ in range(passes):
        mg.grad(mg.expected(play(rule, rng, BATCH)[1]), LOGITS)
        learnt = rule.state_dict()
        curve.append(learnt["weighted_cost"] / learnt["weight"])
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
        "learnt": curve,
        "variance": {
            "0": variances(0),
            "E[L]": variances(mean),
            "best": np.array([variances(c)[i] for i, c in enumerate(best)]),
            "learnt": examine(rule).variance,
        },
    }


def draw(found):
    figure, (left, right) = lesson.figure(1, 2)
    for i, colour in enumerate(COLOURS):
        left.plot(CONSTANTS, found["parabolas"][:, i], color=colour, label=f"unit with p = {P[i]}")
        left.plot(found["best"][i], found["variance"]["best"][i], "o", color=colour)
        right.plot(found["learnt"][:, i], color=colour)
        right.axhline(found["best"][i], color=colour, linestyle="--", linewidth=1)
    left.plot([], [], "o", color=lesson.GREY, label="the formula's baseline")
    left.axvline(found["mean cost"], ymax=0.6, color=lesson.GREY, linestyle=":", label="E[L]")
    left.set(xlabel="baseline c", ylabel="variance of (b − p)(L − c)", ylim=(0, 4))
    left.set_title("Each unit has its own best baseline", fontsize=11)
    left.legend(frameon=False)
    right.set(xlabel=f"pass, of {BATCH} throws", ylabel="ratio of the two averages")
    right.set_title("Two moving averages find it (dashed: the formula)", fontsize=11)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=600).parse_args(argv)
    found = measure(given.samples, given.seed)
    print(f"E[L] = {found['mean cost']:.4g}; largest bias with {len(CONSTANTS)} baselines: {found['bias']:.0e}\n")
    lesson.table(["p", "best baseline", "learnt", *(f"variance with {name}" for name in found["variance"])],
                 zip(P, found["best"], found["learnt"][-1], *found["variance"].values(), strict=True))
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
