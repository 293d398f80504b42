"""Which rule has the best gradient?  Bias and variance of the gater's gradient for every rule, in the paper's network.

The network and a minibatch are fixed: once before training, and once after some epochs of straight-through.
Estimates only differ in the noise of the gates and of the rule.  An estimate ĝ is the gradient of the mean cost with
respect to all 1.1 million parameters of the gater, as the optimiser gets it.  The penalty on open gates is left
out, because its gradient needs no rule.

The reference g is the mean of many estimates of LocalExpectation.  It flips all 2000 gates of every digit in turn, is
unbiased and has little variance.  An exact gradient is not possible, because 2000 bits have too many states.  So the
noise of the reference is part of every comparison.  For each rule:

    along         ⟨E ĝ, g⟩ / |g|²: the part of the gradient that the mean estimate contains; 1 for an unbiased rule
    cosine        of the angle between E ĝ and g: whether it has the right direction, for any length
    bias          |E ĝ − g| / |g|
    variance      of one estimate, summed over the coordinates, / |g|²
    signal        ⟨E ĝ, g⟩² / (|g|² E|ĝ|²), between 0 and 1: the fraction of E|ĝ|² that is gradient

The signal measures how useful an estimate is for a training step.  Suppose that the cost has the same curvature in all
directions and that the step size is optimal.  Then the signal is the decrease of the cost by a step along −ĝ, divided
by the decrease by a step along −g.  Bias and variance both lower the signal.  It does not depend on the scale of ĝ.

Products of means are averaged over pairs of *different* groups of samples.  These are independent, so noise adds no
bias to the product.  Standard errors are jackknife estimates: one group is left out at a time.  The experts are
computed once and multiplied by the gates, which gives the same costs as the gated layer.  The milliseconds of a rule
are measured with the gated layer, as in training.
"""

from functools import cached_property, partial
from math import sqrt

import numpy as np
from matplotlib.figure import Figure

import minigrad as mg
from demos import conditional_mnist
from demos.benchmarks import measure
from demos.paper_table.report import table
from demos.paper_table.rows import digits
from demos.paper_table.timing import train_row

ALONE = True
CAPTION = "signal of every rule against the milliseconds of a training pass, in a fresh and a trained network"
GROUPS = 16             # groups of samples; the mean of each is kept
EXPENSIVE = 100         # rules with more evaluations get fewer samples, and are timed less often
SURE = 4.0              # a difference counts if it exceeds this many standard errors
REFERENCE = "LocalExpectation"

RULES = {name: getattr(mg.estimators, name) for name in mg.estimators.__all__} | {
    "Reinforce, baseline mean": partial(mg.estimators.Reinforce, baseline="mean"),
    "Reinforce, baseline optimal": partial(mg.estimators.Reinforce, baseline="optimal"),
}
LEFT_OUT = {
    "Enumerate": "2000 bits have too many states",
    "Stop": "its estimate is always 0",
    "Vimco": "without log-weights it is `Reinforce`",
}
PAPER = {"straight-through": "StraightThrough", "sbn": "Reinforce, baseline optimal"}


# ---- estimates -----------------------------------------------------------------------------------------------


class Problem:
    """The cost of a minibatch with random gates, and its gradient with respect to the gater."""

    def __init__(self, network, images, labels):
        self.network, self.images, self.labels = network, images, labels
        self.block = network.experts.block
        gates = np.ones((len(images), len(network.gater[-1].bias.data)), images.dtype)
        with mg.no_grad():
            self.experts = network.experts(images, gates).numpy()
        self.weight, self.bias = network.output.weight.detach(), network.output.bias.detach()
        self.gater = [x for layer in network.gater for x in (layer.weight, layer.bias)]

    def draw(self, rule, rng):
        return mg.bernoulli(self.network.logits(self.images), rule, rng=rng, context=self.images)

    def loss(self, gates):
        """The mean cost.  The experts were computed before."""
        units = gates if self.block == 1 else mg.repeat(gates, self.block, axis=1)
        scores = mg.linear(units * self.experts, self.weight, self.bias)
        return mg.expected(mg.cross_entropy(scores, self.labels))

    def estimate(self, rule, rng):
        """One estimate as one array, and its number of evaluations of the cost."""
        gates = self.draw(rule, rng)
        found = mg.grad(self.loss(gates), self.gater)
        return np.concatenate([g.numpy().ravel() for g in found]), 1 + gates.primitive.replays

    def training_pass(self, rule, rng):
        """Forward and backward with the gated layer, for all parameters, as in training."""
        gates = self.draw(rule, rng)
        costs = mg.cross_entropy(self.network.scores(self.images, gates), self.labels)
        mg.grad(mg.expected(costs), self.network.parameters())


