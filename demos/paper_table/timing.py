"""What skipping units saves: the time of each row per training step and per test example, next to dense networks.

Each row is trained for a few epochs with the quick recipe and then timed.  Three questions:

    the same network     how long does the same network take in NumPy and torch, with every expert computed (``dense``)?
    as accurate          which is the fastest plain dense network that is as accurate?
    as fast              which is the most accurate plain dense network whose training step is as fast?

The plain networks are 784-H-10 with rectifiers, and 784-400-H-10 with 400 tanh units before them, like the gater's.
They are trained in the same way.  The run of each row times all networks in turns, and ratios are only formed between
times that were measured together.  Steps are timed with a learning rate of 0: this takes the same time, and the gates
stay as open as after training.  Everything runs on one thread, and times are processor times.
"""

from itertools import cycle, pairwise
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

import minigrad as mg
from demos import conditional_mnist
from demos.benchmarks import measure
from demos.paper_table import dense
from demos.paper_table.report import table
from demos.paper_table.rows import digits

ALONE = True
CAPTION = "test error against the time of a training step: the paper's rows and plain dense networks"
EPOCHS = 3
BATCH = 100
MOMENTUM = 0.9          # of the quick recipe
EXAMPLES = 1000         # examples per batch at test, as in ``conditional_mnist.chunks``
POOL = 8                # minibatches that are used in turn, because their open gates differ
TANH = 400              # units of the gater's hidden layer
PLAIN = {"-".join(map(str, (784, *widths, 10))): widths for widths in [
    (12,), (25,), (50,), (100,), (200,), (400,), (800,), (1600,), (TANH, 25), (TANH, 100), (TANH, 400), (TANH, 1600)]}
QUICK = "784-25-10", "784-400-25-10"
OWN = "minigrad", "NumPy", "torch"      # the implementations of a row
PLAIN_SGD = ", plain SGD"               # suffix of these names: without momentum


def multiply_adds(units, open_units, inputs=784, hidden=400, outputs=10):
    """Multiply-adds for the scores of one example: in the gater, the open experts, and the output layer.

    >>> multiply_adds(2000, 2000), multiply_adds(2000, 200), multiply_adds(0, 2000, hidden=0)
    (2701600, 1272400, 1588000)
    """
    return hidden * (inputs + units) + open_units * (inputs + outputs)


# ---- plain networks ------------------------------------------------------------------------------------------


class Plain(mg.nn.Module):
    """A dense network with rectifiers.  With two hidden layers, the first has tanh units."""

    def __init__(self, rng, widths, inputs=784, outputs=10):
        ends = [inputs, *widths, outputs]
        self.layers = [mg.nn.Linear(a, b, rng) for a, b in pairwise(ends)]

    def scores(self, x):
        *hidden, output = self.layers
        for i, layer in enumerate(hidden):
            x = mg.relu(layer(x)) if i == len(hidden) - 1 else mg.tanh(layer(x))
        return output(x)

    def error(self, images, labels):
        with mg.no_grad():
            return float(np.mean(self.scores(images).numpy().argmax(axis=1) != labels))


class PlainInMinigrad:
    def __init__(self, network, rate):
        self.network = network
        self.optimiser = mg.optim.SGD(network, lr=rate, momentum=MOMENTUM)

    def step(self, x, labels):
        loss = mg.expected(mg.cross_entropy(self.network.scores(x), labels))
        self.optimiser.zero_grad()
        loss.backward(free=True)
        self.optimiser.step()

    def scores(self, x):
        with mg.no_grad():
            return self.network.scores(x).numpy()


