"""How much does the choice of a gradient estimator matter to a model with 200 random bits?

    python -m demos.bernoulli_vae                                       ten rules, a minute
    python -m demos.bernoulli_vae --steps 12000 --results out/vae.npz   ten; if stopped, the same command goes on
    python -m demos.bernoulli_vae --rules ARM,DisARM,SPSA               any of mg.estimators

A variational autoencoder writes a digit down in 200 bits b ~ q(b|x) and reads it back, p(x|b), both with
one linear layer.  It is trained to make large, with the prior p(b) learned too, a lower bound of log p(x):

    ELBO = E_q[log p(x|b)] − KL(q(b|x) ‖ p(b)).

Bits are independent in q and in p(b), so the divergence is a formula of the logits, and its gradient ordinary
differentiation.  The expectation is what needs a rule, which so sees the cost −log p(x|b) alone.  Pixels are
black or white: 1 where the grey value is above ½ (no randomness, so easier than sampled pixels).

Every rule starts from the same weights, sees the same minibatches and takes the same number of steps of Adam.

    ELBO        in nats, averaged over all training digits, with one sample of bits for each (real bits, for all rules)
    variance    of the estimate of d ELBO / d logits for one digit, over 200 draws of the bits, with digits, parameters
                and the rule's memory held; summed over the 200 logits, averaged over the first batch of digits.
                Once where the rule has come to, and once at a point that is the same for all, which DisARM
                reaches in a fifth of the steps; there a rule that learns is first shown 200 minibatches
    seconds     of processor time that the steps took
"""

import os
import sys
import warnings
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from time import process_time

# Before NumPy is loaded, as in demos.conditional_mnist: more threads gain nothing at this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import minigrad as mg
from demos import lesson

RATE = 0.003            # of Adam at the start; it falls to 0 along a straight line
POINTS = 20             # of a learning curve,
FEW = 1000              # each measured on so many digits
PASSES = 200            # in which a variance is measured, and before that in which a rule may learn
TEN = {
    "Reinforce": partial(mg.estimators.Reinforce, baseline="mean"),
    "Nvil": mg.estimators.Nvil,
    "LeaveOneOut": partial(mg.estimators.LeaveOneOut, samples=2),
    "ARM": mg.estimators.ARM,
    "DisARM": mg.estimators.DisARM,
    "MuProp": mg.estimators.MuProp,
    "Rebar": mg.estimators.Rebar,
    "StraightThroughSlope": mg.estimators.StraightThroughSlope,
    "ReinMax": mg.estimators.ReinMax,
    "GumbelSigmoid": mg.estimators.GumbelSigmoid,       # trains a relaxed model; its bits are measured as bits
}
TRY = """
  --rules LeaveOneOut,ARMS,DoubleControlVariate, with more evaluations a step: do they pay?
  In TEN, a temperature of 0.1 for GumbelSigmoid: what becomes of its ELBO on real bits?
  RATE = 0.01: which rules profit, and which no longer arrive?
"""


# ---- the model -----------------------------------------------------------------------------------------------


class Vae(mg.nn.Module):
    """q(b|x) and p(x|b), a linear layer each, and p(b); ``mean`` is the mean image, by which x is centred.

    All of it is where the mean is.
    """

    def __init__(self, mean, rng, bits=200, dtype=np.float32):
        self.mean = mg.tensor(mean, dtype=dtype)
        place = {"dtype": dtype, "device": self.mean.device}
        self.encoder = mg.nn.Linear(len(mean), bits, rng, **place)
        self.decoder = mg.nn.Linear(bits, len(mean), rng, **place)
        self.prior = mg.tensor(np.zeros(bits), requires_grad=True, **place)
        often = self.mean.clip(0.001, 0.999)
        self.decoder.bias.data += mg.log(often / (1 - often)).data      # before it learns, it paints the mean

    def logits(self, x):
        return self.encoder(x - self.mean)

    def reconstruction(self, b, x):
        """−log p(x|b) of each row."""
        return mg.binary_cross_entropy(self.decoder(b), x).sum(axis=1)

    def divergence(self, q):
        """KL(q(b|x) ‖ p(b)) of each row of logits q, summed over bits: Σ p (q − r) − softplus(q) + softplus(r)."""
        return (mg.sigmoid(q) * (q - self.prior) - mg.softplus(q) + mg.softplus(self.prior)).sum(axis=1)

    def loss(self, x, rule, rng):
        """−ELBO with one sample for each row of x, averaged over rows."""
        q = self.logits(x)
        b = mg.bernoulli(q, rule, rng=rng, context=x)
        return mg.expected(self.reconstruction(b, x)) + mg.expected(self.divergence(q))


