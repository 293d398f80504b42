"""If you may throw the coins a second time, which throw tells you more: any other, or the opposite one?

    python -m demos.antithetic_pairs

REINFORCE sees one cost and cannot know whether that is much.  Two costs can be compared: what they
share, above all their size, cancels.  The second takes no second run of the program: the graph below
the bits is evaluated again with other bits in their place (``mg.replay``), and the rule sees both.

    leave-one-out    ½ (f(b) − f(b')) (b − b'), with bits b' from fresh noise
    DisARM           ½ (f(b) − f(b̃)) (b − b̃) max(p, 1 − p), with b̃ = 1[1 − u < p], the noise mirrored
    ARM              (f(b̃) − f(b)) (u − ½), from which DisARM comes by averaging over u, given the pair

Mirrored bits differ whenever they can, which is why DisARM has to weigh its differences less.  A unit
that shows the same bit on both sides gets 0: nothing was learnt about it.  ARM gives it (u − ½) times
the difference instead, which is 0 on average and noise each time, so its variance is never less.
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
  --seed 3, or another: which units learn something from the pair in the picture?
  In throw, mg.absolute(b @ WEIGHTS), which at p = 0.5 is the same for opposite bits: what do the rules learn there?
  In measure, "LocalExpectation" in place of "LeaveOneOut": two replays for each unit. What do they buy?
  In replays, print(mg.draw(cost, values=True)): the graph again, without cotangents, for ARM asks for none.
"""


def logits_at(p, rows=1):
    return mg.tensor(np.full((rows, 3), np.log(p / (1 - p))), requires_grad=True)


def throw(logits, rule, rng):
    """Bits of three units, and the cost (b · w − ½)² of each row."""
    bits = mg.bernoulli(logits, rule, rng=rng, name="bits")
    return bits, (bits @ WEIGHTS - 0.5) ** 2


def replays(p, seed):
    """One throw and its mirror image, by hand: (node, value, replayed value) down the graph, and estimates."""
    u = mg.Generator(seed).uniform((1, 3))
    bits, cost = throw(logits_at(p), mg.estimators.ARM(), mg.Generator(seed))      # from the same noise
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
    """What a rule of ``mg.estimators`` makes of as many throws."""
    logits = logits_at(p, rows)
    _, cost = throw(logits, getattr(mg.estimators, name)(), rng)
    return rows * mg.grad(mg.expected(cost), logits).data


def variance(name, p):
    """Summed over units; exact, over all outcomes of the bits and of what the rule draws."""
    logits, rule = logits_at(p), getattr(mg.estimators, name)()
    return lesson.exact(lambda rng: mg.expected(throw(logits, rule, rng)[1]), logits).variance.sum()


def measure(samples, seed):
    """Variances by rule, at each probability.  ARM's noise is continuous, and so its variance is sampled."""
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
    axes.set_title("The graph as it ran, and replayed with 1 − u", fontsize=11)


def draw(replayed, found):
    figure, (left, right) = lesson.figure(1, 2, height=4.2)
    draw_replay(left, *replayed)
    for name, values in found.items():
        right.plot(PROBABILITIES, values, "o-", color=COLOURS[name], markersize=4, label=name)
    right.set(xlabel="p = P(b = 1) of each unit", ylabel="variance of an estimate, summed over units", ylim=(0, 18))
    right.set_title("What each rule makes of two throws", fontsize=11)
    right.legend(frameon=False)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=1, samples=20_000).parse_args(argv)
    replayed, found = replays(0.6, given.seed), measure(given.samples, given.seed)
    for name, by_hand in replayed[2].items():
        as_rule = estimates(name, 0.6, mg.Generator(given.seed))
        print(f"{name} by hand {by_hand[0].round(4)}, as a rule {as_rule[0].round(4)}")
    print()
    lesson.table(["p", *found], zip(PROBABILITIES, *found.values(), strict=True))
    lesson.close(draw(replayed, found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
