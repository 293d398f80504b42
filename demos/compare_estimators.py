"""Which gradient estimator should you use, and what does it cost?

    python -m demos.compare_estimators                       three bits with products between them
    python -m demos.compare_estimators --problem network     three layers of five bits, layer by layer
    python -m demos.compare_estimators --problem vae --data FOLDER --rules DisARM,Rebar,StraightThrough

An estimate ĝ of a gradient can be wrong on average (bias), and it can vary around its mean (variance).  Reducing
either one usually costs more evaluations of the cost.  This demo applies every rule of ``mg.estimators`` to the same
small problem, whose exact gradient g is known:

    bias         |E[ĝ] − g|; if E[ĝ] is sampled, an unbiased rule has a bias about as large as stderr
    stderr       standard error of E[ĝ]; 0 if all outcomes of the rule's noise were enumerated
    variance     of one estimate, summed over the coordinates of g
    cosine       of the angle between E[ĝ] and g; 1 means that the mean has the right direction
    evaluations  of the cost for one estimate, including the forward pass
    ms           for a batch of 100 estimates, forward and backward

A rule with a memory first learns in 100 passes.  Then its memory is fixed.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, floor, log, log10
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np

import minigrad as mg
from demos import lesson

BATCH = 100             # copies of a problem in one pass
WARM_UP = 100           # passes in which a rule with a memory learns
OUTCOMES = 300          # a rule's noise with more outcomes than this is sampled, not enumerated
CHEAP = 20              # a rule with more evaluations than this gets proportionally fewer samples
SURE = 5.0              # a bias counts if it exceeds this many standard errors
TRY = """
  In PROBLEMS, use toy(0.499, p=0.01), a bit that is nearly always 0. For which rules does the variance change most?
  In compare, use other options for a rule, such as LeaveOneOut(samples=8). Is it worth its evaluations?
  Add a rule of your own. On which side of the frontier is it?
"""


# ---- problems ------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Parameters, and a cost that depends on them through random bits.

    ``costs(params, draw)`` computes independent copies of the problem; they are the first axis of every array.
    ``draw(logits)`` returns bits that use the rule under test.
    """

    about: str
    params: dict            # name -> array, one copy
    costs: Callable
    layers: int = 1         # number of calls of draw
    small: bool = True      # whether the outcomes of the rule's noise can be enumerated


def toy(t, p=0.3):
    def costs(params, draw):
        return ((draw(params["logit"]) - t) ** 2).sum(axis=1)
    return Problem(f"(b − {t})², one bit with P(b = 1) = {p:.2g}", {"logit": np.array([log(p / (1 - p))])}, costs)


def shared_logit(logit=0.0):
    def costs(params, draw):
        return ((draw(params["logit"] + np.zeros(3)) - [0.6, 0.51, 0.48]) ** 2).sum(axis=1)
    return Problem("A: Σ (b_i − p_i)², three bits with one logit", {"logit": np.array([logit])}, costs)


def products():
    probs = np.array([0.2, 0.5, 0.8])

    def costs(params, draw):
        b = draw(params["logits"])
        pairs = b[:, 0] * b[:, 1] - 2 * b[:, 0] * b[:, 2] + 1.5 * b[:, 1] * b[:, 2]
        return mg.exp(0.5 * pairs + 0.3 * b.sum(axis=1))
    return Problem("B: exp(½ Σ A_ij b_i b_j + 0.3 Σ b_i), three bits", {"logits": np.log(probs / (1 - probs))}, costs)


def network(units=5):
    numbers = np.random.default_rng(4)
    params = {"layer 1": numbers.normal(size=units)}
    params |= {f"layer {k}": numbers.normal(size=(units + 1, units)) for k in (2, 3)}       # the first row is the bias
    readout = 2 * numbers.normal(size=units)

    def costs(params, draw):
        bits = draw(params["layer 1"])
        for name in ("layer 2", "layer 3"):
            weight = params[name]
            bits = draw((bits.reshape(len(bits), units, 1) * weight[:, 1:]).sum(axis=1) + weight[:, 0])
        return mg.softplus(bits @ readout)
    return Problem("three layers of five bits, all weights, with a logistic readout", params, costs, 3, small=False)


