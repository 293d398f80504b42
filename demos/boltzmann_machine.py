"""What has a Boltzmann machine, which learns by dreaming, to do with rewards and gradient estimators?

    python -m demos.boltzmann_machine

A Boltzmann machine looks at data (it is awake), then at states it makes up itself (it dreams), and
changes each weight by how often its two units fire together awake, less how often in dreams:

    d log-likelihood / d w_ij = E_awake[x_i h_j] − E_dream[x_i h_j]

Now let somebody reward all units with R = +1 when awake and R = −1 in a dream, and let each unit
follow nothing but h_j R, the correlation of what it did with the reward.  That is the same rule.  As
an estimator of "how does the reward depend on the unit" it is biased, by P(h_j = 1) R, and REINFORCE
removes that bias by centring: (h_j − P(h_j = 1)) R.  Which of the two should the machine use?

Here the data are six pictures of 3 × 3 pixels, small enough to dream without error (all 512 pictures
are weighed) and to compare with the exact gradient.  Source: Bengio (2013), arXiv 1305.2982.
"""

import sys

import numpy as np

import minigrad as mg
from demos import lesson

SIDE = 3
BARS = np.array([np.outer(line, np.ones(SIDE)) for line in np.eye(SIDE)]
                + [np.outer(np.ones(SIDE), line) for line in np.eye(SIDE)]).reshape(2 * SIDE, -1)
PICTURES = np.array([[s >> i & 1 for i in range(SIDE**2)] for s in range(2 ** SIDE**2)], float)
RULES = {
    "correlation  h R": mg.estimators.Correlation,
    "centred  (h − p) R": mg.estimators.Reinforce,
}
TRY = """
  In RULES, a third one, lambda: mg.estimators.Reinforce(baseline=1.0): does a baseline bring back what is lost?
  In Machine.cost, a reward of 1 awake and 0 in a dream: what does the machine dream of then?
  Dream by a few sweeps of Gibbs sampling from the last dream, instead of exactly: what becomes of the bias?
"""


class Machine(mg.nn.Module):
    """Pixels x and hidden units h in {0, 1} with P(x, h) ∝ exp(Σ x_i w_ij h_j + Σ c_j h_j)."""

    def __init__(self, rng, hidden=8):
        self.weight = mg.tensor(0.1 * rng.normal((SIDE**2, hidden)), requires_grad=True)
        self.bias = mg.tensor(np.zeros(hidden), requires_grad=True)

    def logits(self, pictures):
        return pictures @ self.weight + self.bias

    def score(self, pictures):
        """log P(x) but for a constant: the hidden units, independent given x, are summed out."""
        return mg.softplus(self.logits(pictures)).sum(axis=1)

    def log_likelihood(self):
        """Mean log-probability of the six pictures, exactly."""
        return self.score(BARS).mean() - mg.logsumexp(self.score(PICTURES), axis=0)

    def dream(self, n, rng):
        """n pictures from the machine's own distribution."""
        probability = mg.softmax(self.score(PICTURES), axis=0).numpy()
        return PICTURES[np.searchsorted(probability.cumsum()[:-1], rng.uniform((n, 1))[:, 0])]

    def cost(self, rule, n, rng):
        """Cost −R of n pictures awake and n in a dream; ``rule`` decides what the hidden units learn from it."""
        awake = BARS[rng.integers(len(BARS), (n, 1))[:, 0]]
        pictures, reward = np.concatenate([awake, self.dream(n, rng)]), np.repeat([1.0, -1.0], n)
        h = mg.bernoulli(self.logits(pictures), rule, rng=rng)
        # The reward comes after the units have fired, but does not depend on how: hence the zero.
        return 2 * mg.expected(-reward * (1 + 0 * h.sum(axis=1)))


def learn(rule, steps, seed):
    """Train a machine; return it and its log-likelihood after each step.  Rule None: the exact gradient."""
    machine, rng, curve = Machine(mg.Generator(seed)), mg.Generator(seed + 1), []
    optimiser = mg.optim.SGD(machine, lr=0.2)
    for _ in range(steps):
        optimiser.zero_grad()
        log_likelihood = machine.log_likelihood()
        loss = -log_likelihood if rule is None else machine.cost(rule, 100, rng)
        loss.backward(free=True)
        optimiser.step()
        curve.append(log_likelihood.item())
    return machine, np.array(curve)


def compare(machine, rule, samples, seed):
    """Gradients of the log-likelihood by the weights: the mean of many estimates, and the exact one."""
    machine.weight.grad, rng = None, mg.Generator(seed)
    for _ in range(samples):
        machine.cost(rule, 100, rng).backward()
    estimate = -machine.weight.grad / samples
    return estimate.ravel(), mg.grad(machine.log_likelihood(), machine.weight).numpy().ravel()


def measure(steps=1500, samples=1000, seed=1):
    """Curves by rule, and (estimate, exact) by rule at a machine that has learned a little."""
    machine, _ = learn(None, 150, seed)
    curves = {"exact gradient": learn(None, steps, seed)[1]}
    gradients = {}
    for name, rule in RULES.items():
        curves[name] = learn(rule(), steps, seed)[1]
        gradients[name] = compare(machine, rule(), samples, seed)
    return curves, gradients


def slope(estimate, exact):
    """Of the line through 0 that fits estimates to exact gradients best."""
    return float(estimate @ exact / (exact @ exact))


def show(curves, gradients):
    print(f"log-likelihood per picture: {-np.log(len(PICTURES)):.2f} for guessing, {-np.log(len(BARS)):.2f} at best")
    lesson.table(["rule", "after training", "slope against the exact gradient"],
                 [[name, f"{curve[-1]:.2f}", f"{slope(*gradients[name]):.2f}" if name in gradients else ""]
                  for name, curve in curves.items()])
    print("The reward tells the phases apart, not what a unit did in one: all that is learned is in the bias\n"
          "that centring removes, P(h = 1) awake less P(h = 1) in dreams.")


def draw(curves, gradients):
    colours = dict(zip(curves, ("black", lesson.BLUE, lesson.RED, lesson.GREEN), strict=False))
    figure, (left, right) = lesson.figure(1, 2)
    for name, curve in curves.items():
        left.plot(curve, color=colours[name], label=name, linestyle="--" if name == "exact gradient" else "-")
    left.axhline(-np.log(len(BARS)), color=lesson.GREY, linewidth=1, linestyle=":", label="best possible")
    left.set(xlabel="training step", ylabel="log-likelihood per picture (nats)")
    left.set_title("Does it learn?", fontsize=11)
    left.legend(loc="center right")
    for (name, (estimate, exact)), marker in zip(gradients.items(), "os^", strict=False):
        right.plot(exact, estimate, marker, color=colours[name], markersize=4, label=name)
    limits = np.array([exact.min(), exact.max()])
    right.plot(limits, limits, "--", color="black", linewidth=1, label="estimate = exact")
    right.set(xlabel="exact gradient of each weight", ylabel="mean of the estimates")
    right.set_title("Why: what is left on average", fontsize=11)
    right.legend(loc="upper left")
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=1, samples=1000)
    parser.add_argument("--steps", type=lesson.positive, default=1500, help="of training (default: %(default)s)")
    given = parser.parse_args(argv)
    curves, gradients = measure(given.steps, given.samples, given.seed)
    show(curves, gradients)
    lesson.close(draw(curves, gradients), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
