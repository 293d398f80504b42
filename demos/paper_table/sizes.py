"""When conditional computation saves time: many units, few of them open, and a small gater.

In the paper's network the gater is as large as the part that it saves.  With one gate for each block of units it is
smaller.  Then the number of units can grow while the number of open units stays the same, as in E. Bengio et al.
(2015), arXiv 1511.06297.  Two experiments:

    sizes       2,048 to 65,536 linear experts in blocks of 16 or 32, 192 of them open for each digit.  The gater has 64
                tanh units.  Gates are noisy rectifiers, which need no gradient where they are closed.  So closed
                blocks are computed neither forward nor backward.  (Straight-through would compute all in backward.)
    policies    the experiment of that paper: 16 blocks of 16 rectifiers, one of them open on average.  Gates are
                sampled in training and at test, and learn by REINFORCE.  Three regularisers make the blocks sparse,
                equally used, and different between examples

Training of a size: each gate is max(0, a + z − θ), with z standard normal in training and 0 at test.  The threshold θ
follows the 1 − s quantile of a + z, s = 192 / units.  Each step moves it by a tenth of the difference, so that 192
units stay open without a penalty.  At test it is the same quantile of a, on validation digits.  The gater's output
layer starts with logits of standard deviation 3 on training digits, so that at the start the logits matter more than
the noise.  The optimiser is plain gradient descent, which does not change the weights of closed units.  Its rate
decreases from 0.1 to 0, with batches of 100.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

import minigrad as mg
from demos.benchmarks import measure
from demos.conditional_mnist import RECIPES, RectifierGates, chunks
from demos.paper_table import dense
from demos.paper_table.report import table
from demos.paper_table.rows import digits
from demos.paper_table.timing import multiply_adds, stepping, train_plain

ALONE = True
CAPTION = "test error and time of a training step against the number of experts, 192 of them open"
UNITS = 2048, 4096, 8192, 16384, 32768, 65536
BLOCKS = 16, 32
OPEN = 192              # open units for each digit
HIDDEN = 64             # hidden tanh units of the gater
START = 3.0             # initial standard deviation of the gater's logits
FOLLOW = 0.1            # fraction of the difference by which θ moves at each step
BATCH = 100
POLICIES = {"policy": (16, 16), "256 dense": (256,), "32 dense": (32,)}
PAPER = {"policy": 2.3, "256 dense": 1.9, "32 dense": 2.8}
TARGET = 1 / 16         # fraction of blocks that should be open: τ
USAGE, VARIETY, POLICY_RATE = 0.5, 0.4, 3.0      # weights of L_b + L_e and of L_v; relative rate of the policy


# ---- sizes ---------------------------------------------------------------------------------------------------


class Sized:
    """A conditional network with OPEN open units for each digit, for any number of units."""

    def __init__(self, units, block, rng, images):
        self.rng, self.open = rng, OPEN / units
        self.network = mg.nn.ConditionalNetwork(rng, inputs=images.shape[1], hidden=HIDDEN, units=units, block=block)
        logits = self.logits(images)
        self.network.gater[1].weight.data *= START / logits.std()
        logits = self.logits(images)
        self.threshold = self.quantile(logits + rng.normal(logits.shape, logits.dtype))

    def logits(self, images):
        with mg.no_grad():
            return np.concatenate([self.network.logits(x).numpy() for x in chunks(images)])

    def quantile(self, logits):
        return float(np.quantile(logits, 1 - self.open))

    def gates(self, logits):
        """Gates in training.  Also updates θ."""
        noisy = logits + (self.rng.normal(logits.shape, logits.dtype) - logits.dtype.type(self.threshold))
        self.threshold += FOLLOW * self.quantile(noisy.numpy()[:10])        # ten examples are enough
        return mg.relu(noisy)

    def train(self, data, epochs, rate, seed):
        """Train by plain SGD.  Returns the mean fraction of open gates in the last epoch."""
        batches = [chosen for epoch in range(epochs)
                   for chosen in mg.data.minibatches(len(data.train_images), BATCH, seed=seed, epoch=epoch)]
        optimiser = mg.optim.SGD(self.network, lr=lambda step: rate * (1 - step / len(batches)))
        shares = []
        for chosen in batches:
            x, labels = data.train_images[chosen], data.train_labels[chosen]
            gates = self.gates(self.network.logits(x))
            loss = mg.expected(mg.cross_entropy(self.network.scores(x, gates), labels))
            optimiser.zero_grad()
            loss.backward(free=True)
            optimiser.step()
            shares.append(np.mean(gates.numpy() != 0))
        return float(np.mean(shares[-(len(batches) // epochs):]))

    def test(self, images, labels):
        """The error, the fraction of open gates, and the fraction of gates that are open for at least one digit."""
        wrong, opened = 0, 0
        with mg.no_grad():
            for x, y in zip(chunks(images), chunks(labels), strict=True):
                logits = self.network.logits(x)
                gates = mg.relu(logits - logits.dtype.type(self.threshold))
                wrong += np.sum(self.network.scores(x, gates).numpy().argmax(axis=1) != y)
                opened += (gates.numpy() != 0).sum(axis=0)
        return {"test": float(wrong / len(labels)), "open at test": float(np.mean(opened) / len(labels)),
                "used": float(np.mean(opened > 0))}


def of_size(data, units, block, epochs, seed, rounds, burst):
    """Errors of a size, and times of its training step, of NumPy's, and of the untrained smallest size."""
    sized = Sized(units, block, mg.Generator(seed), data.train_images[:1000])
    result = {"open in training": sized.train(data, epochs, 0.1, seed)}
    in_training = sized.threshold
    sized.threshold = sized.quantile(sized.logits(data.valid_images[:3000]))
    result |= sized.test(data.test_images, data.test_labels)
    if rounds is None:
        return result
    sized.threshold = in_training
    smallest = Sized(UNITS[0], block, mg.Generator(seed), data.train_images[:1000])
    runs = {}
    pool = [(data.train_images[i:i + BATCH], data.train_labels[i:i + BATCH]) for i in range(0, 8 * BATCH, BATCH)]
    for name, network in ("minigrad", sized), ("smallest", smallest):
        network.network.gater[1].bias.data -= network.threshold
        runs[name] = stepping(
            dense.InMinigrad(network.network, RectifierGates(noise=True), 0.0, rate=0.0, momentum=0.0), pool)
    runs["NumPy"] = stepping(dense.InNumPy(
        sized.network.state_dict(), "noisy-rectifier", block, 0.0, rate=0.0, momentum=0.0), pool)
    return result | {"step": measure.interleaved(runs, rounds, burst)}