def vae(images, digits=2, bits=12):
    """The reconstruction error of a VAE after a short training.  Its other term, the divergence, needs no rule."""
    x = (images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) > 0.5).astype(float)
    rng = mg.Generator(0)
    encoder, decoder = mg.nn.Linear(196, bits, rng, dtype=float), mg.nn.Linear(bits, 196, rng, dtype=float)
    ink = x.mean(axis=0).clip(0.01, 0.99)
    decoder.bias.data = np.log(ink / (1 - ink))         # start at the mean image, so that training is short

    def reconstruction(b, x):
        pixels = decoder(b)
        return (mg.softplus(pixels) - x * pixels).sum(axis=-1)

    optimiser, rule = mg.optim.Adam([encoder, decoder], lr=0.01), mg.estimators.DisARM()
    for chosen in mg.data.minibatches(200 * 50, 50, seed=0, epoch=0):
        batch = x[chosen % len(x)]
        q = encoder(batch)
        divergence = (mg.sigmoid(q) * q - mg.softplus(q) + log(2)).sum(axis=1).mean()     # from P(b = 1) = ½
        optimiser.zero_grad()
        (mg.expected(reconstruction(mg.bernoulli(q, rule, rng=rng), batch)) + divergence).backward(free=True)
        optimiser.step()

    shown, fixed = x[:digits], [decoder.weight, decoder.bias]
    decoder.weight, decoder.bias = (p.detach() for p in fixed)

    def costs(params, draw):
        logits = params["logits"]
        context = np.broadcast_to(shown, (len(logits), *shown.shape))
        return reconstruction(draw(logits, context), shown)
    return Problem(f"Bernoulli VAE: reconstruction of {digits} digits from {bits} bits",
                   {"logits": encoder(shown).numpy()}, costs, small=False)


PROBLEMS = {
    "toy-0.45": lambda folder: toy(0.45),
    "toy-0.49": lambda folder: toy(0.49),
    "toy-0.499": lambda folder: toy(0.499),
    "A": lambda folder: shared_logit(),
    "B": lambda folder: products(),
    "network": lambda folder: network(),
    "vae": lambda folder: vae(mg.data.digits(folder).train_images[:2000]),
}


# ---- measuring -----------------------------------------------------------------------------------------------


def copies_of(problem, copies):
    return {name: mg.tensor(np.repeat(x[None], copies, axis=0), requires_grad=True)
            for name, x in problem.params.items()}


class Trial:
    """A problem whose bits all use one kind of rule, with one instance for each layer."""

    def __init__(self, problem, make):
        self.problem, self.rules = problem, [make() for _ in range(problem.layers)]

    def loss(self, params, rng):
        self.bits = []

        def draw(logits, context=None):
            rule = self.rules[len(self.bits)]
            self.bits.append(mg.bernoulli(logits, rule, rng=rng, context=context))
            return self.bits[-1]
        return mg.expected(self.problem.costs(params, draw))

    def estimates(self, rng):
        """Estimates, an array of shape (copies, coordinates), and the number of evaluations for each estimate."""
        params = copies_of(self.problem, BATCH)
        gradients = mg.grad(self.loss(params, rng), list(params.values()))
        estimates = np.concatenate([BATCH * g.numpy().reshape(BATCH, -1) for g in gradients], axis=1)
        return estimates, 1 + sum(b.primitive.replays for b in self.bits)


@dataclass
class Result:
    """Moments of a rule's estimate for each coordinate."""

    rule: str
    gradient: np.ndarray        # exact
    mean: np.ndarray
    variance: np.ndarray
    samples: int | None         # None if all outcomes were enumerated
    evaluations: int
    ms: float

    @property
    def bias(self):
        return self.mean - self.gradient

    @property
    def stderr(self):
        return np.sqrt(self.variance / self.samples) if self.samples else np.zeros_like(self.variance)

    @property
    def cosine(self):
        norms = np.linalg.norm(self.mean) * np.linalg.norm(self.gradient)
        return float(self.mean @ self.gradient / norms) if norms > 0 else float("nan")

    @property
    def biased(self):
        rounding = 1e-9 * (np.abs(self.gradient).max() + np.sqrt(self.variance))
        return bool((np.abs(self.bias) > SURE * self.stderr + rounding).any())

    def part(self, chosen):
        """The Result for some of the coordinates."""
        return replace(self, gradient=self.gradient[chosen], mean=self.mean[chosen], variance=self.variance[chosen])


