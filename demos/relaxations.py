"""A bit is a step function of its noise.  What changes if the step becomes a smooth ramp with a slope?

    python -m demos.relaxations

A bit b ~ Bernoulli(p) is a step function of logistic noise L = log((1 − u)/u): b = 1[logit + L > 0].  Divide by a
temperature τ and apply a sigmoid: y = σ((logit + L)/τ).  This is the relaxed bit.  The step has become a ramp.

    GumbelSigmoid           uses y instead of b, forward and backward: the exact gradient of a different problem
    GumbelStraightThrough   uses b forward, and the slope of y backward
    Rebar                   uses b and REINFORCE; the ramp predicts the noise of the estimate, which is subtracted
    Relax                   like Rebar, but a small network learns to predict the noise

At a high temperature the ramp is smooth, but far from the step.  At a low temperature it is close to the step, but
steep.  So the first two rules have less bias and more variance at low temperatures.  (As τ → 0, the mean of the second
tends to the mean of Darn: see demos.one_rule_four_names.)  The other two are unbiased at any temperature, so
the temperature can be chosen for a small variance.

One bit has the cost exp(b).  The values of u are spaced evenly instead of drawn.  So the means and variances below are
integrals, correct to six digits.  (With one bit there is little to predict, and RELAX learns to remove almost all
variance.  With many bits it does not.)
Maddison et al. and Jang et al. (2017); Tucker et al. (2017); Grathwohl et al. (2018).
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

P = 0.3
LOGIT = np.log(P / (1 - P))
TEMPERATURES = np.geomspace(0.1, 3, 13)
LESSONS = 400           # training passes of RELAX
STYLE = {"GumbelSigmoid": (lesson.RED, "o"), "GumbelStraightThrough": (lesson.ORANGE, "s"),
         "Rebar": (lesson.BLUE, "^"), "Relax": (lesson.GREEN, ""), "Reinforce": (lesson.GREY, "")}
TRY = """
  In estimates, use the cost (bits - 0.45) ** 2. How much variance does Rebar remove now?
  In estimates, use two logits, rng=mg.Generator(0) instead of Even(0), and a cost with the product of the two bits.
    How much variance does RELAX leave now?
  Use Rebar(temperature=t, scale=1.0), which does not learn its factor. Which temperature would you choose?
"""


class Even(mg.Generator):
    """A generator of evenly spaced uniforms along the last axis but one.  All columns are equal."""

    def uniform(self, shape, dtype=np.float64, event_ndim=1):
        self.draws += 1
        column = (np.arange(shape[-2]) + 0.5) / shape[-2]
        return np.broadcast_to(column[:, None], shape).astype(dtype)

    def fork(self, *path):
        return Even(self.seed)


def estimates(rule, samples):
    """One estimate of the gradient for each u.  A rule with a memory learns from them."""
    logits = mg.tensor(np.full((samples, 1), LOGIT), requires_grad=True)
    bits = mg.bernoulli(logits, rule, rng=Even(0))
    mg.expected(mg.exp(bits)).backward()
    return samples * logits.grad


def moments(rule, samples, passes=0):
    """Mean and variance of an estimate, after the given number of passes in which the rule learns."""
    for _ in range(passes):
        estimates(rule, 500)
    found = estimates(rule, samples)
    return found.mean(), found.var()


def measure(samples=20_000):
    """The exact gradient, and for each rule an array of shape (temperatures, 2) with means and variances."""
    rules, found = mg.estimators, {}
    for name in ("GumbelSigmoid", "GumbelStraightThrough", "Rebar"):
        make = getattr(rules, name)
        found[name] = np.array([moments(make(temperature=t), samples, passes=1) for t in TEMPERATURES])
    for name, passes in (("Relax", LESSONS), ("Reinforce", 0)):        # no temperature: repeat one value
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
             title="High temperature: large bias")
    right.set(xscale="log", yscale="log", xlabel="temperature τ", ylabel="variance of one estimate",
              title="Low temperature: large variance")
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
