"""I wrote a rule for the gradient through a random bit.  Is it right?

    python -m demos.write_your_own_rule

A training run does not tell: it gets somewhere with a wrong gradient, too.  Here a new rule is written
in a few lines and examined on two layers of random bits, whose exact gradient is known by enumeration.
Then three mistakes are planted in it, of the kind that one does make, and each has to be found.

The rule: flip one bit and see what the cost does.  Which bit?  A unit that is nearly always on or off
has next to no gradient, so flip those more often that can go either way: unit i with probability
v_i / Σv, where v = p (1 − p).  Its gradient is v_i (f(b_i = 1) − f(b_i = 0)); made up for the odds of
being chosen, that is Σv (f(b_i = 1) − f(b_i = 0)), and 0 for the units that were not.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson
from minigrad.testing.certificate import CHECKS, check_mean

SAMPLES = 1000      # of a test that draws them, for comparison
TRY = """
  In noise, one number for the whole batch, uniform((1, 1)). The mean stays right; which check notices?
  Flip two units in each row, and find the weight.
  Take a rule of your own to pytest: decorate a test of (rule, check), whose body is check(rule), with
    mg.testing.parametrize_with_checks([MyRule()]).
"""

# ---- the rule ------------------------------------------------------------------------------------------------


class LikelyFlip(mg.Estimator):
    needs = {"cost_at"}         # it asks what the cost would have been at other bits
    unbiased = True             # and claims to be right on average

    def backward(self, node):
        v, u = self.slopes(node), self.noise(node)
        total = v.sum(axis=1, keepdims=True)
        edges = (v / total).cumsum(axis=1)
        chosen = (u < edges) & (u >= edges - v / total)         # one unit in each row
        # One row at a time where rows share a cost: else a row would be blamed for the flips in the others.
        on, off = (node.cost_at(np.where(chosen, bit, node.value), rows="one by one") for bit in (1.0, 0.0))
        return np.where(chosen, self.weight(v) * (on - off), 0.0)

    def slopes(self, node):
        return node.probs * mg.sigmoid(-node.logits)            # p (1 − p)

    def noise(self, node):
        return node.rng.uniform((node.shape[0], 1))             # one number for each row

    def weight(self, v):
        return v.sum(axis=1, keepdims=True)                     # Σv


# ---- and wrong, in three ways --------------------------------------------------------------------------------


class WrongOdds(LikelyFlip):
    """The weight is D v, which would be right if all D units were equally likely to be chosen."""

    def weight(self, v):
        return v.shape[1] * v


class SecondHand(LikelyFlip):
    """The unit is chosen by the noise that made the first bit, instead of fresh noise."""

    def noise(self, node):
        return node.noise[:, :1]


class Stranger(LikelyFlip):
    """The unit is chosen by a generator that no seed of the graph reaches."""

    def noise(self, node):
        return np.random.default_rng().random((node.shape[0], 1))


RULES = [LikelyFlip, WrongOdds, SecondHand, Stranger]


# ---- the examination -----------------------------------------------------------------------------------------


def examine():
    """For each rule, the report on its mean, and what the other checks have against it."""
    reports, complaints = {}, {}
    for rule in RULES:
        name = rule.__name__
        reports[name] = mg.testing.examine(rule())
        complaints[name] = [] if reports[name].unbiased else [reports[name].fault()]
        for check in CHECKS:
            if check is not check_mean:
                try:
                    check(rule())
                except AssertionError as error:
                    complaints[name].append(str(error))
    return reports, complaints


def show(reports, complaints):
    rows = []
    for name, report in reports.items():
        how = f"{report.runs} outcomes, exact" if report.exact else f"{report.runs} samples"
        bias, gradient = (f"{np.abs(flat(x)).max():.2g}" for x in (report.bias, report.gradient))
        rows.append([name, bias, gradient, how, len(complaints[name])])
    lesson.table(["rule", "largest bias", "largest gradient", "how it is known", "complaints"], rows)
    for name, found in complaints.items():
        print(f"\n{name}: " + ("\n  ".join(["", *found]) if found else "passes all checks"))
    print(f"\n{SAMPLES} samples would not give SecondHand away (see the picture).  Enumeration does.")


def flat(arrays):
    return np.concatenate([x.ravel() for x in arrays.values()])


def in_errors(report):
    """The bias at every coordinate, in units of the error that SAMPLES samples would leave."""
    return flat(report.bias) / np.sqrt(flat(report.variance) / SAMPLES)


def draw(reports, complaints):
    figure, panels = lesson.figure(len(reports), height=6.5)
    for (name, report), axes in zip(reports.items(), panels, strict=True):
        bias = in_errors(report)
        colour, marker = (lesson.RED, "s") if complaints[name] else (lesson.BLUE, "o")
        axes.axhspan(-report.critical, report.critical, color=lesson.GREY, alpha=0.2, linewidth=0)
        axes.plot(bias, marker, color=colour, markersize=4)
        verdict = "unbiased" if report.unbiased else "biased"
        how = "exactly" if report.exact else f"as far as {report.runs} samples tell"
        others = len(complaints[name]) - (not report.unbiased)
        more = f"; {others} complaints of other checks" if others else ""
        axes.set_title(f"{name}: {verdict}, {how}{more}", loc="left", fontsize=10)
        axes.set(ylim=(-17, 10), xticks=[])
    panels[-1].set_xticks(np.arange(len(bias)), report.problem.coordinates, rotation=90, fontsize=7)
    figure.supylabel(f"bias / standard error of {SAMPLES} samples", fontsize=10)
    figure.suptitle(f"A test with {SAMPLES} samples cannot object to anything in the grey band", fontsize=11)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__).parse_args(argv)
    reports, complaints = examine()
    show(reports, complaints)
    lesson.close(draw(reports, complaints), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
