"""Can one predict which units of a ReLU network will be on, and compute only those?

    python -m demos.predict_the_open_units                  less than a minute
    python -m demos.predict_the_open_units --epochs 10      trained longer

An ordinary network classifies digits: 784 inputs, 2048 rectifiers, 10 classes.  A small penalty on the activations
leaves few rectifiers on for each digit.  After training, a cheap product of two narrow matrices approximates the 2048
pre-activations.  Units whose approximation is above a threshold are computed, the others count as 0.  One digit at a
time, in one compiled call (``mg.compile_one``).

The narrow matrices are not trained.  Let W be the weight of the first layer and L the Cholesky factor of the inputs'
second moment.  The singular value decomposition of W·L, cut to a rank, is the best approximation of the
pre-activations in the mean square over the inputs.  (Davis & Arel, 2013, use a decomposition of W alone.)

The file has this order: network, approximation, opponents, measurement, picture, command.
"""

import os
import sys
import warnings
from importlib.util import find_spec
from time import process_time

# One thread: products of one digit are too small to share.  It must be set before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import minigrad as mg
from demos import lesson
from demos.benchmarks.layer import rotating
from demos.benchmarks.measure import interleaved

UNITS, CLASSES, BATCH = 2048, 10, 100
PENALTY = 1e-3          # on the sum of the activations of a digit
RANK = 48
SHARES = 0.5, 0.2, 0.1, 0.06, 0.04, 0.03, 0.02, 0.01, 0.005
TIMED = 512             # digits, so that the open weights of one are not those of the next
LOST = 0.05             # points of validation error that the prediction may cost

TRY = """
  --rank 16     a cheaper, coarser prediction
  --penalty 0   more units are on, so fewer can be left out
  --epochs 10   a lower error, with the same saving
"""


# ---- the network -------------------------------------------------------------------------------------------------

def network(units, rng):
    """(first layer, second layer); the second one keeps the weights of a hidden unit together."""
    return mg.nn.Linear(784, units, rng), mg.nn.Linear(units, CLASSES, rng, gated_inputs=True)


