"""How much does the choice of a gradient estimator matter for a model with 200 random bits?

    python -m demos.bernoulli_vae                                       ten rules, a minute
    python -m demos.bernoulli_vae --steps 12000 --results out/vae.npz   the same command continues after a stop
    python -m demos.bernoulli_vae --rules ARM,DisARM,SPSA               any of mg.estimators

A variational autoencoder encodes a digit in 200 bits b ~ q(b|x) and decodes it with p(x|b).  Encoder and decoder
have one linear layer each.  The prior p(b) is learned too.  Training maximises a lower bound of log p(x):

    ELBO = E_q[log p(x|b)] − KL(q(b|x) ‖ p(b)).

Bits are independent in q and in p(b).  So the divergence is a formula of the logits, and ordinary differentiation
gives its gradient.  The expectation needs a rule.  The rule only uses the cost −log p(x|b).  Pixels are black or white:
1 if the grey value is above ½.  This is deterministic, so it is an easier task than with sampled pixels.

Every rule starts from the same weights, gets the same minibatches and takes the same number of steps of Adam.

    ELBO        in nats, the mean over all training digits, with one sample of the bits for each.  The samples are
                bits for all rules, including those that train relaxed bits
    variance    of the estimate of d ELBO / d logits for one digit, over 200 draws of the bits, with fixed digits,
                parameters and memory of the rule; summed over the 200 logits, averaged over the first minibatch.
                It is measured at the parameters that the rule reached, and at the same parameters for all rules:
                those that DisARM reaches in a fifth of the steps.  There a rule with a memory first learns from
                200 minibatches
    seconds     processor time of the steps
"""

import os
import sys
import warnings
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from time import process_time

# This must be set before NumPy is loaded, as in demos.conditional_mnist.  More threads are not faster at this size.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import minigrad as mg
from demos import lesson

RATE = 0.003            # initial rate of Adam; it decreases linearly to 0
POINTS = 20             # points of a learning curve
FEW = 1000              # digits on which each point is measured
PASSES = 200            # passes to measure a variance, and before that to train the memory of a rule
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
    "GumbelSigmoid": mg.estimators.GumbelSigmoid,       # trains a relaxed model, but is measured with bits
}
TRY = """
  --rules LeaveOneOut,ARMS,DoubleControlVariate: they use more evaluations per step. Is their ELBO higher?
  In TEN, use a temperature of 0.1 for GumbelSigmoid. How does its ELBO change?
  RATE = 0.01: which rules have a higher ELBO, and which a lower one?
"""


# ---- the model -----------------------------------------------------------------------------------------------


class Vae(mg.nn.Module):
    """q(b|x) and p(x|b), with one linear layer each, and p(b).

    ``mean`` is the mean image, which is subtracted from x.  All parameters are on its device.
    """

    def __init__(self, mean, rng, bits=200, dtype=np.float32):
        self.mean = mg.tensor(mean, dtype=dtype)
        place = {"dtype": dtype, "device": self.mean.device}
        self.encoder = mg.nn.Linear(len(mean), bits, rng, **place)
        self.decoder = mg.nn.Linear(bits, len(mean), rng, **place)
        self.prior = mg.tensor(np.zeros(bits), requires_grad=True, **place)
        often = self.mean.clip(0.001, 0.999)
        self.decoder.bias.data += mg.log(often / (1 - often)).data      # at the start it decodes to the mean

    def logits(self, x):
        return self.encoder(x - self.mean)

    def reconstruction(self, b, x):
        """−log p(x|b) of each row."""
        return mg.binary_cross_entropy(self.decoder(b), x).sum(axis=1)

    def divergence(self, q):
        """KL(q(b|x) ‖ p(b)) for each row of logits q: the sum over bits of p (q − r) − softplus(q) + softplus(r)."""
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
    """The mean ELBO of the images, in nats, with one sample of the bits for each."""
    rng, rule, rows = mg.Generator(seed), mg.estimators.Stop(), range(0, len(images), FEW)
    with mg.no_grad():
        return -sum(len(x) * vae.loss(x, rule, rng).item() for x in (images[i:i + FEW] for i in rows)) / len(images)