def exact_gradient(problem):
    """The exact gradient by enumeration of all states of all bits, without a rule, as one array.

    With several layers, the states of the first layer are the rows of one batch, weighted by their probabilities.
    Only the states of the other layers are enumerated one after the other.
    """
    params, rng = copies_of(problem, 1), mg.Generator(0)

    def loss():
        weights = [1.0]

        def draw(logits, context=None):
            if problem.layers == 1 or len(weights) > 1:
                return mg.bernoulli(logits, mg.estimators.Stop(), rng=rng)
            states = np.indices((2,) * logits.shape[1]).reshape(logits.shape[1], -1).T.astype(float)
            log_probability = states * mg.log_sigmoid(logits) + (1 - states) * mg.log_sigmoid(-logits)
            weights.append(len(states) * mg.exp(log_probability.sum(axis=1)))
            return mg.tensor(states)
        return mg.expected(problem.costs(params, draw) * weights[-1])

    return np.concatenate([g.ravel() for g in mg.testing.exact_gradient(loss, list(params.values()))])


def measure(problem, gradient, name, make, samples, seed):
    """Measure one rule.  Returns a Result.

    Raises
    ------
    ValueError
        The rule does not fit the problem.
    """
    trial, rng, seconds, evaluations = Trial(problem, make), mg.Generator(seed), [], 1

    def passes(most):
        return max(1, int(most * min(1, CHEAP / evaluations)))

    while len(seconds) < passes(WARM_UP):
        start = perf_counter()
        _, evaluations = trial.estimates(rng)
        seconds.append(perf_counter() - start)
    ms = 1000 * median(seconds)

    if problem.small:
        params = copies_of(problem, 1)
        report = mg.testing.check_estimator(lambda rng: trial.loss(params, rng), params, samples=OUTCOMES, seed=seed)
        if report.exact:
            mean, variance = (np.concatenate([x.ravel() for x in found.values()])
                              for found in (report.mean, report.variance))
            return Result(name, gradient, mean, variance, None, evaluations, ms)
    with mg.testing.frozen_memories():
        found = np.concatenate([trial.estimates(rng)[0] for _ in range(passes(samples / BATCH))])
    return Result(name, gradient, found.mean(axis=0), found.var(axis=0, ddof=1), len(found), evaluations, ms)


def compare(problem, rules=mg.estimators.__all__, samples=10_000, seed=0):
    """Results, sorted by evaluations, and {name: reason} for rules that do not fit the problem."""
    gradient, results, misfits = exact_gradient(problem), [], {}
    for name in lesson.progress(rules, unit="rule", leave=False):
        try:
            results.append(measure(problem, gradient, name, getattr(mg.estimators, name), samples, seed))
        except ValueError as reason:
            misfits[name] = str(reason)
    return sorted(results, key=lambda r: (r.evaluations, -r.variance.sum())), misfits


def frontier(results):
    """The rules without a significant bias for which no rule with as few evaluations has less variance."""
    best = []
    for r in sorted(results, key=lambda r: (r.evaluations, r.variance.sum())):
        if not r.biased and (not best or r.variance.sum() < best[-1].variance.sum()):
            best.append(r)
    return best


# ---- the report ----------------------------------------------------------------------------------------------


def size(x):
    return float(np.linalg.norm(x))


def table(results):
    lines = [f"{'':24}{'bias':>10}{'stderr':>10}{'variance':>11}{'cosine':>8}{'evaluations':>13}{'ms':>9}  by"]
    best = frontier(results)
    for r in results:
        by = f"{r.samples} samples" if r.samples else "enumeration"
        lines.append(f"{r.rule:24}{size(r.bias):10.2g}{size(r.stderr):10.2g}{r.variance.sum():11.4g}{r.cosine:8.3f}"
                     f"{r.evaluations:13}{r.ms:9.2f}  {by}{', biased' if r.biased else ''}{' *' * (r in best)}")
    return "\n".join([*lines, "* no rule without a significant bias has less variance with as few evaluations"])


