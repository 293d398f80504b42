"""Whether a coin shows heads is a jump.  How can one learn a probability from jumps?

    python -m demos.score_function

Five coins show heads with probability p = σ(θ), and the cost is (heads − 2)².  A coin is 1[u < p] with
noise u.  Hold the noise, and turn θ: the cost stays, jumps, stays.  Its derivative is 0, or there is
none.  But the mean over the noise, E[cost], is smooth in θ, and what we want is its slope:

    d E[cost] / dθ = Σ_b cost(b) dP(b)/dθ = E[cost · d log P(b)/dθ] = E[cost · Σ_i (b_i − p)].

So throw the coins once, multiply the cost by Σ (b_i − p), the score: that is right on average.  No
derivative of the cost is needed, it may be a black box.  This is REINFORCE (Williams 1992; Theorem 1
of Bengio, Léonard & Courville 2013).  The price is in the picture: how far a single estimate, a grey
dot, is from that average.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

COINS = 5
GRID = np.linspace(-4, 4, 33)       # θ
TRY = """
  --samples 200, and 20000: what happens to the error bars, what to the cloud?
  In cost, (heads - 2)**2 + 10: the slope is the same. And the cloud?  demos.baselines goes on from there.
  In cost, mg.where(heads == 2, 0.0, 1.0), right or wrong: nothing to differentiate. Does it still work?
  mg.estimators.Stop() for Reinforce: what does backward make of the jumps by itself?
"""


def cost(theta, rng):
    """Of one throw for each row of θ, an array (rows, 1)."""
    heads = mg.bernoulli(theta + np.zeros(COINS), mg.estimators.Reinforce(), rng=rng).sum(axis=1)
    return (heads - 2) ** 2


def mean_cost(theta):
    return mg.testing.exact_expectation(lambda: mg.expected(cost(mg.tensor([[theta]]), mg.Generator(0))))


def measure(samples, seed):
    """What is drawn; ``mean`` and ``deviation`` are those of one estimate, exactly, by enumeration."""
    grid = mg.tensor(GRID[:, None], requires_grad=True)

    report = lesson.exact(lambda rng: len(GRID) * mg.expected(cost(grid, rng)), grid)   # rows are problems: no mean
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
    """Middle, mean estimate and its standard error, of 16 parts of the cloud."""
    number = np.minimum(np.floor(2 * (theta + 4)), 15)
    parts = [estimates[number == i] for i in range(16)]
    return [(i / 2 - 3.75, x.mean(), x.std(ddof=1) / len(x) ** 0.5) for i, x in enumerate(parts) if len(x) > 1]


def draw(found):
    figure, (left, right) = lesson.figure(1, 2)
    fine, jumps = found["jumps"]
    for number, path in enumerate(jumps):
        left.plot(fine, path, color=(lesson.GREY, lesson.ORANGE)[number], label=f"noise held: throw {number + 1}")
    left.plot(found["θ"], found["E[cost]"], color=lesson.BLUE, linewidth=2.5, label="E[cost]")
    left.set(xlabel="θ", ylabel="cost")
    left.set_title("A throw jumps, the mean does not", fontsize=11)
    left.legend(frameon=False)
    right.plot(*found["cloud"], ".", color=lesson.GREY, markersize=2, alpha=0.5,
               label="one estimate: a curve for each number of heads")
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
    lesson.table([*columns[:3], "mean of an estimate", "its deviation"],
                 zip(*(found[name][::4] for name in columns), strict=True))
    lesson.close(draw(found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
