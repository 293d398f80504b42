"""The outcome of a coin throw jumps between 0 and 1.  How can a probability be learned from it?

    python -m demos.score_function

Five coins show heads with probability p = σ(θ), and the cost is (heads − 2)².  A coin is 1[u < p] with noise u.
If u is kept fixed and θ changes, the cost is constant except at a few jumps.  So its derivative is 0, or
does not exist.  But the mean over the noise, E[cost], is smooth in θ.  Its slope is the gradient we want:

    d E[cost] / dθ = Σ_b cost(b) dP(b)/dθ = E[cost · d log P(b)/dθ] = E[cost · Σ_i (b_i − p)].

So throw the coins once, and multiply the cost by the score Σ (b_i − p).  The result is unbiased: it is right on
average.  It needs no derivative of the cost, so the cost can be any program.  This is REINFORCE (Williams 1992;
Theorem 1 of Bengio, Léonard & Courville 2013).  Its disadvantage is variance: in the picture, single estimates (grey
dots) are far from the mean.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

COINS = 5
GRID = np.linspace(-4, 4, 33)       # θ
TRY = """
  --samples 200, then --samples 20000. How do the error bars change? How does the cloud of dots change?
  In cost, return (heads - 2)**2 + 10. The slope stays the same. What happens to the cloud? See also demos.baselines.
  In cost, return mg.where(heads == 2, 0.0, 1.0), which has no useful derivative. Does REINFORCE still work?
  In cost, replace Reinforce by mg.estimators.Stop(). Which gradient does backward compute then?
"""


def cost(theta, rng):
    """The cost of one throw for each row of θ, which has shape (rows, 1)."""
    heads = mg.bernoulli(theta + np.zeros(COINS), mg.estimators.Reinforce(), rng=rng).sum(axis=1)
    return (heads - 2) ** 2


def mean_cost(theta):
    return mg.testing.exact_expectation(lambda: mg.expected(cost(mg.tensor([[theta]]), mg.Generator(0))))


def measure(samples, seed):
    """The numbers to plot.  ``mean`` and ``deviation`` are the exact moments of one estimate, by enumeration."""
    grid = mg.tensor(GRID[:, None], requires_grad=True)

    report = lesson.exact(lambda rng: len(GRID) * mg.expected(cost(grid, rng)), grid) # undo the mean over rows
    fine = np.linspace(-4, 4, 201)
    throws = [[cost(mg.tensor([[t]]), mg.Generator(s)).item() for t in fine] for s in (seed, seed + 1)]
    theta = mg.tensor(8 * mg.Generator(seed).uniform((samples, 1)) - 4, requires_grad=True)
    estimates = samples * mg.grad(mg.expected(cost(theta, mg.Generator(seed + 1))), theta).data
    return {
        "θ": GRID,
        "E[cost]": np.array([mean_cost(t) for t in GRID]),
        "slope": report.gradient[:, 0],
        "mean": report.mean[:, 0],
        "deviation": np.sqrt(report.variance[:, 0]),
        "jumps": (fine, throws),
        "cloud": (theta.data[:, 0], estimates[:, 0]),
    }


def bins(theta, estimates):
    """The middle, the mean estimate and its standard error in each of 16 intervals of θ."""
    number = np.minimum(np.floor(2 * (theta + 4)), 15)
    parts = [estimates[number == i] for i in range(16)]
    return [(i / 2 - 3.75, x.mean(), x.std(ddof=1) / len(x) ** 0.5) for i, x in enumerate(parts) if len(x) > 1]


def draw(found):
    figure, (left, right) = lesson.figure(1, 2)
    fine, jumps = found["jumps"]
    for number, path in enumerate(jumps):
        left.plot(fine, path, color=(lesson.GREY, lesson.ORANGE)[number], label=f"fixed noise, throw {number + 1}")
    left.plot(found["θ"], found["E[cost]"], color=lesson.BLUE, linewidth=2.5, label="E[cost]")
    left.set(xlabel="θ", ylabel="cost")
    left.set_title("The cost of a throw jumps, the mean is smooth", fontsize=11)
    left.legend(frameon=False)
    right.plot(*found["cloud"], ".", color=lesson.GREY, markersize=2, alpha=0.5,
               label="single estimates (one curve per number of heads)")
    right.plot(found["θ"], found["slope"], color=lesson.BLUE, linewidth=2.5, label="exact slope of E[cost]")
    middles, means, stderrs = zip(*bins(*found["cloud"]), strict=True)
    right.errorbar(middles, means, 2 * np.array(stderrs), fmt="o", color=lesson.RED, markersize=4,
                   label="mean of estimates, ± 2 standard errors")
    right.set(xlabel="θ", ylabel="dE[cost]/dθ", ylim=(-15, 40))
    right.set_title("REINFORCE: cost · Σ (b − p)", fontsize=11)
    right.legend(frameon=False, markerscale=2)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, seed=0, samples=4000).parse_args(argv)
    found = measure(given.samples, given.seed)
    columns = ["θ", "E[cost]", "slope", "mean", "deviation"]
    lesson.table([*columns[:3], "mean of an estimate", "standard deviation"],
                 zip(*(found[name][::4] for name in columns), strict=True))
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
