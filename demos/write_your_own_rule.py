"""I wrote a gradient estimator for random bits.  Is it correct?

    python -m demos.write_your_own_rule

A training run does not answer this, because training can also make progress with a wrong gradient.  This lesson
writes a new rule in a few lines and tests it on two layers of random bits.  Their exact gradient is computed by
enumeration.  Then three wrong versions of the rule, each with a typical mistake, are tested too.

The rule flips one bit of each row and looks at the change of the cost.  The gradient of unit i is
v_i (f(b_i = 1) − f(b_i = 0)), where v = p (1 − p).  A unit that is nearly always 0 or nearly always 1 has a small v_i.
So the rule chooses unit i with probability v_i / Σv, and divides its estimate by this probability.  The estimate is
Σv (f(b_i = 1) − f(b_i = 0)) for the chosen unit, and 0 for all others.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson
from minigrad.testing.certificate import CHECKS, check_mean

SAMPLES = 1000      # of a test that samples, for comparison
TRY = """
  In noise, draw one number for the whole batch: uniform((1, 1)). The mean stays correct. Which check fails?
  Flip two units in each row. Which weight makes the estimate unbiased?
  Test your own rule in pytest: write a test function with the arguments (rule, check) that calls check(rule), and
    decorate it with mg.testing.parametrize_with_checks([MyRule()]).
"""

# ---- the rule ------------------------------------------------------------------------------------------------


class LikelyFlip(mg.Estimator):
    needs = {"cost_at"}         # the rule evaluates the cost at other bits
    unbiased = True             # and claims to be unbiased

    def backward(self, node):
        v, u = self.slopes(node), self.noise(node)
        total = v.sum(axis=1, keepdims=True)
        edges = (v / total).cumsum(axis=1)
        chosen = (u < edges) & (u >= edges - v / total)         # one unit in each row
        # If rows share a cost, flip one row at a time.  Else the cost would also change by flips in other rows.
        on, off = (node.cost_at(np.where(chosen, bit, node.value), rows="one by one") for bit in (1.0, 0.0))
        return np.where(chosen, self.weight(v) * (on - off), 0.0)

    def slopes(self, node):
        return node.probs * mg.sigmoid(-node.logits)            # p (1 − p)

    def noise(self, node):
        return node.rng.uniform((node.shape[0], 1))             # one number for each row

    def weight(self, v):
        return v.sum(axis=1, keepdims=True)                     # Σv


# ---- three wrong versions ------------------------------------------------------------------------------------


class WrongOdds(LikelyFlip):
    """The weight is D v.  That is correct only if all D units are chosen with the same probability."""

    def weight(self, v):
        return v.shape[1] * v


class SecondHand(LikelyFlip):
    """The unit is chosen with the noise of the first bit instead of new noise."""

    def noise(self, node):
        return node.noise[:, :1]


class Stranger(LikelyFlip):
    """The unit is chosen with the rule's own generator, which ignores the seed of the graph."""

    def noise(self, node):
        return np.random.default_rng().random((node.shape[0], 1))


RULES = [LikelyFlip, WrongOdds, SecondHand, Stranger]


# ---- the tests -----------------------------------------------------------------------------------------------


def examine():
    """For each rule, the report on its mean, and the messages of all checks that it fails."""
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
    lesson.table(["rule", "largest bias", "largest gradient", "computed from", "failed checks"], rows)
    for name, found in complaints.items():
        print(f"\n{name}: " + ("\n  ".join(["", *found]) if found else "passes all checks"))
    print(f"\nA test with {SAMPLES} samples would not detect the bias of SecondHand (see the picture).  Enumeration "
          "does.")


def flat(arrays):
    return np.concatenate([x.ravel() for x in arrays.values()])


def in_errors(report):
    """The bias of every coordinate, in standard errors of a mean over SAMPLES samples."""
    return flat(report.bias) / np.sqrt(flat(report.variance) / SAMPLES)


def draw(reports, complaints):
    figure, panels = lesson.figure(len(reports), height=6.5)
    for (name, report), axes in zip(reports.items(), panels, strict=True):
        bias = in_errors(report)
        colour, marker = (lesson.RED, "s") if complaints[name] else (lesson.BLUE, "o")
        axes.axhspan(-report.critical, report.critical, color=lesson.GREY, alpha=0.2, linewidth=0)
        axes.plot(bias, marker, color=colour, markersize=4)
        verdict = "biased" if not report.unbiased else "unbiased" if report.exact else "no bias found"
        how = "exact" if report.exact else f"from {report.runs} samples"
        others = len(complaints[name]) - (not report.unbiased)
        more = f"; fails {others} other checks" if others else ""
        axes.set_title(f"{name}: {verdict} ({how}){more}", loc="left", fontsize=10)
        axes.set(ylim=(-17, 10), xticks=[])
    panels[-1].set_xticks(np.arange(len(bias)), report.problem.coordinates, rotation=90, fontsize=7)
    figure.supylabel(f"bias / standard error of {SAMPLES} samples", fontsize=10)
    figure.suptitle(f"A test with {SAMPLES} samples does not detect a bias inside the grey band", fontsize=11)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__).parse_args(argv)
    reports, complaints = examine()
    show(reports, complaints)
    lesson.close(draw(reports, complaints), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