class Sample:
    """Groups of estimates: their means, of shape (groups, coordinates), and the mean of |ĝ|² in each group."""

    def __init__(self, means, squares, evaluations):
        self.means, self.squares, self.evaluations = means, squares, evaluations

    @classmethod
    def of(cls, problem, rule, each, rng):
        """GROUPS groups of ``each`` estimates, with new noise for every estimate."""
        means, squares, evaluations = [], np.zeros(GROUPS), 0
        for group in range(GROUPS):
            total = 0.0
            for i in range(each):
                estimate, made = problem.estimate(rule, rng.fork(group, i))
                estimate = estimate.astype(float)
                total = total + estimate
                squares[group] += estimate @ estimate / each
                evaluations += made / (GROUPS * each)
            means.append(total / each)
        return cls(np.stack(means), squares, evaluations)


# ---- statistics ----------------------------------------------------------------------------------------------


def apart(products):
    """The mean product of different groups.  A single group counts as exact."""
    count = len(products)
    if count == 1:
        return products[0, 0]
    return (products.sum() - np.trace(products)) / (count * (count - 1))


class Comparison:
    """The comparison of a rule's sample with the sample of the reference.

    Each number is a pair: the value and its standard error.
    """

    def __init__(self, sample, reference):
        self.coordinates = sample.means.shape[1]
        self.squares = sample.squares
        self.own = sample.means @ sample.means.T
        self.mixed = sample.means @ reference.means.T
        self.others = reference.means @ reference.means.T

    def products(self, left_out=None, of_others=None):
        """⟨E ĝ, E ĝ⟩, ⟨E ĝ, g⟩, ⟨g, g⟩ and E|ĝ|², optionally without one of the groups."""
        a, b = np.arange(len(self.own)), np.arange(len(self.others))
        a, b = a[a != left_out] if left_out is not None else a, b[b != of_others] if of_others is not None else b
        return (apart(self.own[np.ix_(a, a)]), self.mixed[np.ix_(a, b)].mean(),
                apart(self.others[np.ix_(b, b)]), self.squares[a].mean())

    def with_error(self, statistic):
        """A function of the four products, and its jackknife standard error over the groups of both samples."""
        square = 0.0
        for count, name in (len(self.own), "left_out"), (len(self.others), "of_others"):
            if count > 1:
                values = np.array([statistic(*self.products(**{name: k})) for k in range(count)])
                square += (count - 1) * values.var()
        return float(statistic(*self.products())), float(sqrt(square))

    @cached_property
    def length(self):
        """|E ĝ|² / |g|²."""
        return self.with_error(lambda own, mixed, others, square: own / others)

    @cached_property
    def along(self):
        return self.with_error(lambda own, mixed, others, square: mixed / others)

    @cached_property
    def cosine(self):
        """The cosine, or (None, None) if the length of E ĝ does not differ significantly from 0."""
        if not self.length[0] > SURE * self.length[1]:
            return None, None
        return self.with_error(lambda own, mixed, others, square: mixed / sqrt(max(own * others, 1e-300)))

    @cached_property
    def squared_bias(self):
        """|E ĝ − g|² / |g|².  The estimate can be negative if the bias is small."""
        return self.with_error(lambda own, mixed, others, square: (own - 2 * mixed) / others + 1)

    @cached_property
    def biased(self):
        """Whether the bias, or its component along g, is significantly different from 0."""
        return any(abs(value) > SURE * error for value, error in
                   (self.squared_bias, (self.along[0] - 1, self.along[1])))

    @cached_property
    def variance(self):
        """The variance of an estimate, summed over coordinates, / |g|²."""
        return self.with_error(lambda own, mixed, others, square: (square - own) / others)

    @cached_property
    def signal(self):
        return self.with_error(lambda own, mixed, others, square: mixed * abs(mixed) / (others * square))

    def numbers(self):
        """All numbers, as JSON values."""
        return {name: list(getattr(self, name)) for name in
                ("length", "along", "cosine", "squared_bias", "variance", "signal")} | {
            "biased": bool(self.biased), "coordinates": self.coordinates}


# ---- all rules in one network -------------------------------------------------------------------------------


def network_of(state, data, epochs, path):
    """The network before training ("fresh"), or at the best epoch of straight-through, which ``path`` stores."""
    settings = {"method": "straight-through", "recipe": "quick", "epochs": epochs, "batch": 100, "block": 1, "seed": 0}
    run = conditional_mnist.Run(settings, data)
    if state == "fresh":
        return run.network
    try:
        run.network.load_state_dict(mg.checkpoint.load(path))
    except FileNotFoundError:
        run, _ = train_row("straight-through", data, epochs, seed=0)
        mg.checkpoint.save(path, run.network.state_dict())
    return run.network