# ---- training and measuring ----------------------------------------------------------------------------------


def batches(images, size, steps, seed):
    epochs = (mg.data.minibatches(len(images), size, seed=seed, epoch=epoch, device=images.device) for epoch in count())
    return (images[chosen] for chosen in islice(chain.from_iterable(epochs), steps))


def elbo(vae, images, seed):
    """Mean over images, in nats, with one sample of bits for each."""
    rng, rule, rows = mg.Generator(seed), mg.estimators.Stop(), range(0, len(images), FEW)
    with mg.no_grad():
        return -sum(len(x) * vae.loss(x, rule, rng).item() for x in (images[i:i + FEW] for i in rows)) / len(images)


def train(images, rule, steps, batch, seed, bar):
    """The trained model; its curve of (step, ELBO); seconds of processor time that the steps took."""
    rng = mg.Generator(seed)
    vae = Vae(images.mean(axis=0).data, rng)
    optimiser = mg.optim.Adam(vae, lr=lambda step: RATE * (1 - step / steps))
    curve, seconds, every = [], 0.0, max(1, steps // POINTS)
    for step, x in enumerate(batches(images, batch, steps, seed)):
        if step % every == 0:
            curve.append((step, elbo(vae, images[:FEW], seed)))
        start = process_time()
        optimiser.zero_grad()
        vae.loss(x, rule, rng).backward(free=True)
        optimiser.step()
        seconds += process_time() - start
        bar.update()
    return vae, [*curve, (steps, elbo(vae, images[:FEW], seed))], seconds


def estimate(vae, rule, x, rng):
    """The rule's estimate of d −log p(x|b) / d logits, (rows, bits), each row on its own scale."""
    q = mg.tensor(vae.logits(x).data, requires_grad=True)
    b = mg.bernoulli(q, rule, rng=rng, context=x)
    return len(x) * mg.grad(mg.expected(vae.reconstruction(b, x)), q).numpy()


def variance(vae, rule, x, seed):
    """Of the estimate for one digit, over repeated noise: summed over bits, averaged over the digits x."""
    rng = mg.Generator(seed)
    with mg.testing.frozen_memories():
        estimates = [estimate(vae, rule, x, rng) for _ in range(PASSES)]
    return float(np.var(estimates, axis=0, ddof=1).sum(axis=1).mean())


def result(images, make, reference, steps, batch, seed, bar):
    """All that is reported about one rule; the variance at its own end and at ``reference``, the same for all."""
    rule = make()
    vae, curve, seconds = train(images, rule, steps, batch, seed, bar)
    own = variance(vae, rule, images[:batch], seed)

    rule, rng = make(), mg.Generator(seed)
    for x in batches(images, batch, PASSES, seed) if rule.state is not None else ():
        estimate(reference, rule, x, rng)
    return {"elbo": elbo(vae, images, seed), "own variance": own,
            "same variance": variance(reference, rule, images[:batch], seed), "seconds": seconds, "curve": curve}


def run(images, rules, steps, batch, seed, path=None, source="", device="cpu"):
    """Results by name of rule.  Those in the file ``path`` are taken from there; others are added as they finish.

    The images, an array, are moved to the device once.

    Raises
    ------
    ValueError
        The file is of a run with other settings, or damaged.
    """
    settings = {"source": source, "digits": len(images), "steps": steps, "batch": batch, "seed": seed}
    done = {"settings": settings, "results": {}}
    if path and Path(path).exists():
        done = mg.checkpoint.load(path)
        if done["settings"] != settings:
            raise ValueError(f"--results: {path} is of {done['settings']}, not of {settings}. Name another file")
    images = mg.tensor(images, device=device)
    missing = [name for name in rules if name not in done["results"]]
    if missing:
        few = steps // 5
        with lesson.progress(total=few + len(missing) * steps, unit="step", desc="reference", leave=False) as bar:
            reference, *_ = train(images, mg.estimators.DisARM(), few, batch, seed, bar)
            for name in missing:
                bar.set_description(name)
                done["results"][name] = result(images, rules[name], reference, steps, batch, seed, bar)
                if path:
                    mg.checkpoint.save(path, done)
    return {name: done["results"][name] for name in rules}


# ---- the report ----------------------------------------------------------------------------------------------


def ordered(results):
    return sorted(results.items(), key=lambda pair: -pair[1]["elbo"])


def table(results):
    lines = [f"{'':22}{'ELBO':>9}{'variance at own end':>21}{'at the same point':>19}{'steps':>8}{'seconds':>9}"]
    for name, r in ordered(results):
        lines.append(f"{name:22}{r['elbo']:9.2f}{r['own variance']:21.4g}{r['same variance']:19.4g}"
                     f"{r['curve'][-1][0]:8}{r['seconds']:9.1f}")
    return "\n".join(lines)


def family(rule):
    """The kind of a rule, and its colour."""
    if not rule.unbiased:
        return "biased", lesson.GREEN
    if rule.needs == {"cost"}:
        return "unbiased, from the cost of its sample", lesson.RED
    return "unbiased, with further evaluations of the cost", lesson.BLUE


def draw(results, rules):
    """A curve for each rule, with its name at the end; names are moved apart where curves end together."""
    figure, axes = lesson.figure(height=5.5)
    curves = sorted(((name, r["curve"]) for name, r in results.items()), key=lambda pair: -pair[1][-1][1])
    (last, best), below = curves[0][1][-1], np.inf
    # The steep first tenth would hide the rest.
    low = min(value for _, curve in curves for _, value in curve[len(curve) // 10:])
    drawn = []
    for name, curve in curves:
        text, colour = family(rules[name]())
        style = ("-", "--", ":", "-.")[drawn.count(text) % 4]
        axes.plot(*zip(*curve, strict=True), style, color=colour, label=text if text not in drawn else None)
        below = min(curve[-1][1], below - (best - low) / 28)
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 0}
        axes.annotate(name, curve[-1], (1.06 * last, below), color=colour, va="center", annotation_clip=False,
                      arrowprops=line)
        drawn.append(text)
    axes.set(xlabel="training step", ylabel=f"ELBO of {FEW} training digits (nats)", xlim=(0, last),
             ylim=(low, best + 0.04 * (best - low)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", handlelength=3)
    return figure


def main(argv=None):
    parser = lesson.parser(__file__, __doc__, seed=0, device="cpu")
    add = parser.add_argument
    add("--rules", type=lesson.rules, metavar="NAMES", default=",".join(TEN),
        help="of mg.estimators, with commas between (%(default)s)")
    add("--data", metavar="FOLDER", help="that has the files of MNIST (default: as for mg.data.digits)")
    add("--steps", type=lesson.positive, default=500, metavar="N", help="for each rule (default: %(default)s)")
    add("--batch", type=lesson.positive, default=50, metavar="N", help="digits per step (default: %(default)s)")
    add("--results", metavar="FILE", help="keeps the results of rules that are done; the same command then goes on")
    given = parser.parse_args(argv)
    given.out.parent.mkdir(parents=True, exist_ok=True)     # refused now rather than after training
    rules = {name: TEN.get(name, getattr(mg.estimators, name)) for name in given.rules}
    try:
        with warnings.catch_warnings(record=True) as notes:
            digits = mg.data.digits(given.data)
        for note in notes:
            print(f"note: {note.message}", file=sys.stderr)
        images = (digits.train_images > 0.5).astype(np.float32)
        results = run(images, rules, given.steps, given.batch, given.seed, given.results, digits.source.split(",")[0],
                      given.device)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("\nstopped. " + (
            f"{given.results} holds the rules that were done: the same command goes on from there" if given.results
            else "Nothing was saved, which happens after each rule, with --results FILE"))
        return 130
    print(f"{digits.source}: {len(images)} digits to train on")
    print(table(results))
    lesson.close(draw(results, rules), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
