"""How is the learning rule of a Boltzmann machine related to gradient estimators for a reward?

    python -m demos.boltzmann_machine

A Boltzmann machine is trained with two kinds of states: data, and samples of its own distribution.  The change of a
weight is the difference of two correlations:

    d log-likelihood / d w_ij = E_data[x_i h_j] − E_model[x_i h_j].

Now give all units the reward R = +1 for data and R = −1 for samples of the model, and let each hidden unit use the
estimate h_j R, the correlation of its state with the reward.  The result is the same learning rule.  As an
estimate of how the reward depends on the unit, h_j R has the bias P(h_j = 1) R.  REINFORCE removes this bias by
centring: (h_j − P(h_j = 1)) R.  Which of the two trains the machine?

The data here are six pictures of 3 × 3 pixels.  All 512 possible pictures can be enumerated, so the samples of the
model are exact, and the exact gradient is known.  Source: Bengio (2013), arXiv 1305.2982.
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
  In RULES, add a third rule: lambda: mg.estimators.Reinforce(baseline=1.0). Does the machine learn with a baseline?
  In Machine.cost, use the reward 1 for data and 0 for samples of the model. Which pictures does the model sample then?
  In Machine.sample, replace exact sampling by a few steps of Gibbs sampling, which start at the last samples. Does
    the estimate get a bias?
"""


class Machine(mg.nn.Module):
    """Pixels x and hidden units h in {0, 1} with P(x, h) ∝ exp(Σ x_i w_ij h_j + Σ c_j h_j)."""

    def __init__(self, rng, hidden=8):
        self.weight = mg.tensor(0.1 * rng.normal((SIDE**2, hidden)), requires_grad=True)
        self.bias = mg.tensor(np.zeros(hidden), requires_grad=True)

    def logits(self, pictures):
        return pictures @ self.weight + self.bias

    def score(self, pictures):
        """log P(x) up to a constant.  The hidden units are independent given x, so the sum over them is a formula."""
        return mg.softplus(self.logits(pictures)).sum(axis=1)

    def log_likelihood(self):
        """The exact mean log-probability of the six pictures."""
        return self.score(BARS).mean() - mg.logsumexp(self.score(PICTURES), axis=0)

    def sample(self, n, rng):
        """n exact samples of the model."""
        probability = mg.softmax(self.score(PICTURES), axis=0).numpy()
        return PICTURES[np.searchsorted(probability.cumsum()[:-1], rng.uniform((n, 1))[:, 0])]

    def cost(self, rule, n, rng):
        """The cost −R of n data and n samples of the model.  ``rule`` estimates the gradient of the hidden units."""
        data = BARS[rng.integers(len(BARS), (n, 1))[:, 0]]
        pictures, reward = np.concatenate([data, self.sample(n, rng)]), np.repeat([1.0, -1.0], n)
        h = mg.bernoulli(self.logits(pictures), rule, rng=rng)
        # The reward is given after h is sampled, but does not depend on h.  Hence the factor 0.
        return 2 * mg.expected(-reward * (1 + 0 * h.sum(axis=1)))


def learn(rule, steps, seed):
    """Train a machine.  Returns it and its log-likelihood at each step.  Without a rule, the gradient is exact."""
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
    """The gradient of the log-likelihood by the weights: the mean of many estimates, and the exact one."""
    machine.weight.grad, rng = None, mg.Generator(seed)
    for _ in range(samples):
        machine.cost(rule, 100, rng).backward()
    estimate = -machine.weight.grad / samples
    return estimate.ravel(), mg.grad(machine.log_likelihood(), machine.weight).numpy().ravel()


def measure(steps=1500, samples=1000, seed=1):
    """Curves by rule, and for each rule (mean estimate, exact gradient) of a partly trained machine."""
    machine, _ = learn(None, 150, seed)
    curves = {"exact gradient": learn(None, steps, seed)[1]}
    gradients = {}
    for name, rule in RULES.items():
        curves[name] = learn(rule(), steps, seed)[1]
        gradients[name] = compare(machine, rule(), samples, seed)
    return curves, gradients


def slope(estimate, exact):
    """The slope of the least-squares line through 0, of estimates against exact gradients."""
    return float(estimate @ exact / (exact @ exact))


def show(curves, gradients):
    print(f"log-likelihood per picture: {-np.log(len(PICTURES)):.2f} for guessing, {-np.log(len(BARS)):.2f} at best")
    lesson.table(["rule", "after training", "slope against the exact gradient"],
                 [[name, f"{curve[-1]:.2f}", f"{slope(*gradients[name]):.2f}" if name in gradients else ""]
                  for name, curve in curves.items()])
    print("The reward only depends on whether a picture is data.  It does not depend on the states of hidden units.\n"
          "So the gradient that trains the machine is the bias that centring removes: P(h = 1) for data, minus\n"
          "P(h = 1) for samples of the model.")


def draw(curves, gradients):
    colours = dict(zip(curves, ("black", lesson.BLUE, lesson.RED, lesson.GREEN), strict=False))
    figure, (left, right) = lesson.figure(1, 2)
    for name, curve in curves.items():
        left.plot(curve, color=colours[name], label=name, linestyle="--" if name == "exact gradient" else "-")
    left.axhline(-np.log(len(BARS)), color=lesson.GREY, linewidth=1, linestyle=":", label="best possible")
    left.set(xlabel="training step", ylabel="log-likelihood per picture (nats)")
    left.set_title("Training", fontsize=11)
    left.legend(loc="center right")
    for (name, (estimate, exact)), marker in zip(gradients.items(), "os^", strict=False):
        right.plot(exact, estimate, marker, color=colours[name], markersize=4, label=name)
    limits = np.array([exact.min(), exact.max()])
    right.plot(limits, limits, "--", color="black", linewidth=1, label="estimate = exact")
    right.set(xlabel="exact gradient of each weight", ylabel="mean of the estimates")
    right.set_title("Mean of the estimates", fontsize=11)
    right.legend(loc="upper left")
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=1, samples=1000)
    parser.add_argument("--steps", type=lesson.positive, default=1500, metavar="N",
                        help="number of training steps (default: %(default)s)")
    given = parser.parse_args(argv)
    curves, gradients = measure(given.steps, given.samples, given.seed)
    show(curves, gradients)
    lesson.close(draw(curves, gradients), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
