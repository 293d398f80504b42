"""The paper's experiment: a network of 2000 units that computes only a chosen tenth of them for each input.

    python -m demos.conditional_mnist                             straight-through, under two minutes
    python -m demos.conditional_mnist --method noisy-rectifier    another row of the paper's table
    python -m demos.conditional_mnist --method SPSA               any rule of mg.estimators

A small network, the gater, chooses for each digit which of 2000 linear units, the experts, are computed.  Each
choice is a random bit, a gate.  A bit has no derivative, so the training of the gater depends on the *rule* of the
bits.  A penalty in the loss keeps nine of ten gates closed.  At test a gate is open if its probability exceeds a
threshold.  The threshold is chosen on validation data so that a tenth of the gates are open.

The file has this order: gates, methods, recipes, training, evaluation, report, command.
Source: Bengio, Léonard & Courville (2013), §4 and the table of results.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from math import ceil, log
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

# This must be set before NumPy is loaded.  The matrices here are too small for a second thread to help.  If other
# processes use the cores too, threads that wait for each other are much slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.special import betaincinv

import minigrad as mg

try:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
    from tqdm import tqdm
except ModuleNotFoundError as missing:
    sys.exit(f'{missing}: the demos need matplotlib and tqdm; in a checkout, python -m pip install -e ".[demos]"')

OPEN = 0.1          # the fraction of gates that should be open


# ---- gates: from logits to gates, in training and at test ----------------------------------------------------
#
# ``training`` also returns the penalty that keeps gates closed, without its weight λ.  ``test`` also takes ``cut``:
# a tenth of the validation logits are larger than this value.


class BinaryGates(mg.nn.Module):
    """Random bits 1[u < σ(a)], with any rule.  At test the gates are 1[σ(a) > θ]."""

    def __init__(self, rule):
        self.rule = rule

    def training(self, logits, rng):
        return mg.bernoulli(logits, self.rule, rng=rng), usage_penalty(mg.sigmoid(logits))

    def test(self, logits, cut):
        return (logits > cut).astype(logits.dtype)


class SmoothGates(mg.nn.Module):
    """Stochastic times smooth: b √p with b ~ Bernoulli(√p) and p = σ(a + z).

    At test the gates are 1[√p > θ] √p, with z at its mean.  The noise z has a Beta distribution.  Its mode is the
    fraction of gates that should be open.  It is shifted and scaled to the range of the logits.
    """

    def __init__(self):
        beta = 40.1
        alpha = (OPEN * (beta - 2) + 1) / (1 - OPEN)
        quantiles = betaincinv(alpha, beta, (np.arange(2**14) + 0.5) / 2**14)     # values with equal probability
        self.noise = (np.log(1 / OPEN**2 - 1) * (quantiles - 0.5)).astype(np.float32)
        self.table = mg.tensor(self.noise)          # moves with the module

    def training(self, logits, rng):
        logits = logits + self.table[rng.integers(len(self.noise), logits.shape)].astype(logits.dtype)
        return mg.neurons.stochastic_times_smooth(logits, rng=rng), usage_penalty(mg.sigmoid(logits))

    def test(self, logits, cut):
        return (logits > cut).astype(logits.dtype) * mg.sqrt(mg.sigmoid(logits + float(self.noise.mean())))


class RectifierGates(mg.nn.Module):
    """Rectifiers max(0, a + z), with standard normal noise z in training, or without noise."""

    def __init__(self, noise):
        self.noise = noise

    def training(self, logits, rng):
        gates = mg.neurons.noisy_rectifier(logits, rng=rng) if self.noise else mg.relu(logits)
        return gates, mg.absolute(gates).sum(axis=1).mean()

    def test(self, logits, cut):
        return mg.relu(logits)


class SigmoidGates(mg.nn.Module):
    """Smooth gates σ(a + z), all of them open, with standard normal noise z in training, or without noise."""

    def __init__(self, noise):
        self.noise = noise

    def training(self, logits, rng):
        return mg.neurons.noisy_sigmoid(logits, rng=rng) if self.noise else mg.sigmoid(logits), 0.0

    def test(self, logits, cut):
        return mg.sigmoid(logits)


def usage_penalty(probs):
    """−Σ_i s log p̄_i + (1 − s) log(1 − p̄_i), where p̄ is the minibatch mean and s is OPEN.

    The penalty is smallest if p̄ = s for every gate.  The mean is clipped, so that the loss is finite if it rounds to
    0 or 1.
    """
    mean = mg.clip(probs.mean(axis=0), 1e-12, 1 - 1e-6)
    return -(OPEN * mg.log(mean) + (1 - OPEN) * mg.log(1 - mean)).sum()


# ---- methods: the rows of the paper's table ------------------------------------------------------------------


class Tuning(NamedTuple):
    """The settings of a recipe that can differ between methods."""

    optimiser: Callable = partial(mg.optim.SGD, momentum=0.9)
    rate: float = 0.1               # learning rate
    gater_rate: float = 1.0         # learning rate of the gater / rate
    bias: float = 0.0               # initial bias of the gater's output
    gain: float | None = None       # factor of the gater's last weights, see ``sharpen``
    penalty: float | None = None    # weight λ, instead of the method's weight


class Method(NamedTuple):
    """A way to choose units, and its settings."""

    gates: Callable                 # creates the gates
    penalty: float = 0.0            # weight λ of the penalty that keeps gates closed
    adaptive: bool = False          # whether λ adapts to the fraction of open gates
    units: int = 2000
    paper: str = "no result"
    network: Callable = mg.nn.ConditionalNetwork
    tuning: dict = {}               # recipe -> Tuning, if it differs from the recipe's


# With this bias a tenth of the binary gates are open at the start.  Without it half of them are open, and the penalty
# has to close them.  With noisy rules this destroys useful features of the gater's initial weights.
CLOSED = log(OPEN / (1 - OPEN))

# The default tuning of the long recipe.  A gain moves the gates' probabilities towards 0 and 1, so the experts learn
# with little noise.  REINFORCE has a small learning rate for the gater, because its gradient is mostly noise.
LONG = Tuning(mg.optim.Adam, rate=0.0015)

METHODS = {
    "straight-through": Method(
        lambda: BinaryGates(mg.estimators.StraightThrough()), penalty=0.1, paper="1.39 % after some 660 epochs",
        tuning={"quick": Tuning(bias=CLOSED), "long": LONG._replace(gain=2.0, penalty=0.03)}),
    # The paper uses a rate of 0.001 for the sum over 32 examples.  For the mean this is 0.032 = 0.32 · 0.1.
    "sbn": Method(
        lambda: BinaryGates(mg.estimators.Reinforce(baseline="optimal")), penalty=1.0,
        paper="1.89 % after some 830 epochs",
        tuning={"quick": Tuning(bias=CLOSED, gater_rate=0.1), "long": LONG._replace(gain=6.0, gater_rate=0.005),
                "paper": Tuning(mg.optim.SGD, gater_rate=0.32)}),
    "sts": Method(
        SmoothGates, penalty=0.001, paper="1.96 % after some 175 epochs",
        tuning={"long": LONG._replace(gain=1.0), "paper": Tuning(partial(mg.optim.SGD, momentum=0.5))}),
    "noisy-rectifier": Method(
        partial(RectifierGates, noise=True), penalty=1e-5, adaptive=True, paper="1.87 % after some 150 epochs"),
    "baseline-rectifier": Method(
        partial(RectifierGates, noise=False), penalty=1e-5, adaptive=True, paper="1.60 %"),
    "baseline-sigmoid": Method(
        partial(SigmoidGates, noise=False), units=200, paper="1.92 %"),
    "baseline-sigmoid-noise": Method(
        partial(SigmoidGates, noise=True), units=200, paper="1.87 %"),
}


def method_named(name):
    """A row of the paper's table, or binary gates with another rule of ``mg.estimators``.

    A rule that uses no gradient is noisy, so it gets the settings of SBN.
    """
    if name in METHODS:
        return METHODS[name]
    if name in mg.estimators.__all__:
        rule = getattr(mg.estimators, name)
        row = METHODS["straight-through" if "grad" in rule.needs else "sbn"]
        return row._replace(gates=partial(BinaryGates, rule()), paper="no result")
    raise ValueError(f"--method: expected one of {', '.join(METHODS)}, or a rule of mg.estimators "
                     f"({', '.join(mg.estimators.__all__)}), got {name!r}")


# ---- recipes: how networks are trained -----------------------------------------------------------------------


class Recipe(NamedTuple):
    """Settings of training that all methods share; ``Method.tuning`` holds those that differ."""

    batch: int
    rate: Callable                  # learning rate / initial rate, as a function of the completed fraction of the run
    tuning: Tuning                  # the default
    noise: bool = False             # whether gater and experts get ``noisy`` digits, with independent noise
    contrasts: bool = False         # whether the gater's first layer starts as ``contrasts``
    max_norm: float | None = None


RECIPES = {
    # Momentum and a rate that decreases to 0 reach in a few epochs the error of a hundred epochs at a constant rate.
    "quick": Recipe(batch=100, rate=lambda done: 1 - done, tuning=Tuning()),
    # Noise changes the digits in every epoch.  Without it, a longer run overfits.
    "long": Recipe(batch=250, rate=lambda done: min(1, 2 - 2 * done), tuning=LONG, noise=True, contrasts=True),
    "paper": Recipe(batch=32, rate=lambda done: 1.0, tuning=Tuning(mg.optim.SGD), max_norm=2.0),
}


def noisy(images, rng):
    """Digits with noise: a pixel is 0 with probability 0.3, else divided by 0.7; then uniform noise ±½ is added."""
    return mg.neurons.multiplicative_noise(images, 0.3, rng=rng) + (rng.uniform(images.shape, images.dtype) - 0.5)


def contrasts(layer, images, labels, rng):
    """Initialise the weights of each unit of a layer with the difference of two digits of different classes.

    Scale and bias are such that the unit's input has mean 0 and variance 1 over the images.
    """
    units = len(layer.weight)
    one, other = rng.integers(len(images), (2, 2 * units))
    of_two_classes = np.flatnonzero(labels[one] != labels[other])[:units]
    weight = images[one[of_two_classes]] - images[other[of_two_classes]]
    entering = images @ weight.T
    scale = 1 / entering.std(axis=0)
    for x, start in (layer.weight, weight * scale[:, None]), (layer.bias, -entering.mean(axis=0) * scale):
        x.data = mg.tensor(start, dtype=x.dtype, device=x.device).data


def sharpen(network, gain, images):
    """Multiply the gater's last weights by the gain, and set its biases so that a tenth of the images open each gate.

    With a larger gain the gates' probabilities are closer to 0 or 1.
    """
    last = network.gater[-1]
    last.weight.data *= last.weight.dtype.type(gain)
    with mg.no_grad():
        logits = network.logits(images).numpy()
    cut = np.quantile(logits, 1 - OPEN, axis=0)
    last.bias.data -= mg.tensor(cut, dtype=last.bias.dtype, device=last.bias.device).data


# ---- the run: network, loss, training step -------------------------------------------------------------------


class Run:
    """A training run: everything that its checkpoint contains.

    Parameters
    ----------
    settings : dict of "method", "recipe", "epochs", "batch", "block" and "seed".
    data : DigitSplits
    method : Method, if settings["method"] is not a name that ``method_named`` knows.
    device : "cpu" or "cuda".  It is not one of the settings, so a run can continue on another device.
    """

    def __init__(self, settings, data, method=None, device="cpu"):
        self.settings, self.data = settings | {"examples": len(data.train_images)}, data
        self.method = method = method or method_named(settings["method"])
        self.gates = method.gates().to(device)
        self.rng = mg.Generator(settings["seed"], device=device)
        self.network = network = method.network(self.rng, units=method.units, block=settings["block"]).to(device)
        self.images, self.labels = (mg.tensor(x, device=device) for x in (data.train_images, data.train_labels))
        self.recipe = recipe = RECIPES[settings["recipe"]]
        tuning = method.tuning.get(settings["recipe"], recipe.tuning)
        self.penalty = method.penalty if tuning.penalty is None else tuning.penalty
        network.gater[-1].bias.data += tuning.bias
        if recipe.contrasts:
            contrasts(network.gater[0], data.train_images[:5000], data.train_labels[:5000],
                      mg.Generator(settings["seed"]).fork(1))
        if tuning.gain is not None:
            sharpen(network, tuning.gain, self.images[:2000])
        self.steps_per_epoch = ceil(len(data.train_images) / settings["batch"])
        steps = settings["epochs"] * self.steps_per_epoch
        groups = [{"parameters": parameters, "lr": lambda step, rate=rate: rate * recipe.rate(step / steps)}
                  for parameters, rate in (([network.experts, network.output], tuning.rate),
                                           (network.gater, tuning.gater_rate * tuning.rate))]
        self.optimiser = tuning.optimiser(groups, max_norm=recipe.max_norm)

        self.history = []           # one dict per epoch
        self.best = {"valid": np.inf}
        self.seconds = None         # median time of a step in the last epoch

    def training_step(self, images, labels):
        """One training step on a minibatch.  Returns costs, scores and gates as arrays of the device."""
        for_gater, for_experts = (noisy(images, self.rng) if self.recipe.noise else images for _ in range(2))
        logits = self.network.logits(for_gater)
        gates, sparsity = self.gates.training(logits, self.rng)
        scores = self.network.scores(for_experts, gates)
        costs = mg.cross_entropy(scores, labels)
        loss = mg.expected(costs) + self.penalty * sparsity
        self.optimiser.zero_grad()
        loss.backward(free=True)
        self.optimiser.step()
        return costs.data, scores.data, gates.data

    def train_epoch(self, bar):
        """Train for one epoch, then compute the validation error.  Add a row to the history."""
        epoch, rows, seconds = len(self.history), [], []
        for chosen in mg.data.minibatches(
                len(self.images), self.settings["batch"], seed=self.settings["seed"], epoch=epoch,
                device=self.images.device):
            started = perf_counter()
            images, labels = self.images[chosen], self.labels[chosen]
            costs, scores, gates = self.training_step(images, labels)
            wrong = np.mean(scores.argmax(axis=1) != labels.data)
            row = mg.tensor(np.stack([np.mean(costs), wrong, np.mean(gates != 0)])).numpy()     # waits for the device
            seconds.append(perf_counter() - started)
            rows.append(row)
            is_open = row[2]
            if self.method.adaptive and not 0.9 * OPEN <= is_open <= 1.1 * OPEN:
                self.penalty = float(np.clip(self.penalty * (1.1 if is_open > OPEN else 0.9), 1e-12, 1))
            bar.update()
        self.seconds = median(seconds)
        cost, train, is_open = (float(x) for x in np.mean(rows, axis=0))
        valid, _ = evaluate(self.network, self.test_gate(), self.data.valid_images, self.data.valid_labels)
        self.history.append({"cost": cost, "train": train, "open": is_open, "valid": valid})
        if valid < self.best["valid"]:
            self.best = {"valid": valid, "epoch": epoch + 1, "network": self.network.state_dict()}

    def cut(self):
        """The threshold of gates at test: a tenth of the validation logits are larger than this logit."""
        with mg.no_grad():
            logits = [self.network.logits(mg.tensor(x, device=self.images.device)).numpy()
                      for x in chunks(self.data.valid_images)]
        return float(np.quantile(np.concatenate(logits), 1 - OPEN))

    def test_gate(self):
        """The gates at test, as a function of logits.  The threshold is chosen on the validation data."""
        cut = self.cut()
        return lambda logits: self.gates.test(logits, cut)

    def state_dict(self):
        return {
            "settings": self.settings, "penalty": self.penalty, "history": self.history, "best": self.best,
            "network": self.network.state_dict(), "gates": self.gates.state_dict(),
            "optimiser": self.optimiser.state_dict(), "rng": self.rng.state_dict(),
        }

    def load_state_dict(self, state):
        saved = state.get("settings", {})
        if saved != self.settings:
            differing = [f"{name} {saved.get(name)}, not {value}"
                         for name, value in self.settings.items() if saved.get(name) != value]
            raise ValueError(f"--resume: the run in the checkpoint has other settings: {'; '.join(differing)}. "
                             "Use the arguments of that run, or another --checkpoint")
        self.penalty, self.history, self.best = state["penalty"], state["history"], state["best"]
        self.network.load_state_dict(state["network"])
        self.gates.load_state_dict(state["gates"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.load_state_dict(state["rng"])


# ---- evaluation ----------------------------------------------------------------------------------------------


def evaluate(network, gate, images, labels):
    """The error, and for each digit the fraction of images that open each gate: an array of shape (10, gates)."""
    wrong, opened, device = 0, 0, network.parameters()[0].device
    with mg.no_grad():
        for x, y in zip(chunks(images), chunks(labels), strict=True):
            x = mg.tensor(x, device=device)
            gates = gate(network.logits(x))
            wrong += np.sum(network.scores(x, gates).numpy().argmax(axis=1) != y)
            opened += np.equal.outer(np.arange(10), y).astype(np.float32) @ (gates.numpy() != 0)
    return float(wrong / len(labels)), opened / np.maximum(1, np.bincount(labels, minlength=10))[:, None]


def chunks(array, size=1000):
    """The array in pieces, so that the 2000 gates of all examples of a piece fit into memory."""
    return [array[start:start + size] for start in range(0, len(array), size)]


# ---- the report ----------------------------------------------------------------------------------------------


def report(run, path):
    """Test the network of the epoch with the lowest validation error.  Print and draw the results."""
    data, network, best = run.data, run.network, run.best
    network.load_state_dict(best["network"])
    gate = run.test_gate()
    train, _ = evaluate(network, gate, data.train_images, data.train_labels)
    test, use = evaluate(network, gate, data.test_images, data.test_labels)
    print(f"epoch {best['epoch']}, the best on validation data: training error {percent(train)}, "
          f"validation {percent(best['valid'])}, test {percent(test)} (the paper, on MNIST: {run.method.paper})")
    draw(path, run, test, use)
    print(f"at test {percent(use.mean())} of the gates are open; picture: {path}")


def percent(share):
    return f"{100 * share:.2f} %"


def draw(path, run, test, use):
    """The learning curve, and how often each gate is open: for all digits, and for the digit that opens it most."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    grey, blue, orange, red = "#888888", "#0072b2", "#e69f00", "#d55e00"    # for colour-blind readers

    epochs = np.arange(1, len(run.history) + 1)
    left.plot(epochs, [100 * row["train"] for row in run.history], "o-", color=grey, markersize=4,
              label="training (during the epoch)")
    left.plot(epochs, [100 * row["valid"] for row in run.history], "o-", color=blue, markersize=4,
              label="validation")
    left.plot(run.best["epoch"], 100 * test, "D", color=red, label=f"test: {percent(test)}")
    left.set(xlabel="epoch", ylabel="error (%)", title=run.settings["method"], yscale="log")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_locator(NullLocator())
    left.legend(frameon=False)

    order = np.argsort(-use.mean(axis=0))
    gate = np.arange(1, len(order) + 1)
    right.plot(gate, 100 * use.max(axis=0)[order], ".", color=orange, markersize=2,
               label="digit that opens the gate most often")
    right.plot(gate, 100 * use.mean(axis=0)[order], color=blue, linewidth=2, label="all digits")
    right.axhline(100 * use.mean(), color=grey, linestyle="--", label=f"mean: {percent(use.mean())}")
    right.set(xlabel="gate, sorted by open fraction", ylabel="open fraction (%)", title="gates at test",
              ylim=(0, 150), yticks=range(0, 101, 20))         # leaves room for the legend
    right.legend(frameon=False, markerscale=5)

    figure.savefig(path, dpi=150)


