"""A second throw of the coins reduces the variance.  Should it be independent of the first, or its opposite?

    python -m demos.antithetic_pairs

REINFORCE uses one cost.  One cost alone does not show whether it is high or low.  With two costs, a rule can use their
difference, in which their common part cancels.  The second cost does not need a second run of the program.
``mg.replay`` evaluates the part of the graph that depends on the bits again, with other bits in their place.

    leave-one-out    ½ (f(b) − f(b')) (b − b'), with bits b' from new noise
    DisARM           ½ (f(b) − f(b̃)) (b − b̃) max(p, 1 − p), with b̃ = 1[1 − u < p], from the mirrored noise 1 − u
    ARM              (f(b̃) − f(b)) (u − ½).  The mean of ARM over u, given b and b̃, is DisARM

Mirrored bits differ as often as possible.  So DisARM multiplies its differences by a smaller factor.  If a unit has
the same bit in both throws, its estimate is 0: the pair contains no information about it.  For such a unit ARM
gives (u − ½) times the difference, which is 0 on average and adds noise.  So the variance of ARM is never smaller.
Yin & Zhou (2019); Dong, Mnih & Tucker (2020); Yin, Ho, Yan, Qian & Zhou (2020).
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

WEIGHTS = mg.tensor([1.0, 2.0, -3.0])
PROBABILITIES = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
COLOURS = {"Reinforce, mean of two throws": lesson.GREY, "LeaveOneOut, two throws": lesson.ORANGE,
           "ARM": lesson.RED, "DisARM": lesson.BLUE}
TRY = """
  --seed 3, or another seed. For which units does the picture show a DisARM estimate that is not 0?
  In throw, use the cost mg.absolute(bits @ WEIGHTS), which is equal for opposite bits. What are the estimates at
    p = 0.5?
  In measure, replace "LeaveOneOut" by "LocalExpectation", which replays the graph twice for each unit. How much
    smaller is the variance?
  In replays, add print(mg.draw(cost, values=True)). It shows no cotangents, because ARM needs none.
"""


def logits_at(p, rows=1):
    return mg.tensor(np.full((rows, 3), np.log(p / (1 - p))), requires_grad=True)


def throw(logits, rule, rng):
    """The bits of three units, and the cost (b · w − ½)² of each row."""
    bits = mg.bernoulli(logits, rule, rng=rng, name="bits")
    return bits, (bits @ WEIGHTS - 0.5) ** 2


def replays(p, seed):
    """One throw and its mirrored throw: the noise, (node, value, replayed value) of each node, and the estimates."""
    u = mg.Generator(seed).uniform((1, 3))
    bits, cost = throw(logits_at(p), mg.estimators.ARM(), mg.Generator(seed))      # the same noise as u
    chain = [cost]
    while chain[0] is not bits:
        chain.insert(0, chain[0].parents[0][1])
    mirrored = (1 - u < p).astype(float)
    again = [mirrored, *mg.replay(chain[1:], {bits: mirrored})]
    difference = cost.data - again[-1]
    return u, list(zip(chain, [x.data for x in chain], again, strict=True)), {
        "ARM": -difference * (u - 0.5),
        "DisARM": difference / 2 * (bits.data - mirrored) * max(p, 1 - p),
    }


def estimates(name, p, rng, rows=1):
    """The estimates of a rule of ``mg.estimators``, one for each row."""
    logits = logits_at(p, rows)
    _, cost = throw(logits, getattr(mg.estimators, name)(), rng)
    return rows * mg.grad(mg.expected(cost), logits).data


def variance(name, p):
    """The variance of a rule, summed over units.  Exact: all outcomes of the bits and of the rule's noise are tried."""
    logits, rule = logits_at(p), getattr(mg.estimators, name)()
    return lesson.exact(lambda rng: mg.expected(throw(logits, rule, rng)[1]), logits).variance.sum()


def measure(samples, seed):
    """Variances by rule at each probability.  ARM uses continuous noise, so its variance is sampled."""
    names = ["Reinforce", "LeaveOneOut", "DisARM"]
    reinforce, pair, disarm = (np.array([variance(name, p) for p in PROBABILITIES]) for name in names)
    rng = mg.Generator(seed)
    arm = np.array([estimates("ARM", p, rng, samples).var(axis=0).sum() for p in PROBABILITIES])
    return dict(zip(COLOURS, [reinforce / 2, pair, arm, disarm], strict=True))


def draw_replay(axes, u, values, found):
    def said(x):
        return "  ".join(f"{entry:g}" for entry in np.ravel(x).round(2) + 0.0)

    rows = [("noise", u, 1 - u), *((node.primitive.name, *both) for node, *both in values)]
    for i, (name, *both) in enumerate(rows):
        axes.text(-1.5, -i, name, va="center")
        for x, value, colour in zip((0, 1.7), both, (lesson.GREEN, lesson.PURPLE), strict=True):
            axes.text(x, -i, said(value), ha="center", va="center",
                      bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": colour})
            if i:
                axes.annotate("", (x, -i + 0.2), (x, 1 - i - 0.2), arrowprops={"arrowstyle": "->", "color": colour})
    for i, (name, estimate) in enumerate(found.items(), len(rows)):
        axes.text(-1.5, -i, name, va="center", color=COLOURS[name])
        axes.text(0.85, -i, said(estimate), ha="center", va="center", color=COLOURS[name])
    axes.set(xlim=(-1.6, 2.6), ylim=(-len(rows) - 1.5, 0.5))
    axes.set_axis_off()
    axes.set_title("Values with noise u, and replayed with 1 − u", fontsize=11)


def draw(replayed, found):
    figure, (left, right) = lesson.figure(1, 2, height=4.2)
    draw_replay(left, *replayed)
    for name, values in found.items():
        right.plot(PROBABILITIES, values, "o-", color=COLOURS[name], markersize=4, label=name)
    right.set(xlabel="p = P(b = 1) of each unit", ylabel="variance of an estimate, summed over units", ylim=(0, 18))
    right.set_title("Variance with two throws per estimate", fontsize=11)
    right.legend(frameon=False)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=1, samples=20_000).parse_args(argv)
    replayed, found = replays(0.6, given.seed), measure(given.samples, given.seed)
    for name, by_hand in replayed[2].items():
        as_rule = estimates(name, 0.6, mg.Generator(given.seed))
        print(f"{name}: formula {by_hand[0].round(4)}, rule of mg.estimators {as_rule[0].round(4)}")
    print()
    lesson.table(["p", *found], zip(PROBABILITIES, *found.values(), strict=True))
    lesson.close(draw(replayed, found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
