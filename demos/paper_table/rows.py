"""One training run: a row of the table, a recipe and a seed.

    train       for a number of epochs; in the paper's recipe until the validation error has not decreased for long, or
                the time is over
    choose      the epoch and the threshold of the gates, by validation data; write both to disk
    measure     the test error of this network with this threshold, once

Every epoch ends with a checkpoint.  A run that was stopped continues from it, with bit-identical results.
"""

import json
import platform
import time
from functools import partial
from types import SimpleNamespace

import numpy as np

import minigrad as mg
from demos.conditional_mnist import (
    METHODS,
    RECIPES,
    BinaryGates,
    Method,
    RectifierGates,
    Run,
    SigmoidGates,
    SmoothGates,
    chunks,
    evaluate,
    usage_penalty,
)
from minigrad.checkpoint import whole_file
from minigrad.data import DigitSplits, synthetic_digits

# ---- rows that are not in the paper ------------------------------------------------------------------------------


class SmoothGatesOfTheCode(SmoothGates):
    """b √p with b ~ Bernoulli(p), as in the program of the paper's authors; the paper's text has Bernoulli(√p)."""

    def training(self, logits, rng):
        logits = logits + self.noise[rng.integers(len(self.noise), logits.shape)]
        bits = mg.bernoulli(logits, mg.estimators.Stop(), rng=rng)
        probs = mg.sigmoid(logits)
        return mg.mask(mg.sqrt(probs), bits), usage_penalty(probs)


class HalfOpenGates(BinaryGates):
    """Binary gates without a penalty.  At test the gates are 1[σ(a) > ½]."""

    def training(self, logits, rng):
        return mg.bernoulli(logits, self.rule, rng=rng), 0.0

    def test(self, logits, cut):
        return super().test(logits, 0.0)


class SameGates(mg.nn.Module):
    """Gates that are equal to the logits, in training and at test."""

    def training(self, logits, rng):
        return logits, 0.0

    def test(self, logits, cut):
        return logits


class OrdinaryNetwork(mg.nn.Module):
    """One hidden layer and no gater: scores = W f(A x + a) + c, where f computes gates from logits."""

    def __init__(self, rng, *, units, block, inputs=784, outputs=10):
        self.gater = [mg.nn.Linear(inputs, units, rng)]
        self.experts = mg.nn.Module()
        self.output = mg.nn.Linear(units, outputs, rng, gated_inputs=True)

    def logits(self, x):
        return self.gater[0](x)

    def scores(self, x, gates):
        return self.output(gates)


ROWS = METHODS | {
    "sts-code": METHODS["sts"]._replace(gates=SmoothGatesOfTheCode),
    # The paper reports a larger error for this variant.
    "straight-through-slope": METHODS["straight-through"]._replace(
        gates=lambda: BinaryGates(mg.estimators.StraightThroughSlope())),
    # The untrained gater of SBN.  The difference to SBN shows what REINFORCE contributes.
    "sbn-fixed": METHODS["sbn"]._replace(tuning={
        recipe: tuning._replace(gater_rate=0.0) for recipe, tuning in METHODS["sbn"].tuning.items()}),
    # Without a penalty, starting with half of the gates open.  The difference shows the cost of closed gates.
    "straight-through-unpenalised": Method(lambda: HalfOpenGates(mg.estimators.StraightThrough())),
    "rectifier-unpenalised": Method(partial(RectifierGates, noise=False)),
    "sigmoid-2000": Method(partial(SigmoidGates, noise=False)),
    "ordinary-rectifier": Method(partial(RectifierGates, noise=False), network=OrdinaryNetwork),
    # A linear layer without gates.  The difference shows what gates contribute.
    "ordinary-linear": Method(SameGates, network=OrdinaryNetwork),
}

# ---- the runs --------------------------------------------------------------------------------------------------

# Fixed lengths of the recipes whose learning rate decreases to 0.
EPOCHS = {"quick": 5, "long": 40}
PATIENCE = 50               # the paper's recipe stops after so many epochs without a lower validation error
ENOUGH = 1000               # a number of epochs that no run reaches


def runs(given):
    """One run for every row, recipe and seed."""
    made = {}
    for recipe in given.recipes:
        for row in given.rows:
            for seed in range(given.seeds):
                settings = {"row": row, "recipe": recipe, "seed": seed}
                if recipe == "paper":
                    settings |= {"epochs": 2 if given.quick else ENOUGH, "minutes": given.minutes,
                                 "patience": PATIENCE}
                else:
                    settings |= {"epochs": 1 if given.quick else EPOCHS[recipe], "minutes": None, "patience": None}
                made[f"{row} {recipe} {seed}"] = settings
    return made


def digits(data):
    """MNIST from the folder `data`, or from the user's cache if it is None; synthetic digits only if it is "quick".

    Raises
    ------
    OSError, ValueError
        MNIST is missing, cannot be downloaded, or is damaged.
    """
    if data != "quick":
        return mg.data.mnist(data)
    images, labels = synthetic_digits(1500, seed=0)
    parts = [part for span in (slice(0, 1000), slice(1000, 1250), slice(1250, 1500))
             for part in (images[span], labels[span])]
    return DigitSplits(*parts, source="synthetic digits")


