"""What if the bit were a little soft, so that it had a slope to follow?

    python -m demos.relaxations

Behind a bit b ~ Bernoulli(p) stands logistic noise L = log((1 − u)/u): b = 1[logit + L > 0], a step.
Divide by a temperature τ and take a sigmoid, y = σ((logit + L)/τ), and the step becomes a ramp.

    GumbelSigmoid           puts y in place of b, forward and backward: right for another problem
    GumbelStraightThrough   keeps b forward and takes the slope of the ramp backward
    Rebar                   keeps b, and REINFORCE; the ramp only predicts the noise, to be subtracted
    Relax                   the same, with a small network that learns to predict it

A hot ramp is smooth and wrong, a cold one near the step and steep, so the first two rules pay for less
bias with variance.  (The second one's mean ends, cold, at that of Darn: see demos.one_rule_four_names.)
The others are right at any temperature, which is left to see to the variance alone.

One bit costs exp(b), and all of its noise is tried: u is spread evenly instead of drawn, so that the
means and variances below are integrals, good to six digits.  (With one bit there is little to predict,
and RELAX ends almost without variance.  With many it does not.)
Maddison et al. and Jang et al. (2017); Tucker et al. (2017); Grathwohl et al. (2018).
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

P = 0.3
LOGIT = np.log(P / (1 - P))
TEMPERATURES = np.geomspace(0.1, 3, 13)
LESSONS = 400           # passes in which RELAX learns
STYLE = {"GumbelSigmoid": (lesson.RED, "o"), "GumbelStraightThrough": (lesson.ORANGE, "s"),
         "Rebar": (lesson.BLUE, "^"), "Relax": (lesson.GREEN, ""), "Reinforce": (lesson.GREY, "")}
TRY = """
  In estimates, cost (bits - 0.45) ** 2: how much of that can a ramp predict?
  Two logits, rng=mg.Generator(0) instead of Even(0), a cost with a product of the bits: where does RELAX stop now?
  Rebar(temperature=t, scale=1.0), without the learned factor: which temperature would you choose?
"""


class Even(mg.Generator):
    """Noise without luck: uniforms that are spread evenly down the last axis but one, the same in each column."""

    def uniform(self, shape, dtype=np.float64, event_ndim=1):
        self.draws += 1
        column = (np.arange(shape[-2]) + 0.5) / shape[-2]
        return np.broadcast_to(column[:, None], shape).astype(dtype)

    def fork(self, *path):
        return Even(self.seed)


def estimates(rule, samples):
    """One estimate of the gradient for each u, from which the rule learns."""
    logits = mg.tensor(np.full((samples, 1), LOGIT), requires_grad=True)
    bits = mg.bernoulli(logits, rule, rng=Even(0))
    mg.expected(mg.exp(bits)).backward()
    return samples * logits.grad


def moments(rule, samples, passes=0):
    """Mean and variance of an estimate, after so many passes in which the rule may learn."""
    for _ in range(passes):
        estimates(rule, 500)
    found = estimates(rule, samples)
    return found.mean(), found.var()


def measure(samples=20_000):
    """The exact gradient, and by name of rule an array (temperatures, 2) of means and variances."""
    rules, found = mg.estimators, {}
    for name in ("GumbelSigmoid", "GumbelStraightThrough", "Rebar"):
        make = getattr(rules, name)
        found[name] = np.array([moments(make(temperature=t), samples, passes=1) for t in TEMPERATURES])
    for name, passes in (("Relax", LESSONS), ("Reinforce", 0)):        # no temperature: the same everywhere
        found[name] = np.tile(moments(getattr(rules, name)(), samples, passes), (len(TEMPERATURES), 1))
    return P * (1 - P) * (np.e - 1), found


def show(truth, found):
    chosen = [0, len(TEMPERATURES) // 2, len(TEMPERATURES) - 1]
    print(f"cost exp(b), p = {P}: the gradient is {truth:.4f}")
    coldest, *others = (f"{TEMPERATURES[i]:.2g}" for i in chosen)
    lesson.table(["rule", f"bias at τ = {coldest}", *others, f"variance at τ = {coldest}", *others],
                 [[name, *(f"{round(m[i, 0] - truth, 4) + 0:.4f}" for i in chosen), *(f"{m[i, 1]:.2g}" for i in chosen)]
                  for name, m in found.items()])


def draw(truth, found):
    figure, (left, right) = lesson.figure(columns=2)
    for name, values in found.items():
        colour, marker = STYLE[name]
        style = {"color": colour, "marker": marker, "markersize": 5, "label": name}
        if not marker:
            style["linestyle"] = "--" if name == "Relax" else ":"
        if name != "Reinforce":
            left.plot(TEMPERATURES, values[:, 0], **style)
        right.plot(TEMPERATURES, values[:, 1], **style)
    left.axhline(truth, color="black", linewidth=0.8)
    left.annotate("exact gradient", (TEMPERATURES[-1], truth), (0, 6), textcoords="offset points", ha="right")
    left.set(xscale="log", xlabel="temperature τ", ylabel="mean of the estimate", ylim=(0, 1.25 * truth),
             title="A hot ramp has the wrong mean …")
    right.set(xscale="log", yscale="log", xlabel="temperature τ", ylabel="variance of one estimate",
              title="… and a cold one a large variance")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def main(argv=None):
    given = lesson.parser(__file__, __doc__, samples=20_000).parse_args(argv)
    truth, found = measure(given.samples)
    show(truth, found)
    lesson.close(draw(truth, found), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