def layer_table(results, params):
    """A table of bias, variance and cosine for the coordinates of each layer."""
    ends = np.cumsum([x.size for x in params.values()])
    parts = {name: slice(end - x.size, end) for end, (name, x) in zip(ends, params.items(), strict=True)}
    lines = [f"{'':24}" + "".join(f"{name:^30}" for name in parts),
             f"{'':24}" + f"{'bias':>10}{'variance':>11}{'cosine':>9}" * len(parts)]
    for r in results:
        layers = [r.part(chosen) for chosen in parts.values()]
        lines.append(f"{r.rule:24}" + "".join(
            f"{size(x.bias):10.2g}{x.variance.sum():11.3g}{x.cosine:9.3f}" for x in layers))
    return "\n".join(lines)


def draw(title, results):
    """The variance of each rule, in groups with equal numbers of evaluations, and the frontier."""
    blue, red, grey = lesson.BLUE, lesson.RED, lesson.GREY
    gradient = results[0].gradient
    spreads = [r.variance.sum() for r in results] + [float(r.bias @ r.bias) for r in results if r.biased]
    seen = [x for x in spreads if x > 1e-24]
    low, high = 10.0 ** (floor(log10(min(seen, default=1e-3))) - 1), 3 * max(seen, default=1)    # low is drawn for 0
    figure, axes = lesson.figure(height=1.6 + 0.2 * max(len(results), 6))

    def place(x):
        return max(x, low)

    groups = {}
    for row, r in enumerate(results):
        groups.setdefault(r.evaluations, []).append(row)
        variance = r.variance.sum()
        if r.biased:
            axes.plot(place(variance), row, "o", color=red, fillstyle="none", label="biased: variance")
            axes.plot(place(r.bias @ r.bias), row, "x", color=red, label="biased: bias²")
        else:
            axes.plot(place(variance), row, "o", color=blue, label="no bias found: variance")
    for i, (count, rows) in enumerate(groups.items()):
        axes.axhspan(rows[0] - 0.5, rows[-1] + 0.5, color=grey, alpha=0.12 * (i % 2), linewidth=0)
        axes.text(1.01, np.mean(rows), f"{count}", transform=axes.get_yaxis_transform(), va="center")
    axes.text(1.01, 1.01, "evaluations", transform=axes.transAxes, fontsize=8)
    steps = [(place(r.variance.sum()), results.index(r)) for r in frontier(results)]
    if steps:
        x, y = zip(*steps, (steps[-1][0], len(results) - 0.5), strict=True)
        axes.step(x, y, where="pre", color=blue, linewidth=1.2, label="frontier of unbiased rules")
    axes.axvline(gradient @ gradient, color=grey, linestyle=":", label="|exact gradient|²")
    axes.axvline(low, color=grey, linewidth=0.8)
    axes.set(xscale="log", xlim=(low / 1.5, high), ylim=(len(results) - 0.5, -0.5), title=title,
             xlabel="variance of one estimate, or bias², summed over coordinates")
    powers = np.arange(log10(low), log10(high), ceil(log10(high / low) / 9)).round().astype(int)
    axes.set_xticks(10.0**powers, ["0", *(f"$10^{{{power}}}$" for power in powers[1:])])
    axes.minorticks_off()
    axes.set_yticks(range(len(results)), [r.rule for r in results])
    legend = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=0, samples=10_000)
    add = parser.add_argument
    add("--problem", choices=PROBLEMS, default="B", help="problem (default: %(default)s)")
    add("--rules", type=lesson.rules, default=mg.estimators.__all__, metavar="NAMES",
        help="rules of mg.estimators, separated by commas (default: all)")
    add("--data", metavar="FOLDER", help="folder of the files of MNIST, for vae (default: as for mg.data.digits)")
    given = parser.parse_args(argv)
    if given.samples < BATCH:
        parser.error(f"argument --samples: expected {BATCH} or more, got {given.samples}")
    try:
        problem = PROBLEMS[given.problem](given.data)
    except (OSError, ValueError) as error:
        parser.error(f"--data: {error}")
    print(problem.about)
    results, misfits = compare(problem, given.rules, given.samples, given.seed)
    for name, reason in misfits.items():
        print(f"{name} does not fit: {reason}")
    if results:
        print(table(results))
        if len(problem.params) > 1:
            print(layer_table(results, problem.params))
        lesson.close(draw(problem.about, results), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