class PlainInTorch:
    def __init__(self, network, rate):
        import torch

        self.torch, parts = torch, []
        for i, layer in enumerate(network.layers):
            made = torch.nn.Linear(*reversed(layer.weight.shape))
            made.weight.data, made.bias.data = (torch.tensor(x.numpy()) for x in (layer.weight, layer.bias))
            parts += [made, torch.nn.ReLU() if i == len(network.layers) - 2 else torch.nn.Tanh()]
        self.model = torch.nn.Sequential(*parts[:-1])
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=rate, momentum=MOMENTUM)

    def step(self, x, labels):
        loss = self.torch.nn.functional.cross_entropy(self.model(x), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def scores(self, x):
        with self.torch.no_grad():
            return self.model(x).numpy()


def train_plain(widths, data, epochs, seed):
    """Errors of a plain network with the quick recipe, at the epoch with the lowest validation error."""
    recipe = conditional_mnist.RECIPES["quick"]
    network = Plain(mg.Generator(seed), widths)
    batches = [chosen for epoch in range(epochs)
               for chosen in mg.data.minibatches(len(data.train_images), recipe.batch, seed=seed, epoch=epoch)]
    trained = PlainInMinigrad(network, lambda step: recipe.tuning.rate * recipe.rate(step / len(batches)))
    best = {"valid": np.inf}
    for i, chosen in enumerate(batches, 1):
        trained.step(data.train_images[chosen], data.train_labels[chosen])
        if i % (len(batches) // epochs) == 0:
            valid = network.error(data.valid_images, data.valid_labels)
            if valid < best["valid"]:
                best = {"valid": valid, "test": network.error(data.test_images, data.test_labels)}
    return best


# ---- a row ---------------------------------------------------------------------------------------------------


def train_row(method, data, epochs, seed):
    """A finished run of ``conditional_mnist`` with the quick recipe, and its errors, as in its report."""
    settings = {"method": method, "recipe": "quick", "epochs": epochs, "batch": BATCH, "block": 1, "seed": seed}
    run = conditional_mnist.Run(settings, data)
    for _ in range(epochs):
        run.train_epoch(SimpleNamespace(update=lambda: None))       # instead of a progress bar
    run.network.load_state_dict(run.best["network"])
    test, use = conditional_mnist.evaluate(run.network, run.test_gate(), data.test_images, data.test_labels)
    return run, {"valid": run.best["valid"], "test": test, "open at test": float(use.mean())}


def time_row(run, data, plain, rounds, burst):
    """Median times in seconds of a training step and of one test example for all networks, measured in turns."""
    method = run.settings["method"]
    dense.check(method)
    first = [slice(i * BATCH, (i + 1) * BATCH) for i in range(min(POOL, len(data.train_images) // BATCH))]
    pool = [(data.train_images[some], data.train_labels[some]) for some in first]
    images = data.test_images[:EXAMPLES]
    cut, state = run.cut(), run.network.state_dict()

    networks = {}
    for suffix, momentum in ("", MOMENTUM), (PLAIN_SGD, 0.0):
        networks["minigrad" + suffix] = dense.InMinigrad(run.network, run.gates, run.penalty, 0.0, momentum)
        for name, made in dense.libraries().items():
            networks[name + suffix] = made(state, method, 1, run.penalty, 0.0, momentum)
    share = float(np.mean([np.mean(networks["minigrad"].step(*given).numpy() != 0) for given in pool]))
    for name in plain:
        made = Plain(mg.Generator(0), PLAIN[name])
        networks[f"{name} minigrad"] = PlainInMinigrad(made, lambda step: 0.0)
        if "torch" in dense.libraries():
            networks[f"{name} torch"] = PlainInTorch(made, 0.0)

    steps = {name: stepping(network, given_to(name, pool)) for name, network in networks.items()}
    answers = {name: answering(network, *given_to(name, [(images,)])[0], *[cut] * (name in OWN))
               for name, network in networks.items() if not name.endswith(PLAIN_SGD)}
    return {
        "open in training": share,
        "step": measure.interleaved(steps, rounds, burst),
        "example": {name: seconds / len(images)
                    for name, seconds in measure.interleaved(answers, rounds, burst).items()},
    }


def given_to(name, batches):
    """The arrays in the type of the library of this name."""
    if not name.removesuffix(PLAIN_SGD).endswith("torch"):
        return batches
    import torch

    return [tuple(map(torch.from_numpy, arrays)) for arrays in batches]


def stepping(network, pool):
    given = cycle(pool)
    return lambda: network.step(*next(given))


def answering(network, *given):
    return lambda: network.scores(*given)


# ---- what every part offers ----------------------------------------------------------------------------------


def runs(given):
    """One run for each row, and one for each plain network."""
    epochs, rounds, burst = (1, 3, 1e-4) if given.quick else (EPOCHS, 7, 1e-2)
    plain = QUICK if given.quick else tuple(PLAIN)
    made = {f"row-{method}": {"method": method, "plain": list(plain), "epochs": epochs, "seed": 0,
                              "rounds": rounds, "burst": burst} for method in conditional_mnist.METHODS}
    return made | {f"plain-{name}": {"plain": [name], "epochs": epochs, "seed": 0} for name in plain}


def run(*, data, folder, plain, epochs, seed, method=None, rounds=None, burst=None):
    """Train a plain network; or train a row, and time it together with untrained plain networks."""
    given = digits(data)
    with measure.threads(1):
        if method is None:
            return train_plain(PLAIN[plain[0]], given, epochs, seed)
        finished, errors = train_row(method, given, epochs, seed)
        return errors | time_row(finished, given, plain, rounds, burst) | {
            "machine": measure.machine(), "threads": measure.thread_counts()}


def by_kind(records):
    """The results of the rows, and of the plain networks, by name."""
    rows, plain = {}, {}
    for record in records.values():
        settings = record["settings"]
        if "method" in settings:
            rows[settings["method"]] = record["result"]
        else:
            plain[settings["plain"][0]] = record["result"]
    return {method: rows[method] for method in conditional_mnist.METHODS if method in rows}, {
        name: plain[name] for name in PLAIN if name in plain}


def section(records):
    rows, plain = by_kind(records)
    if not rows:
        return "Not measured yet."
    epochs = next(record["settings"]["epochs"] for record in records.values())
    some = next(iter(rows.values()))
    return "\n\n".join([
        f"```\n{some['machine']}\n{some['threads']}; float32, median of interleaved rounds\n```",
        f"**The same network with every expert computed.**  Speed-up of a training step of {BATCH} digits over dense "
        "NumPy and dense torch, with momentum 0.9 (which updates every weight at every step) and with plain gradient "
        "descent.  Straight-through computes all experts in backward, because it uses the gradients of closed gates.  "
        "Milliseconds are those of minigrad.",
        table(["row", "open", "momentum: ms", "over NumPy", "over torch", "plain: ms", "over NumPy", "over torch"],
              [step_of(method, rows.get(method)) for method in conditional_mnist.METHODS]),
        f"Time per test example in a batch of {EXAMPLES:,}, speed-up, and multiply–adds with all and with the open "
        "experts:",
        table(["row", "open", "µs", "over NumPy", "over torch", "multiply–adds, all", "open", "all / open"],
              [answer_of(method, rows.get(method)) for method in conditional_mnist.METHODS]),
        f"**Plain dense networks**, trained for {epochs} epochs with the quick recipe and seed 0; best epoch by "
        "validation error.  The time of a plain network is the smaller one of minigrad and torch.  As accurate: the "
        "fastest network with no larger test error, and its time divided by the row's time.  As fast: the network "
        "with the lowest test error whose step takes no longer than the row's.",
        table(["row", "test error %", "as accurate", "test error %", "step", "example", "as fast", "test error %"],
              [plain_networks(method, rows.get(method), plain) for method in conditional_mnist.METHODS]),
        "All plain networks, with multiply–adds per example:",
        table(["network", "multiply–adds", "validation error %", "test error %"],
              [[name, f"{products(PLAIN[name]):,}", percent(found["valid"]), percent(found["test"])]
               for name, found in plain.items()]),
    ])


def products(widths):
    """Multiply-adds of a plain network for one example."""
    ends = [784, *widths, 10]
    return sum(a * b for a, b in pairwise(ends))


def percent(share):
    return f"{100 * share:.2f}"


def step_of(method, found):
    """The table row for the training step of a method."""
    if found is None:
        return [f"`{method}`"] + 7 * [None]
    return [f"`{method}`", f"{percent(found['open in training'])} %",
            *times(found["step"], "", 1e3), *times(found["step"], PLAIN_SGD, 1e3)]


def answer_of(method, found):
    """The table row for the test examples of a method."""
    if found is None:
        return [f"`{method}`"] + 7 * [None]
    units, share = conditional_mnist.METHODS[method].units, found["open at test"]
    every, some = multiply_adds(units, units), multiply_adds(units, share * units)
    return [f"`{method}`", f"{percent(share)} %", *times(found["example"], "", 1e6),
            f"{every:,}", f"{some:,.0f}", f"{every / some:.2f}"]


def times(seconds, suffix, scale):
    """minigrad's time in the unit 1 / ``scale``, and the speed-up over the other libraries."""
    ours, *others = (seconds.get(name + suffix) for name in OWN)
    return [f"{scale * ours:.2f}", *(other and f"{other / ours:.2f}" for other in others)]


def fastest(seconds, name):
    """The time of a plain network in the faster library."""
    return min(seconds[key] for key in (f"{name} minigrad", f"{name} torch") if key in seconds)


def plain_networks(method, found, plain):
    if found is None:
        return [f"`{method}`"] + 7 * [None]
    known = [name for name in plain if f"{name} minigrad" in found["step"]]
    seconds = {name: fastest(found["step"], name) for name in known}
    accurate = min((name for name in known if plain[name]["test"] <= found["test"]), key=seconds.get, default=None)
    fast = min((name for name in known if seconds[name] <= found["step"]["minigrad"]),
               key=lambda name: plain[name]["test"], default=None)
    cells = [f"`{method}`", percent(found["test"]), *[None] * 4]
    if accurate:
        cells[2:] = [accurate, percent(plain[accurate]["test"]), f"{seconds[accurate] / found['step']['minigrad']:.3f}",
                     f"{fastest(found['example'], accurate) / found['example']['minigrad']:.3f}"]
    return [*cells, *((fast, percent(plain[fast]["test"])) if fast else (None, None))]


def picture(records, path):
    """Test error against the time of a step: rows, and plain networks as timed together with straight-through."""
    rows, plain = by_kind(records)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for depth, colour, label in (1, "#888888", "plain, 784-H-10"), (2, "#0072b2", "plain, 784-400-H-10"):
        some = rows.get("straight-through") or next(iter(rows.values()), None)
        shown = {name: (1000 * fastest(some["step"], name), 100 * found["test"]) for name, found in plain.items()
                 if some and len(PLAIN[name]) == depth and f"{name} minigrad" in some["step"]}
        axes.plot(*zip(*sorted(shown.values()), strict=True) if shown else ((), ()), "o-", color=colour, markersize=4,
                  label=label)
        for name, place in shown.items():
            axes.annotate(PLAIN[name][-1], place, (0, 5), textcoords="offset points", fontsize=8, color=colour)
    for method, found in rows.items():
        place = 1000 * found["step"]["minigrad"], 100 * found["test"]
        axes.plot(*place, "D", color="#d55e00", markersize=6)
        axes.annotate(method, place, (0, 7), textcoords="offset points", rotation=75, ha="left", fontsize=9)
    axes.plot([], [], "D", color="#d55e00", label="the paper's rows")
    axes.set(xscale="log", xlabel=f"milliseconds of a training step of {BATCH} digits, one thread",
             ylabel="wrong answers on test digits (%)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