# ---- the command ---------------------------------------------------------------------------------------------


def positive(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def make_parser():
    parser = argparse.ArgumentParser(
        prog="python -m demos.conditional_mnist", formatter_class=argparse.RawTextHelpFormatter,
        description="Train the paper's conditional network on digits, and print its test error.")
    add = parser.add_argument
    add("--method", default="straight-through", metavar="NAME",
        help=f"{', '.join(METHODS)},\nor a rule of mg.estimators such as SPSA (default: straight-through)")
    add("--recipe", choices=RECIPES, default="quick", help="optimiser, rates and noise of training (default: quick)")
    add("--data", metavar="FOLDER", help="folder of the four files of MNIST\n"
                                         "(default: MNIST if found or downloadable, else synthetic digits)")
    add("--epochs", type=positive, default=5, metavar="N", help="number of epochs (default: 5)")
    add("--batch", type=positive, metavar="N", help="digits per step (default: 100, with --recipe paper 32)")
    add("--block", type=positive, default=1, metavar="N", help="units per gate (default: 1)")
    add("--seed", type=int, default=0, metavar="N", help="seed of weights, order of digits and gates (default: 0)")
    add("--device", choices=mg.devices.NAMES, default="cpu", help="device (default: cpu)")
    add("--checkpoint", metavar="FILE", help="file that is written after every epoch")
    add("--resume", action="store_true", help="continue the run in --checkpoint, as if it had never stopped")
    add("--out", metavar="FILE", default="out/conditional_mnist.png", help="picture (default: %(default)s)")
    return parser


def start(given):
    """The run that the arguments describe: a new run, or a run to continue.

    Raises
    ------
    ValueError, OSError, RuntimeError
        The arguments contradict each other, a file is missing or damaged, or the device cannot be used.
    """
    if given.resume and not given.checkpoint:
        raise ValueError("--resume: expected also --checkpoint FILE, the run to continue")
    if given.checkpoint and Path(given.checkpoint).exists() and not given.resume:
        raise ValueError(f"--checkpoint: {given.checkpoint} exists. Add --resume to continue that run, or delete it")
    if Path(given.out).suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--out: expected a file name that ends in .png, .svg or .pdf, got {given.out!r}")
    mg.devices.usable(given.device)
    method_named(given.method)          # before the data, which may have to be downloaded
    settings = {key: getattr(given, key) for key in ("method", "recipe", "epochs", "block", "seed")}
    settings["batch"] = given.batch or RECIPES[given.recipe].batch
    with warnings.catch_warnings(record=True) as notes:
        run = Run(settings, mg.data.digits(given.data), device=given.device)
    for note in notes:
        print(f"note: {note.message}", file=sys.stderr)
    if given.resume:
        run.load_state_dict(mg.checkpoint.load(given.checkpoint))
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)       # an error here costs no training time
    return run


