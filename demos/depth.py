"""How do bias and variance of an estimate grow with the number of layers of random bits?

    python -m demos.depth

A chain of bits: b₁ ~ σ(−1), then b_k ~ σ(w (b_{k−1} − ½)) with w = 3.  The cost is exp(b) of the last bit.  We want
the gradient with respect to the logit of the first bit.  All outcomes of the chain and of the rules' noise are
enumerated, so all numbers are exact.

The gradient shrinks with depth.  Each layer multiplies it by tanh(w/4) = 0.64, the difference between
P(b_k = 1 | b_{k−1} = 1) and P(b_k = 1 | b_{k−1} = 0).  The estimates behave differently:

    StraightThrough…     multiplies by the slope at the sample instead: w, or w σ'(w/2) = 0.45.  An error of a
                         factor of 1.4 per layer looks small.  But the factors multiply, so the relative bias grows
                         exponentially with depth.
    Reinforce            uses no gradient from the later layers, so it is unbiased.  But it multiplies by the whole
                         cost, most of which does not depend on the first bit.  So noise / gradient grows like
                         1 / 0.64^k.
    DisARM and           change the bit and compute the cost again, with the same noise in the later layers.
    LocalExpectation     Often the change does not reach the last bit, and the difference of costs is 0.  So the
                         noise shrinks too, and noise / gradient grows only like the square root, 1 / 0.8^k.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

WEIGHT, FIRST = 3.0, -1.0
DEPTH = 6
STYLE = {"StraightThrough": (lesson.RED, "o"), "StraightThroughSlope": (lesson.ORANGE, "s"),
         "Darn": (lesson.PURPLE, "D"), "Reinforce": (lesson.GREY, "v"), "DisARM": (lesson.SKY, "^"),
         "LocalExpectation": (lesson.BLUE, "P")}
TRY = """
  WEIGHT = 1: each layer is almost linear. Which rule has a small bias now? What happens to the other rules?
  WEIGHT = 8: each bit is almost a copy of the bit before it. Which rules improve?
  In chain, use Reinforce for the first bit and StraightThroughSlope for the others. Is the estimate biased?
"""


def chain(rule, depth):
    """The loss of a chain of ``depth`` bits, and the logit of the first bit."""
    logit = mg.tensor([[FIRST]], requires_grad=True)

    def loss(rng):
        bit = mg.bernoulli(logit, rule, rng=rng)
        for _ in range(depth - 1):
            bit = mg.bernoulli(WEIGHT * (bit - 0.5), rule, rng=rng)
        return mg.expected(mg.exp(bit).sum(axis=1))
    return loss, logit


def measure(deepest):
    """For each rule an array of shape (depths, 3): exact gradient, mean and standard deviation of an estimate."""
    found = {}
    for name in STYLE:
        rule = getattr(mg.estimators, name)()
        reports = [lesson.exact(*chain(rule, depth)) for depth in range(1, deepest + 1)]
        found[name] = np.array([[r.gradient.item(), r.mean.item(), np.sqrt(r.variance.item())] for r in reports])
    return found


def show(found):
    gradient = found["Reinforce"][:, 0]
    depths = range(1, len(gradient) + 1)
    print("means and standard deviations divided by the exact gradient, which is in the first row")
    lesson.table(["", *(f"{k} layer{'s' * (k > 1)}" for k in depths)],
                 [["exact gradient", *map(float, gradient)]]
                 + [[f"mean, {name}", *map(float, f[:, 1] / gradient)] for name, f in found.items()]
                 + [[f"deviation, {name}", *map(float, f[:, 2] / gradient)] for name, f in found.items()])


def draw(found):
    figure, (left, right) = lesson.figure(columns=2)
    for name, values in found.items():
        depths, gradient = np.arange(1, len(values) + 1), values[:, 0]
        colour, marker = STYLE[name]
        style = {"color": colour, "marker": marker, "markersize": 5, "label": name}
        left.plot(depths, values[:, 1] / gradient, **style)
        noise = values[:, 2] / gradient
        right.plot(depths[noise > 0], noise[noise > 0], **style)       # LocalExpectation has no noise with one layer
    left.axhline(1, color="black", linewidth=0.8, zorder=0)
    left.annotate("three unbiased rules", (DEPTH, 1), (0, 8), textcoords="offset points", ha="right")
    left.set(yscale="log", xlabel="layers of bits", ylabel="mean / exact gradient", ylim=(0.1, 1000),
             title="Bias of each rule")
    right.set(yscale="log", xlabel="layers of bits", ylabel="standard deviation / exact gradient", ylim=(0.05, 60),
              title="Noise of each rule")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False, fontsize=8)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__).parse_args(argv)
    found = measure(DEPTH)
    show(found)
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