# ---- policies ------------------------------------------------------------------------------------------------
#
# The regularisers are functions of the probabilities σ that a block is open, of shape (batch, blocks).


def fairness(probs, target):
    """L_b = Σ_j |E[σ_j] − τ| with the mean over the batch.  It makes all blocks equally often open.

    >>> fairness(mg.tensor([[0.5, 0.0], [0.25, 0.25]]), 0.25)
    tensor(0.25, dtype=float64)
    """
    return mg.absolute(probs.mean(axis=0) - target).sum()


def sparseness(probs, target):
    """L_e = E|mean_j σ_j − τ|.  It makes every example open the same fraction of blocks.

    >>> sparseness(mg.tensor([[0.5, 0.0], [0.5, 0.5]]), 0.25)
    tensor(0.125, dtype=float64)
    """
    return mg.absolute(probs.mean(axis=1) - target).mean()


def sameness(probs):
    """L_v = −Σ_j var(σ_j) with the variance over the batch.  It makes different examples open different blocks.

    >>> sameness(mg.tensor([[0.5, 0.0], [0.25, 0.0]]))
    tensor(-0.015625, dtype=float64)
    """
    return -((probs - probs.mean(axis=0)) ** 2).mean(axis=0).sum()


class Policy(mg.nn.Module):
    """A layer of rectifiers in blocks.  A block is open with probability σ(a), where a is linear in x."""

    def __init__(self, rng, blocks, block, inputs=784, outputs=10):
        self.policy = mg.nn.Linear(inputs, blocks, rng)
        self.hidden = mg.nn.GatedLinear(inputs, blocks * block, rng, block=block)
        self.output = mg.nn.Linear(blocks * block, outputs, rng, gated_inputs=True)

    def scores(self, x, gates):
        return self.output(mg.relu(self.hidden(x, gates)))