def prepared(name, network, data, batch, warm_up, rng):
    """A rule.  A rule with a memory first learns from ``warm_up`` minibatches with this network."""
    rule = RULES[name]()
    if rule.state is not None:
        batches = mg.data.minibatches(len(data.train_images), batch, seed=1, epoch=0)[:warm_up]
        for i, chosen in enumerate(batches):
            Problem(network, data.train_images[chosen], data.train_labels[chosen]).estimate(rule, rng.fork(i))
    return rule


def examine(name, problem, data, samples, warm_up, reference, rng):
    """The numbers of one rule."""
    rule = prepared(name, problem.network, data, len(problem.images), warm_up, rng.fork(0))
    with mg.testing.frozen_memories():
        expensive = problem.estimate(rule, rng.fork(1))[1] > EXPENSIVE
        sample = Sample.of(problem, rule, per_group(samples, expensive), rng.fork(2))
    return Comparison(sample, reference).numbers() | {
        "unbiased": rule.unbiased, "evaluations": sample.evaluations,
        "samples": GROUPS * per_group(samples, expensive)}


def per_group(samples, expensive):
    return max(1, samples // GROUPS // (8 if expensive else 1))


def milliseconds(problem, evaluations, rounds):
    """Milliseconds of a training pass with each rule, measured in turns.  Expensive rules are measured once."""
    rng = mg.Generator(0)
    passes = {name: partial(problem.training_pass, RULES[name](), rng) for name in evaluations}
    often = {name: call for name, call in passes.items() if evaluations[name] <= EXPENSIVE}
    once = {name: call for name, call in passes.items() if name not in often}
    found = measure.interleaved(often, rounds, burst=2e-3) | measure.interleaved(once, 1, burst=0)
    return {name: 1000 * seconds for name, seconds in found.items()}


# ---- what every part offers ----------------------------------------------------------------------------------


def runs(given):
    """One run for each of the two networks."""
    usual = {"epochs": 3, "batch": 32, "samples": 320, "warm_up": 100, "rounds": 7, "seed": 0}
    if given.quick:
        usual |= {"epochs": 1, "batch": 4, "samples": 16, "warm_up": 3, "rounds": 1}
    return {state: {"state": state, **usual} for state in ("fresh", "trained")}


def run(*, data, folder, state, epochs, batch, samples, warm_up, rounds, seed):
    """Measure every rule in one network.  A checkpoint after each rule lets a stopped run continue with the next."""
    given, rng, path = digits(data), mg.Generator(seed), f"{folder}/{state}.ckpt"
    with measure.threads(1):
        network = network_of(state, given, epochs, f"{folder}/network after {epochs} epochs.ckpt")
        problem = Problem(network, given.train_images[:batch], given.train_labels[:batch])
        reference = Sample.of(problem, RULES[REFERENCE](), per_group(2 * samples, True), rng.fork(0))
        try:
            found = mg.checkpoint.load(path)
        except FileNotFoundError:
            found = {}
        for i, name in enumerate(RULES, 1):
            if name not in found and name not in LEFT_OUT:
                found[name] = examine(name, problem, given, samples, warm_up, reference, rng.fork(i))
                mg.checkpoint.save(path, found)
        times = milliseconds(problem, {name: row["evaluations"] for name, row in found.items()}, rounds)
        return {"rules": {name: row | {"ms": times[name]} for name, row in found.items()},
                "machine": measure.machine(), "threads": measure.thread_counts(),
                "gradient": float(sqrt(apart(reference.means @ reference.means.T))),
                "reference samples": GROUPS * per_group(2 * samples, True)}


def section(records):
    results = {record["settings"]["state"]: record for record in records.values()}
    if not results:
        return "Not measured yet."
    result = next(iter(results.values()))["result"]
    return "\n\n".join([
        f"```\n{result['machine']}\n{result['threads']}; float32, statistics in float64\n```",
        "\n".join(f"- `{name}` is left out: {reason}." for name, reason in LEFT_OUT.items()),
        *(state_section(state, results[state]) for state in ("fresh", "trained") if state in results),
        verdict({state: record["result"]["rules"] for state, record in results.items()}),
    ])


def state_section(state, record):
    settings, result = record["settings"], record["result"]
    start = "before training" if state == "fresh" else f"after {settings['epochs']} epochs of straight-through"
    first = next(iter(result["rules"].values()))
    base = result["rules"]["StraightThrough"]
    rows = sorted(result["rules"].items(), key=lambda item: -item[1]["signal"][0])
    return "\n\n".join([
        f"**The network {start}**: {settings['batch']} digits, {first['coordinates']:,} coordinates, |g| = "
        f"{result['gradient']:.3g} by {result['reference samples']} samples of `{REFERENCE}`.  After ± is the standard "
        f"error.  A bias below {SURE:g} standard errors is given as an upper bound, and a cosine is left out if the "
        f"mean is not significant.  A rule with a memory first learned from {settings['warm_up']} other minibatches.  "
        "Per ms: signal per millisecond, relative to straight-through.",
        table(["rule", "claims", "found", "along", "cosine", "bias", "variance", "signal",
               "evaluations", "samples", "ms", "per ms"], [line(name, row, base) for name, row in rows]),
    ])


def line(name, row, base):
    per_ms = row["signal"][0] / row["ms"] * base["ms"] / base["signal"][0]
    return [f"`{name}`", "unbiased" if row["unbiased"] else "biased",
            "biased" if row["biased"] else "no significant bias", plus_minus(*row["along"]), plus_minus(*row["cosine"]),
            bias(*row["squared_bias"]), f"{row['variance'][0]:.3g}", plus_minus(*row["signal"]),
            f"{row['evaluations']:g}", row["samples"], f"{row['ms']:.1f}", f"{per_ms:.3g}"]


def plus_minus(value, error):
    return None if value is None else f"{value:.3g} ± {error:.1g}"


def bias(square, error):
    """|E ĝ − g| / |g| from its square: with its standard error if it is significant, else an upper bound."""
    if square > SURE * error:
        return f"{sqrt(square):.3g} ± {error / (2 * sqrt(square)):.1g}"
    return f"< {sqrt(max(square, 0) + SURE * error):.2g}"


def verdict(states):
    """The rules with the highest signal, in a few lines."""
    lines = []
    for state, rules in states.items():
        seen = {name: row for name, row in rules.items() if row["signal"][0] > SURE * row["signal"][1]}
        against = [f"`{name}`" for name, row in rules.items() if row["signal"][0] < -SURE * row["signal"][1]]
        hidden = [f"`{name}`" for name in rules if name not in seen and f"`{name}`" not in against]
        cheap = {name: row for name, row in seen.items() if row["evaluations"] <= EXPENSIVE}
        best = max(seen, key=lambda name: seen[name]["signal"][0])
        affordable = max(cheap, key=lambda name: cheap[name]["signal"][0])
        fastest = max(seen, key=lambda name: seen[name]["signal"][0] / seen[name]["ms"])
        ours = "; ".join(f"{row} {plus_minus(*rules[name]['signal'])}" for row, name in PAPER.items() if name in rules)
        lines.append(
            f"- **{state}**: the highest signal has `{best}` ({plus_minus(*rules[best]['signal'])}), among rules with "
            f"at most {EXPENSIVE} evaluations `{affordable}` ({plus_minus(*rules[affordable]['signal'])}), and per "
            f"millisecond `{fastest}`.  The paper's rows: {ours}."
            + (f"  Negative signal: {', '.join(against)}." if against else "")
            + (f"  Signal not significantly different from 0: {', '.join(hidden)}." if hidden else ""))
    return "**Which rule has the best gradient?**\n\n" + "\n".join(lines)


def picture(records, path):
    """One line for each rule: its signal in both networks, and the milliseconds of a training pass."""
    results = {record["settings"]["state"]: record["result"]["rules"] for record in records.values()}
    first = results.get("trained") or results.get("fresh")
    if not first:
        raise ValueError("picture: expected records of runs, got none. Run the part first")
    names = sorted(first, key=lambda name: first[name]["signal"][0])
    figure = Figure(figsize=(9, 1.4 + 0.23 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for state, marker in ("fresh", "s"), ("trained", "o"):
        rules = results.get(state, {})
        for unbiased, colour in (True, "#0072b2"), (False, "#d55e00"):
            shown = [(row["signal"], row["ms"], y) for y, name in enumerate(names)
                     if (row := rules.get(name)) and row["unbiased"] == unbiased]
            style = {"fmt": marker, "color": colour, "markersize": 5, "linewidth": 0.8,
                     "markerfacecolor": "white" if state == "fresh" else colour}
            seen = [(*signal, y) for signal, _, y in shown if signal[0] > SURE * signal[1]]
            if seen:
                values, errors, places = zip(*seen, strict=True)
                left.errorbar(values, places, xerr=errors, **style,
                              label=f"{state}, {'claims to be unbiased' if unbiased else 'biased'}")
            if state == "trained" or "trained" not in results:
                right.plot([ms for _, ms, _ in shown], [y for *_, y in shown], "o", color=colour, markersize=5)
    left.set(xscale="log", yticks=range(len(names)), yticklabels=names,
             xlabel="signal: share of an estimate's square that is gradient\n(none: within sampling error, or against)")
    right.set(xscale="log", xlabel="milliseconds of a training pass")
    for axes in (left, right):
        axes.grid(color="#dddddd", linewidth=0.6)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, loc="outside upper center", ncols=4, fontsize=9)
    figure.savefig(path, dpi=130)
