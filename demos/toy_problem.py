"""Which gradient estimators can train a single random bit?

    python -m demos.toy_problem                     half a minute
    python -m demos.toy_problem --target 0.45 --rules Reinforce,DisARM,StraightThrough

One bit b is 1 with probability p = σ(logit).  Its cost is (b − 0.499)²: 0.249001 if b = 0 and 0.251001 if b = 1.
So the bit should learn to be 0.  But the difference, 0.002, is small compared with the cost.  A rule that
multiplies its noise by the cost has noise that is hundreds of times as large as the gradient.  A rule that
follows the slope of the cost stops at p = 0.499, where the slope is 0 on average.

Each rule is trained separately, by Adam with one sample per step.  Several runs of each rule show how much
depends on chance.  (The runs of a rule share its memory, if it has one.)  The problem is from Tucker et al.
(2017), arXiv 1703.07370; Grathwohl et al. (2018), arXiv 1711.00123, made it harder.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import ceil
from multiprocessing import get_context

import numpy as np

import minigrad as mg
from demos import lesson

EXACT = "Enumerate"             # computes the cost of both values of the bit, so its gradient is exact
COLUMNS = 5
START = 0.8                     # the logit, so p = 0.69
NEAR = 0.15                     # a run ends "at" a value of p if it is closer than this
COLOURS = {"arrives": lesson.BLUE, "neither": lesson.GREY, "stops at p = t": lesson.RED}
TRY = """
  --target 0.501: now the bit should be 1. Which rule had ended at the right value only by chance?
  --target 0.45: the difference between the costs is fifty times as large. Which rules arrive now?
  In learn, give REINFORCE a baseline, mg.estimators.Reinforce(baseline="mean"). Is that enough?
"""


def learn(name, target, steps, runs, seed, device="cpu"):
    """The values of p before each step and after the last: an array of shape (steps + 1, runs)."""
    logits = mg.tensor(np.full((runs, 1), START), requires_grad=True, device=device)
    rule, rng = getattr(mg.estimators, name)(), mg.Generator(seed)
    optimiser = mg.optim.Adam([logits], lr=0.01)
    curve = np.empty((steps + 1, runs))
    for step in range(steps):
        curve[step] = logits.numpy()[:, 0]
        optimiser.zero_grad()
        mg.expected((mg.bernoulli(logits, rule, rng=rng) - target) ** 2).backward(free=True)
        optimiser.step()
    curve[steps] = logits.numpy()[:, 0]
    return 1 / (1 + np.exp(-curve))


def verdict(curve, exact, target):
    """Where all runs of a rule end: a name in COLOURS.  It uses the mean of the last tenth of their steps."""
    end, goal = (c[-max(1, len(c) // 10):].mean(axis=0) for c in (curve, exact))
    if (np.abs(end - goal) < NEAR).all():
        return "arrives"
    return "stops at p = t" if (np.abs(end - target) < NEAR).all() else "neither"


def run(rules=mg.estimators.__all__, target=0.499, steps=3000, runs=8, seed=0, device="cpu"):
    """Curves by name of rule, including the exact gradient."""
    names = list(dict.fromkeys([EXACT, *rules]))
    job = partial(learn, target=target, steps=steps, runs=runs, seed=seed, device=device)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return dict(zip(names, lesson.progress(pool.map(job, names), total=len(names), unit="rule", leave=False),
                        strict=True))


def report(curves, target):
    print(f"{'':24}{'p at the end':>13}{'range over runs':>21}")
    for name, curve in ordered(curves, target):
        low, middle, high = np.quantile(curve[-1], [0, 0.5, 1])
        print(f"{name:24}{middle:13.3f}{f'{low:.3f} to {high:.3f}':>21}  {verdict(curve, curves[EXACT], target)}")


def ordered(curves, target):
    """(name, curve) pairs, sorted by verdict and then by the distance of the last p from the exact one."""
    rank, exact = list(COLOURS), curves[EXACT]

    def place(pair):
        curve = pair[1]
        return rank.index(verdict(curve, exact, target)), np.abs(curve[-1] - exact[-1]).mean()
    return sorted(curves.items(), key=place)


def draw(curves, target):
    """One panel for each rule: all runs, their mean, and the curve of the exact gradient."""
    rows = ceil(len(curves) / COLUMNS)
    figure, grid = lesson.figure(rows, COLUMNS, 0.9 + 1.15 * rows, sharex=True, sharey=True, squeeze=False)
    exact = curves[EXACT]
    for axes, (name, curve) in zip(grid.flat, ordered(curves, target), strict=False):
        colour = COLOURS[verdict(curve, exact, target)]
        axes.plot(curve, color=colour, linewidth=0.5, alpha=0.4)
        axes.plot(curve.mean(axis=1), color=colour, linewidth=1.8)
        axes.plot(exact[:, 0], "--", color="black", linewidth=0.8)
        axes.axhline(target, color="grey", linestyle=":", linewidth=0.8)
        axes.set_title(name, fontsize=8, color=colour, pad=2)
    for axes in grid.flat[len(curves):]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("p", rotation=0, labelpad=8)
    for axes in grid[-1]:
        axes.set_xlabel("training step")
    grid[0, 0].set(ylim=(0, 1), xlim=(0, len(exact) - 1), yticks=(0, 0.5, 1))
    figure.suptitle(f"p = P(b = 1) during training with the cost (b − t)², t = {target}\n"
                    "thick: mean of the runs; dashed: the exact gradient; dotted: p = t", fontsize=10)
    lines = [grid[0, 0].plot([], [], color=colour, linewidth=2)[0] for colour in COLOURS.values()]
    figure.legend(lines, COLOURS, loc="outside lower center", ncols=len(COLOURS), frameon=False, fontsize=9)
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=0, device="cpu")
    add = parser.add_argument
    add("--target", type=float, default=0.499, help="t in the cost (b − t)² (default: %(default)s)")
    add("--rules", type=lesson.rules, default=mg.estimators.__all__, metavar="NAMES",
        help="rules of mg.estimators, separated by commas (default: all)")
    add("--steps", type=lesson.positive, default=3000, metavar="N",
        help="number of training steps (default: %(default)s)")
    add("--runs", type=lesson.positive, default=8, metavar="N",
        help="number of runs of each rule (default: %(default)s)")
    given = parser.parse_args(argv)
    curves = run(given.rules, given.target, given.steps, given.runs, given.seed, given.device)
    report(curves, given.target)
    lesson.close(draw(curves, given.target), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