def train_policy(data, epochs, seed, usage, variety, rate):
    """Errors of 16 blocks of 16 with the quick recipe.  Gates are sampled in training and at test.

    Parameters
    ----------
    usage, variety : weights of L_b + L_e, and of L_v.
    rate : learning rate of the policy / learning rate of the other parameters.
    """
    recipe, rng = RECIPES["quick"], mg.Generator(seed)
    first = recipe.tuning.rate
    network = Policy(rng, *POLICIES["policy"])
    network.policy.bias.data += np.log(TARGET / (1 - TARGET))
    rule = mg.estimators.Reinforce(baseline="optimal")
    per_epoch = len(mg.data.minibatches(len(data.train_images), recipe.batch, seed=seed, epoch=0))
    optimiser = recipe.tuning.optimiser([
        {"parameters": [network.hidden, network.output], "lr": lambda step: first * recipe.rate(step / steps)},
        {"parameters": network.policy, "lr": lambda step: rate * first * recipe.rate(step / steps)},
    ])
    steps, best = epochs * per_epoch, {"valid": np.inf}
    for epoch in range(epochs):
        for chosen in mg.data.minibatches(len(data.train_images), recipe.batch, seed=seed, epoch=epoch):
            x, labels = data.train_images[chosen], data.train_labels[chosen]
            logits = network.policy(x)
            probs = mg.sigmoid(logits)
            costs = mg.cross_entropy(network.scores(x, mg.bernoulli(logits, rule, rng=rng)), labels)
            loss = (mg.expected(costs) + usage * (fairness(probs, TARGET) + sparseness(probs, TARGET))
                    + variety * sameness(probs))
            optimiser.zero_grad()
            loss.backward(free=True)
            optimiser.step()
        valid, _ = sampled_error(network, rule, rng, data.valid_images, data.valid_labels, draws=1)
        if valid < best["valid"]:
            test, share = sampled_error(network, rule, rng, data.test_images, data.test_labels, draws=5)
            best = {"valid": valid, "test": test, "open at test": share, "epoch": epoch + 1}
    return best


def sampled_error(network, rule, rng, images, labels, draws):
    """The error with sampled gates and the fraction of open gates, averaged over ``draws`` samples."""
    wrong, opened = 0, 0.0
    with mg.no_grad():
        for _ in range(draws):
            gates = mg.bernoulli(network.policy(images), rule, rng=rng)
            wrong += np.sum(network.scores(images, gates).numpy().argmax(axis=1) != labels)
            opened += float(gates.numpy().mean())
    return float(wrong / (draws * len(labels))), opened / draws


# ---- what every part offers ----------------------------------------------------------------------------------


def runs(given):
    """Every size with both block widths, and the policies.  Seed 0 is timed; smaller sizes have more seeds."""
    units, epochs, longer, seeds = (UNITS[:2], 1, 1, 1) if given.quick else (UNITS, 3, 20, 3)
    rounds, burst = (1, 1e-4) if given.quick else (7, 5e-3)
    made = {}
    for block in BLOCKS:
        for size in units:
            for seed in range(seeds if size <= 16384 else 1):
                made[f"{size} units in blocks of {block}, seed {seed}"] = {
                    "network": "sized", "units": size, "block": block, "epochs": epochs, "seed": seed,
                    "rounds": rounds if seed == 0 else None, "burst": burst}
    return made | {f"{network}, seed {seed}": {"network": network, "epochs": longer, "seed": seed}
                   for network in POLICIES for seed in range(seeds)}


def run(*, data, folder, network, epochs, seed, **settings):
    given = digits(data)
    with measure.threads(1):
        if network == "sized":
            result = of_size(given, epochs=epochs, seed=seed, **settings)
        elif network == "policy":
            result = train_policy(given, epochs, seed, usage=USAGE, variety=VARIETY, rate=POLICY_RATE)
        else:
            result = train_plain(POLICIES[network], given, epochs, seed)
        return result | {"machine": measure.machine(), "threads": measure.thread_counts()}


def sized(records, block):
    """The results of all sizes with this block width: a dict from units to a list over seeds."""
    found = {}
    for record in records.values():
        settings = record["settings"]
        if settings["network"] == "sized" and settings["block"] == block:
            found.setdefault(settings["units"], []).append(record["result"])
    return dict(sorted(found.items()))


def step_of(results):
    """The times of a size, from its run with seed 0, or None if that is missing."""
    return next((result["step"] for result in results if "step" in result), None)


