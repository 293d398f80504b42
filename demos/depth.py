"""What becomes of an estimate on its way up through several layers of random bits?

    python -m demos.depth

A chain of bits, each drawn given the one above: b₁ ~ σ(−1), then b_k ~ σ(w (b_{k−1} − ½)) with w = 3,
and the last one costs exp(b).  How does the cost depend on the logit of the first bit?  Every outcome
of the chain, and of the rules' own noise, is enumerated: all numbers are exact.

Truth gets weaker on its way: a layer passes on tanh(w/4) = 0.64 of what arrives, since that is how much
more often a bit is 1 if the one above it is.  Three things can happen to an estimate:

    StraightThrough…     passes on the slope at the sample instead, w or w σ'(w/2) = 0.45.  An error of
                         1.4 a layer looks harmless, and multiplies: bias grows exponentially.
    Reinforce            asks nobody below, so it has no bias.  But its noise is that of the whole cost,
                         however little of it is its own doing: noise / gradient grows like 1 / 0.64^k.
    DisARM and
    LocalExpectation     change the bit, and look at the cost with the same noise below.  Where nothing
                         reaches the end, the difference is 0: the noise fades with the signal, and
                         their ratio grows only as the square root, 1 / 0.8^k.
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
  WEIGHT = 1, where a layer is almost linear: which rule is rehabilitated, and how do the others fare?
  WEIGHT = 8, where bits copy each other: who gains now?
  In chain, Reinforce for the first bit and StraightThroughSlope below: does the bias come back?
"""


def chain(rule, depth):
    """The loss of a chain of ``depth`` bits, and the logit of the first."""
    logit = mg.tensor([[FIRST]], requires_grad=True)

    def loss(rng):
        bit = mg.bernoulli(logit, rule, rng=rng)
        for _ in range(depth - 1):
            bit = mg.bernoulli(WEIGHT * (bit - 0.5), rule, rng=rng)
        return mg.expected(mg.exp(bit).sum(axis=1))
    return loss, logit


def measure(deepest):
    """By name of rule, an array (depths, 3): the exact gradient, mean and standard deviation of an estimate."""
    found = {}
    for name in STYLE:
        rule = getattr(mg.estimators, name)()
        reports = [lesson.exact(*chain(rule, depth)) for depth in range(1, deepest + 1)]
        found[name] = np.array([[r.gradient.item(), r.mean.item(), np.sqrt(r.variance.item())] for r in reports])
    return found


def show(found):
    gradient = found["Reinforce"][:, 0]
    depths = range(1, len(gradient) + 1)
    print("means and standard deviations in units of the exact gradient, which is in the first row")
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
        right.plot(depths[noise > 0], noise[noise > 0], **style)       # LocalExpectation has none with one layer
    left.axhline(1, color="black", linewidth=0.8, zorder=0)
    left.annotate("unbiased, all three", (DEPTH, 1), (0, 8), textcoords="offset points", ha="right")
    left.set(yscale="log", xlabel="layers of bits", ylabel="mean / exact gradient", ylim=(0.1, 1000),
             title="Errors of slopes multiply")
    right.set(yscale="log", xlabel="layers of bits", ylabel="standard deviation / exact gradient", ylim=(0.05, 60),
              title="Noise, beside a signal that fades")
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