def run(*, data, folder, row, recipe, seed, epochs, minutes, patience):
    """Train, choose and measure.  Returns the result of one run, a dict.

    Parameters
    ----------
    data : the argument of ``digits``.
    folder : path-like, for the checkpoint and the choices: ``<row> <recipe> <seed>.ckpt`` and ``.choice.json``.
    row, recipe, seed : identify the run.
    epochs : maximum number of epochs.
    minutes : maximum processor time, or None.
    patience : maximum number of epochs without a lower validation error, or None.
    """
    settings = {"method": row, "recipe": recipe, "epochs": epochs, "block": 1, "seed": seed,
                "batch": RECIPES[recipe].batch}
    training = Run(settings, digits(data), ROWS[row])
    place = f"{folder}/{row} {recipe} {seed}"
    spent, stopped = train(training, f"{place}.ckpt", minutes, patience)
    chosen = choose(training, f"{place}.choice.json")
    return {
        "row": row, "recipe": recipe, "seed": seed,
        **measure(training, chosen), "epochs": len(training.history), "stopped": stopped, **spent,
        "machine": machine(), "history": training.history,
        "command": f"python -m demos.paper_table --rows {row} --recipes {recipe} --seeds {seed + 1}"
                   + ("" if minutes is None else f" --minutes {minutes:g}"),
    }


def train(training, checkpoint, minutes, patience):
    """Train, and write a checkpoint after every epoch.  Continue from the checkpoint if there is one.

    Returns
    -------
    spent : dict of "seconds" of wall time and "core seconds" of processor time, including the time before
        interruptions.
    stopped : str, the limit that ended the run: "epochs", "patience" or "minutes".
    """
    spent = {"seconds": 0.0, "core seconds": 0.0}
    try:
        saved = mg.checkpoint.load(checkpoint)
    except FileNotFoundError:
        pass
    else:
        training.load_state_dict(saved["run"])
        spent = saved["spent"]
    while not (stopped := why_stop(training, spent, minutes, patience)):
        wall, cpu = time.perf_counter(), time.process_time()
        training.train_epoch(SimpleNamespace(update=lambda: None))
        spent = {"seconds": spent["seconds"] + time.perf_counter() - wall,
                 "core seconds": spent["core seconds"] + time.process_time() - cpu}
        mg.checkpoint.save(checkpoint, {"run": training.state_dict(), "spent": spent})
    return spent, stopped


def why_stop(training, spent, minutes, patience):
    """The limit that ends the run now, or None."""
    done = len(training.history)
    if done >= training.settings["epochs"]:
        return "epochs"
    if patience is not None and done and done - training.best["epoch"] >= patience:
        return "patience"
    if minutes is not None and spent["core seconds"] >= 60 * minutes:
        return "minutes"
    return None


def choose(training, path):
    """Load the network of the epoch with the lowest validation error, and choose the threshold of its gates.

    Returns
    -------
    dict, also written to `path`: the "epoch", its "valid" error, and "cut", the logit above which a gate is open.
    "theta" is the same threshold in the paper's terms, or None if the gates have no threshold.
    """
    training.network.load_state_dict(training.best["network"])
    cut = training.cut()
    chosen = {"epoch": training.best["epoch"], "valid": training.best["valid"], "cut": cut,
              "theta": theta(training.gates, cut)}
    with whole_file(path) as file:
        file.write(json.dumps(chosen).encode())
    return chosen


def measure(training, chosen):
    """Errors (including the test error), costs and fractions of open gates of the chosen network."""
    data, network = training.data, training.network
    epoch = training.history[chosen["epoch"] - 1]

    def gate(logits):
        return training.gates.test(logits, chosen["cut"])

    test, use = evaluate(network, gate, data.test_images, data.test_labels)
    train, _ = evaluate(network, gate, data.train_images, data.train_labels)
    share = np.bincount(data.test_labels, minlength=10) / len(data.test_labels)
    return {
        "epoch": chosen["epoch"], "theta": chosen["theta"], "test": test, "valid": chosen["valid"], "train": train,
        "cost": mean_cost(network, gate, data.train_images, data.train_labels),
        "cost while training": epoch["cost"],
        "open": float(share @ use.mean(axis=1)), "open while training": epoch["open"],
    }


def theta(gates, cut):
    """The threshold θ: of p for bits, of √p for smooth gates, None for gates without a threshold."""
    if isinstance(gates, HalfOpenGates):
        return 0.5
    if isinstance(gates, BinaryGates):
        return float(1 / (1 + np.exp(-cut)))
    if isinstance(gates, SmoothGates):
        return float(1 / np.sqrt(1 + np.exp(-cut - gates.noise.mean())))
    return None


def mean_cost(network, gate, images, labels):
    """The mean of −log p(label), with the gates used at test."""
    total = 0.0
    with mg.no_grad():
        for x, y in zip(chunks(images), chunks(labels), strict=True):
            total += mg.cross_entropy(network.scores(x, gate(network.logits(x))), y).numpy().sum(dtype=np.float64)
    return float(total / len(labels))


def machine():
    """The machine and the versions, in one line."""
    return f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}"