def section(records):
    if not records:
        return "Not measured yet."
    one = next(iter(records.values()))
    epochs = {record["settings"]["network"] == "sized": record["settings"]["epochs"] for record in records.values()}
    lines = []
    for block in BLOCKS:
        for units, results in sized(records, block).items():
            lines.append([block, f"{units:,}", *errors(results), *shares(results),
                          *products(units, block), *ratios(step_of(results))])
    policies = []
    for name in POLICIES:
        results = [record["result"] for record in records.values() if record["settings"]["network"] == name]
        share = mean(results, "open at test") if name == "policy" and results else None
        policies.append([name, f"{PAPER[name]:.1f}", *errors(results), share and f"{100 * share:.1f} %"])
    return "\n\n".join([
        f"```\n{one['result']['machine']}\n{one['result']['threads']}; float32, median of interleaved rounds\n```",
        f"**Many units, {OPEN} of them open.**  {epochs.get(True, 0)} epochs.  Errors: mean over seeds (smallest to "
        f"largest).  Used: gates that are open for at least one test digit.  Step: time of a training step of {BATCH} "
        "digits by plain gradient descent, seed 0, after training, divided by that of the smallest size before "
        "training.  Last column: speed-up of this step over dense NumPy.",
        table(["block", "units", "test error %", "seeds", "open in training", "at test", "used",
               "multiply–adds: gater", "open experts", "all experts", "step", "over NumPy"], lines),
        f"**A policy for 16 blocks of 16**, {epochs.get(False, 0)} epochs of the quick recipe.  The loss is cost + "
        f"{USAGE:g} (L_b + L_e) + {VARIETY:g} L_v with τ = 1/16.  The policy learns by REINFORCE with the optimal "
        f"baseline, with {POLICY_RATE:g} times the learning rate of the rest.  Gates are also sampled at test: the "
        "error is a mean over five samples.  The dense networks are layers of rectifiers.  The weights, the recipe "
        "and the rates are not those of the paper.",
        table(["network", "paper: test error %", "test error %", "seeds", "open at test"], policies),
    ])


def mean(results, key):
    return float(np.mean([result[key] for result in results]))


def errors(results):
    """The mean error in percent with its range, and the number of seeds."""
    if not results:
        return None, None
    tests = [100 * result["test"] for result in results]
    shown = f"{np.mean(tests):.2f}" + (f" ({min(tests):.2f} to {max(tests):.2f})" if len(tests) > 1 else "")
    return shown, len(tests)


def shares(results):
    return [f"{100 * mean(results, key):.{2 if key != 'used' else 0}f} %"
            for key in ("open in training", "open at test", "used")]


def products(units, block):
    """Multiply-adds per example: of the gater, of the open experts, and of all experts."""
    gater = multiply_adds(units // block, 0, hidden=HIDDEN)
    return [f"{count:,}" for count in (gater, multiply_adds(0, OPEN, hidden=0), multiply_adds(0, units, hidden=0))]


def ratios(seconds):
    if seconds is None:
        return None, None
    return f"{seconds['minigrad'] / seconds['smallest']:.2f}", f"{seconds['NumPy'] / seconds['minigrad']:.1f}"


def picture(records, path):
    """Two panels against the number of experts: test errors, and times of a step relative to the smallest size."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for block, colour, marker in zip(BLOCKS, ("#0072b2", "#e69f00"), "os", strict=True):
        found = sized(records, block)
        left.plot(list(found), [100 * mean(results, "test") for results in found.values()], color=colour)
        points = [(units, 100 * result["test"]) for units, results in found.items() for result in results]
        left.plot(*zip(*points, strict=True) if points else ((), ()), marker, color=colour, markersize=4,
                  label=f"blocks of {block}")
        timed = {units: step_of(results) for units, results in found.items() if step_of(results)}
        for name, style, label in ("minigrad", "-", f"blocks of {block}"), ("NumPy", "--", f"all computed ({block})"):
            right.plot(list(timed), [step[name] / step["smallest"] for step in timed.values()], style, marker=marker,
                       color=colour, markersize=4, label=label)
    left.set(ylabel="wrong answers on test digits (%)", ylim=(0, None), title=f"error, {OPEN} units open")
    right.set(ylabel="time of a step, 2,048 units = 1", yscale="log", title="training step")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(UNITS, [f"{units:,}" for units in UNITS], fontsize=8)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("linear experts")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, fontsize=9)
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_minor_locator(NullLocator())
    right.yaxis.set_major_formatter("{x:g}")
    figure.savefig(path, dpi=150)