def train(layers, images, labels, epochs, penalty, seed):
    """Train with Adam, whose rate falls to 0 along a cosine."""
    first, second = layers
    optimiser = mg.optim.Adam([first, second], lr=1e-3)
    steps, step = epochs * (len(images) // BATCH), 0
    for epoch in lesson.progress(range(epochs), desc="training", leave=False):
        for chosen in mg.data.minibatches(len(images), BATCH, seed=seed, epoch=epoch):
            optimiser.lr = 1e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
            h = mg.relu(first(images[chosen]))
            loss = mg.cross_entropy(second(h), labels[chosen]).mean()
            if penalty:
                loss = loss + np.float32(penalty / BATCH) * h.sum()
            optimiser.zero_grad()
            loss.backward(free=True)
            optimiser.step()
            step += 1


def preactivations(first, images):
    return images @ first.weight.numpy().T + first.bias.numpy()


def error(second, hidden, labels):
    """The share of wrong answers in per cent, from activations of the hidden units."""
    scores = hidden @ second.weight.numpy().T + second.bias.numpy()
    return 100 * float((scores.argmax(axis=1) != labels).mean())


# ---- the approximation -------------------------------------------------------------------------------------------

def narrow(weight, images, rank):
    """(units, rank) and (rank, inputs): their product approximates the weight where the images have much variance."""
    moment = images.T.astype(float) @ images / len(images) + 1e-3 * np.eye(images.shape[1])
    factor = np.linalg.cholesky(moment)
    u, s, v = np.linalg.svd(weight.astype(float) @ factor, full_matrices=False)
    back = np.linalg.solve(factor.T, v[:rank].T).T
    return (u[:, :rank] * s[:rank]).astype(np.float32), back.astype(np.float32)


def predicting(layers, weights, threshold):
    """The network as a function of one digit that computes the units whose approximation is above a threshold."""
    first, second = layers
    wide, thin = (mg.tensor(weight) for weight in weights)
    cut = (np.float32(threshold) - first.bias.numpy())

    def answer(x):
        open_units = mg.linear(mg.linear(x, thin), wide) > cut
        return second(mg.relu(mg.gated_linear(x, first.weight, first.bias, open_units, block=1)))

    return answer


# ---- opponents, which compute all units --------------------------------------------------------------------------

def in_numpy(layers):
    first, second = layers
    w, b, v, c = (np.ascontiguousarray(x.numpy()) for x in (first.weight, first.bias, second.weight, second.bias))

    def answer(x):
        h = x @ w.T
        h += b
        np.maximum(h, 0, out=h)
        return h @ v.T + c

    return answer


def in_torch(layers):
    import torch

    torch.set_num_threads(1)
    first, second = layers
    w, b, v, c = (torch.from_numpy(x.numpy().copy()) for x in (first.weight, first.bias, second.weight, second.bias))

    @torch.inference_mode()
    def answer(x):
        return torch.addmm(c, torch.relu_(torch.addmm(b, torch.from_numpy(x), w.t())), v.t())

    return answer


def skipping_zeros(layers):
    """The whole network in one compiled call.  Pixels and rectifiers that are 0 are skipped, which is exact."""
    first, second = layers
    return mg.compile_one(lambda x: second(mg.relu(first(x))), np.zeros((1, 784), np.float32))


# ---- measurement -------------------------------------------------------------------------------------------------

def microseconds(functions, digits):
    """Microseconds of processor time per digit of each function, over different digits."""
    digits = [digits[i:i + 1] for i in range(len(digits))]
    runs = {name: rotating(function, digits) for name, function in functions.items()}
    return {name: 1e6 * seconds for name, seconds in interleaved(runs, 9, 0.005, process_time).items()}


def measure(data, epochs, rank, penalty, seed, sizes=(64, 256)):
    """A dict: the rows of the table, and the curve of the prediction as (share, error, microseconds)."""
    rng = mg.Generator(seed)
    layers = network(UNITS, rng)
    train(layers, data.train_images, data.train_labels, epochs, penalty, seed)
    first, second = layers
    weights = narrow(first.weight.numpy(), data.train_images, rank)
    splits = {}
    for name, images, labels in (("valid", data.valid_images, data.valid_labels),
                                 ("test", data.test_images, data.test_labels)):
        hidden = np.maximum(preactivations(first, images), 0)
        scores = images @ weights[1].T @ weights[0].T + first.bias.numpy()
        splits[name] = hidden, scores, labels, error(second, hidden, labels)
    hidden, scores, labels, full = splits["valid"]
    on = float((hidden > 0).mean())
    thresholds = np.quantile(scores, [1 - share for share in SHARES])
    valid = [error(second, hidden * (scores > t), labels) for t in thresholds]
    allowed = [i for i, e in enumerate(valid) if e <= full + LOST] or [0]
    best = allowed[-1]

    empty = np.zeros((1, 784), np.float32)
    functions = {f"predicted, {share:.1%} computed": mg.compile_one(predicting(layers, weights, t), empty)
                 for share, t in zip(SHARES, thresholds, strict=True)}
    names = list(functions)
    functions |= {"zeros skipped": skipping_zeros(layers), "NumPy": in_numpy(layers)}
    if find_spec("torch"):
        functions["PyTorch"] = in_torch(layers)
    small = {}
    for units in sizes:
        other = network(units, rng)
        train(other, data.train_images, data.train_labels, epochs, 0, seed)
        name = f"{units} units, zeros skipped"
        functions[name] = skipping_zeros(other)
        small[name] = error(other[1], np.maximum(preactivations(other[0], data.test_images), 0), data.test_labels)
    times = microseconds(functions, data.test_images[:TIMED])

    hidden, scores, labels, full = splits["test"]
    errors = [error(second, hidden * (scores > t), labels) for t in thresholds]
    curve = [(float((scores > t).mean()), e, times[name])
             for t, e, name in zip(thresholds, errors, names, strict=True)]
    rows = [("all units, NumPy", 1.0, full, times["NumPy"])]
    if "PyTorch" in times:
        rows.append(("all units, PyTorch", 1.0, full, times["PyTorch"]))
    rows.append(("all units, zeros skipped", 1.0, full, times["zeros skipped"]))
    rows += [(name, 1.0, e, times[name]) for name, e in small.items()]
    rows.append((f"predicted units, rank {rank}", *curve[best]))
    dense = min(times[name] for name in ("NumPy", "PyTorch") if name in times)
    return {"rows": rows, "curve": curve, "best": best, "on": on, "full": full, "dense": dense,
            "exact": times["zeros skipped"]}


# ---- picture -----------------------------------------------------------------------------------------------------

def draw(found):
    """Test error against microseconds per digit."""
    figure, place = lesson.figure()
    share, errors, times = zip(*found["curve"], strict=True)
    place.plot(times, errors, color=lesson.BLUE, marker="o", label="predicted units, for several thresholds")
    for x, y, s in zip(times, errors, share, strict=True):
        place.annotate(f"{s:.1%}", (x, y), textcoords="offset points", xytext=(4, 5), fontsize=8)
    colours = (lesson.GREY, lesson.RED, lesson.ORANGE, lesson.GREEN, lesson.PURPLE)
    for (name, _, e, t), colour, marker in zip(found["rows"][:-1], colours, "sD^vP", strict=False):
        place.plot(t, e, marker, color=colour, label=name)
    top = max(2.5 * found["full"], *(row[2] for row in found["rows"]))
    place.set(xscale="log", xlabel="microseconds per digit, one thread", ylabel="test error, %", ylim=(0, 1.2 * top),
              title=f"A network of {UNITS} rectifiers, one digit at a time")
    place.legend(fontsize=8)
    place.grid(alpha=0.3)
    return figure


# ---- command -----------------------------------------------------------------------------------------------------

def number(text):
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=0)
    parser.add_argument("--data", metavar="FOLDER", help="folder with MNIST (default: where mg.data finds it)")
    parser.add_argument("--epochs", type=lesson.positive, default=3, help="(default: %(default)s)")
    parser.add_argument("--rank", type=lesson.positive, default=RANK, help="of the prediction (default: %(default)s)")
    parser.add_argument("--penalty", type=number, default=PENALTY, help="on activations (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.rank > 784:
        parser.error(f"--rank: expected at most 784, the number of inputs, got {options.rank}")
    with warnings.catch_warnings(record=True) as notes:
        data = mg.data.digits(options.data)
    for note in notes:
        print(f"note: {note.message}", file=sys.stderr)
    print("Can one predict which units of a ReLU network will be on, and compute only those?\n")
    found = measure(data, options.epochs, options.rank, options.penalty, options.seed)
    print(f"{data.source}, {options.epochs} epochs; {found['on']:.1%} of the rectifiers are on\n")
    lesson.table(["one digit at a time", "units computed", "test error %", "microseconds"],
                 [(name, f"{share:.1%}", e, t) for name, share, e, t in found["rows"]])
    _, share, e, t = found["rows"][-1]
    print(f"\nWith {share:.1%} of the units computed, the error is {e:.2f} %; with all it is {found['full']:.2f} %.\n"
          f"A digit takes {t:.1f} µs. The speed-up is {found['dense'] / t:.1f} over the fastest dense library, and "
          f"{found['exact'] / t:.1f} over skipping zeros.\n")
    lesson.close(draw(found), options.out, TRY)
    return found


if __name__ == "__main__":
    main()