def train(run, checkpoint):
    """Train until the last epoch.  Show progress, and write the checkpoint after each epoch."""
    epochs, steps = run.settings["epochs"], run.steps_per_epoch
    print(f"{run.data.source}: {len(run.data.train_images)} digits to train on, {steps} steps an epoch")
    print("epoch     cost  training error  validation error  open gates  ms per step")
    with tqdm(total=epochs * steps, initial=len(run.history) * steps, unit="step") as bar:
        while len(run.history) < epochs:
            run.train_epoch(bar)
            row = run.history[-1]
            bar.write(f"{len(run.history):5}{row['cost']:9.4f}{percent(row['train']):>16}"
                      f"{percent(row['valid']):>18}{percent(row['open']):>12}{1000 * run.seconds:13.1f}")
            if checkpoint:
                mg.checkpoint.save(checkpoint, run.state_dict())


def main(argv=None):
    parser = make_parser()
    given = parser.parse_args(argv)
    try:
        run = start(given)
    except (ValueError, OSError, RuntimeError) as error:
        parser.error(str(error))
    try:
        train(run, given.checkpoint)
    except KeyboardInterrupt:
        print(f"\nstopped in epoch {len(run.history) + 1} of {run.settings['epochs']}. " + (
            f"{given.checkpoint} contains the earlier epochs: the same command with --resume continues from there"
            if given.checkpoint and run.history else
            "Nothing was saved. With --checkpoint FILE, the run is saved after each epoch"))
        return 130
    report(run, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