def train(images, rule, steps, batch, seed, bar):
    """The trained model, its curve of (step, ELBO), and the processor time of the steps in seconds."""
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
    """The rule's estimate of d −log p(x|b) / d logits for each row: an array of shape (rows, bits)."""
    q = mg.tensor(vae.logits(x).data, requires_grad=True)
    b = mg.bernoulli(q, rule, rng=rng, context=x)
    return len(x) * mg.grad(mg.expected(vae.reconstruction(b, x)), q).numpy()


def variance(vae, rule, x, seed):
    """The variance of the estimate for one digit over the noise, summed over bits, averaged over the digits x."""
    rng = mg.Generator(seed)
    with mg.testing.frozen_memories():
        estimates = [estimate(vae, rule, x, rng) for _ in range(PASSES)]
    return float(np.var(estimates, axis=0, ddof=1).sum(axis=1).mean())


def result(images, make, reference, steps, batch, seed, bar):
    """All results of one rule.  The variance is measured at its own parameters and at those of ``reference``."""
    rule = make()
    vae, curve, seconds = train(images, rule, steps, batch, seed, bar)
    own = variance(vae, rule, images[:batch], seed)

    rule, rng = make(), mg.Generator(seed)
    for x in batches(images, batch, PASSES, seed) if rule.state is not None else ():
        estimate(reference, rule, x, rng)
    return {"elbo": elbo(vae, images, seed), "own variance": own,
            "same variance": variance(reference, rule, images[:batch], seed), "seconds": seconds, "curve": curve}


def run(images, rules, steps, batch, seed, path=None, source="", device="cpu"):
    """Results by name of rule.  Results in the file ``path`` are used; new results are added to it.

    The array of images is moved to the device once.

    Raises
    ------
    ValueError
        The file contains a run with other settings, or is damaged.
    """
    settings = {"source": source, "digits": len(images), "steps": steps, "batch": batch, "seed": seed}
    done = {"settings": settings, "results": {}}
    if path and Path(path).exists():
        done = mg.checkpoint.load(path)
        if done["settings"] != settings:
            raise ValueError(f"--results: expected the settings {settings}, got {done['settings']} in {path}. "
                             "Name another file")
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
    """The kind of a rule, and the colour of this kind."""
    if not rule.unbiased:
        return "biased", lesson.GREEN
    if rule.needs == {"cost"}:
        return "unbiased, from the cost of its sample", lesson.RED
    return "unbiased, with further evaluations of the cost", lesson.BLUE


def draw(results, rules):
    """One curve for each rule, with its name at the end.  Names that would overlap are moved apart."""
    figure, axes = lesson.figure(height=5.5)
    curves = sorted(((name, r["curve"]) for name, r in results.items()), key=lambda pair: -pair[1][-1][1])
    (last, best), below = curves[0][1][-1], np.inf
    # Leave out the steep first tenth of the curves.
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
        help="rules of mg.estimators, separated by commas (%(default)s)")
    add("--data", metavar="FOLDER", help="folder of the files of MNIST (default: as for mg.data.digits)")
    add("--steps", type=lesson.positive, default=500, metavar="N", help="steps of each rule (default: %(default)s)")
    add("--batch", type=lesson.positive, default=50, metavar="N", help="digits per step (default: %(default)s)")
    add("--results", metavar="FILE", help="file for the results of finished rules; the same command continues from it")
    given = parser.parse_args(argv)
    given.out.parent.mkdir(parents=True, exist_ok=True)     # an error here costs no training time
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
            f"{given.results} contains the finished rules: the same command continues from there" if given.results
            else "Nothing was saved. With --results FILE, results are saved after each rule"))
        return 130
    print(f"{digits.source}: {len(images)} digits to train on")
    print(table(results))
    lesson.close(draw(results, rules), given.out, TRY)
    return 0


if __name__ == "__main__":
    sys.exit(main())
