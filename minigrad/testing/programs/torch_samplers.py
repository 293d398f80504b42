"""The samplers that replace PyTorch's own during a check.

Every operation of PyTorch passes through a *dispatch mode*, whatever function or module calls it.  The mode in
this file takes Bernoulli samples, categories and binomial counts from the script of a run.  Dropout and
``torch.distributions`` use these.  All other samplers draw from the seed of the run, and their names are recorded.

A program may use a uniform number only in comparisons, as in ``torch.rand(n) < p`` or
``logit + log(u) - log(1 - u) > 0``.  Then the comparison is a Bernoulli sample, and the script gives its result.
``Uniforms`` stores the two thresholds between which each number lies.  The tensor of the program always has a number
between them.  So the program may compute with the number later.  Then this noise is sampled, and the number is fixed
from then on.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from minigrad.testing.outcomes import Cells

aten = torch.ops.aten
COMPARISONS = {aten.lt: True, aten.le: True, aten.gt: False, aten.ge: False}
VIEWS = {aten.view, aten._unsafe_view, aten.unsqueeze, aten.squeeze, aten.expand, aten.permute, aten.t, aten.transpose,
         aten.detach, aten.alias, aten.clone, aten._to_copy, aten.select, aten.slice, aten.lift_fresh}
AFFINE = {aten.add, aten.sub, aten.rsub, aten.mul, aten.div, aten.neg}
LOGARITHMS = {aten.log, aten.log1p, aten.logit}
# Monotone functions of a uniform number: the function, its inverse, and whether it is increasing.
FORMS = {"u": (lambda u: u, lambda x: x, True),
         "log u": (torch.log, torch.exp, True),
         "log(1 - u)": (lambda u: torch.log1p(-u), lambda x: -torch.expm1(x), False),
         "logit u": (torch.logit, torch.sigmoid, True)}


def numbers(x):
    """A tensor as an array of float64."""
    try:
        return x.detach().to("cpu", torch.float64).numpy()
    except RuntimeError as error:
        raise TypeError(f"expected samples from probabilities that are known, got a {type(x).__name__} without "
                        "numbers. Call the function without torch.compile or torch.jit.trace") from error


def tensor(array, like, dtype=None):
    return torch.as_tensor(array).to(like.device, dtype or like.dtype)


@dataclass(eq=False)
class Uniforms:
    """What is known about a tensor of shift + scale · form(u), where entry i of u is number index[i] of a draw."""

    draw: "Draw"
    tensor: torch.Tensor
    index: torch.Tensor
    shift: torch.Tensor
    scale: torch.Tensor
    form: str = "u"

    def below(self, thresholds, less):
        """Whether each entry is below its threshold (or above it, unless ``less``), as an array."""
        index, shift, scale, thresholds = torch.broadcast_tensors(self.index, self.shift, self.scale, thresholds)
        _, inverse, grows = FORMS[self.form]
        cuts = inverse((thresholds - shift) / scale).numpy()
        found = np.array([self.draw.cells.below(i, cut) for i, cut in zip(index.numpy().flat, cuts.flat, strict=True)],
                         bool).reshape(index.shape)
        self.draw.compared = True
        self.draw.refresh()
        return np.asarray((found == ((scale.numpy() > 0) == grows)) == less)


class Draw:
    """Uniform numbers that were drawn by one call."""

    def __init__(self, script, raw):
        self.raw = raw      # numbers in [0, 1): the relative position between the two thresholds
        self.cells = Cells(script, np.zeros(raw.size), np.ones(raw.size, bool))
        self.known = []     # the Uniforms with these numbers
        self.compared = False

    def refresh(self):
        """Set every tensor of these numbers to values between the known thresholds."""
        low, high = torch.from_numpy(self.cells.low), torch.from_numpy(self.cells.high)
        u = low + (high - low) * torch.from_numpy(self.raw)
        storages = set()
        for uniforms in self.known:
            address = uniforms.tensor.untyped_storage().data_ptr()
            if address not in storages:     # else it is a view of a tensor that is already set
                storages.add(address)
                known = FORMS[uniforms.form][0](u[uniforms.index])
                uniforms.tensor.data.copy_(uniforms.shift + uniforms.scale * known)

    def settle(self):
        """Fix every number at the value in its tensor."""
        low, high = self.cells.low, self.cells.high
        self.cells.low = self.cells.high = low + (high - low) * self.raw


class Samplers(TorchDispatchMode):
    """The dispatch mode that gives a run of a program its samples.

    Attributes
    ----------
    run : the Run; None between runs.
    wide : whether the parameters are float64 now, although the program may use float32.  Then operations in
        float32 are computed in float64.
    """

    def __init__(self):
        super().__init__()
        self.run, self.wide, self.known, self.kinds = None, False, {}, {}

    @classmethod
    def _should_skip_dynamo(cls):
        return False        # else every operation would pass through torch.compile's machinery, which is slow

    def begin(self, run, wide):
        self.run, self.wide, self.known = run, wide, {}
        torch.default_generator.manual_seed(run.seed)

    def end(self):
        if any(not uniforms.draw.compared for uniforms in self.known.values()):
            self.run.noise.add("torch.rand")        # NumPy may have read it
        self.run, self.known = None, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.run is None:
            return func(*args, **kwargs)
        packet = func.overloadpacket
        if packet not in self.kinds:
            self.kinds[packet] = torch.Tag.nondeterministic_seeded in func.tags
        if self.kinds[packet]:
            answer = ANSWERS.get(packet)
            found = answer(self, func, *args, **kwargs) if answer else NotImplemented
            if found is not NotImplemented:
                return found
            name = packet.__name__
            self.run.noise.add(f"Tensor.{name}" if name.endswith("_") else f"torch.{name}")
        if self.wide:
            args, kwargs = widened(func, args, kwargs)
        if self.known:
            uniforms = [self.known[id(x)] for x in tree_leaves((args, kwargs)) if id(x) in self.known]
            if uniforms:
                return self.use(uniforms, packet, func, args, kwargs)
        return func(*args, **kwargs)

    # -- samplers ----------------------------------------------------------------------------------

    def bernoulli(self, func, like, p=None, *, generator=None, out=None):
        p = like if p is None else p
        p = numbers(p) if isinstance(p, torch.Tensor) else np.float64(p)
        found = tensor(self.run.script.bernoulli(np.broadcast_to(p, like.shape)), like)
        return found if out is None else out.copy_(found)

    def bernoulli_(self, func, x, p=0.5, *, generator=None):
        return x.copy_(self.bernoulli(func, x, p))

    def multinomial(self, func, weights, count, replacement=False, *, generator=None, out=None):
        found = []
        for row in numbers(weights).reshape(-1, weights.shape[-1]):
            row = row.copy()
            for _ in range(count):
                total = row.sum()
                found.append(self.run.script.choose(row / total if total > 0 else row))
                if not replacement:
                    row[found[-1]] = 0.0
        found = tensor(np.reshape(np.array(found, np.int64), (*weights.shape[:-1], count)), weights, torch.int64)
        return found if out is None else out.copy_(found)

    def binomial(self, func, count, p, generator=None):
        found = []
        for n, q in zip(numbers(count).flat, numbers(p).flat, strict=True):
            n = int(n)
            found.append(self.run.script.choose([math.comb(n, k) * q**k * (1 - q)**(n - k) for k in range(n + 1)]))
        return tensor(np.reshape(found, count.shape), count)

    def rand(self, func, *args, **kwargs):
        return self.uniforms(func(*args, **kwargs), 0.0, 1.0)

    def uniform_(self, func, x, low=0.0, high=1.0, *, generator=None):
        return self.uniforms(func(x, low, high, generator=generator), float(low), float(high))

    def uniforms(self, x, low, high):
        if not x.is_floating_point() or not high > low:
            return NotImplemented
        shift, scale = (torch.full(x.shape, v, dtype=torch.float64) for v in (low, high - low))
        draw = Draw(self.run.script, ((numbers(x) - low) / (high - low)).ravel())
        return self.know(draw, x, torch.arange(x.numel()).reshape(x.shape), shift, scale)

    # -- uniform numbers ---------------------------------------------------------------------------

    def know(self, draw, x, index, shift, scale, form="u"):
        self.known[id(x)] = Uniforms(draw, x, index, shift, scale, form)    # keeps x, so its id is not used again
        draw.known.append(self.known[id(x)])
        return x

    def use(self, uniforms, packet, func, args, kwargs):
        """The result of an operation on uniform numbers."""
        u = uniforms[0]
        if len(uniforms) == 1 and not isinstance(args[0], (list, tuple)):
            if packet in COMPARISONS and not kwargs:
                first = args[0] is u.tensor
                other = args[1] if first else args[0]
                found = u.below(double(other), COMPARISONS[packet] == first)
                return torch.from_numpy(found).to(u.tensor.device)
            if packet in VIEWS and kwargs.get("dtype") in (None, torch.float32, torch.float64):
                plain = {} if packet in (aten._to_copy, aten.clone) else kwargs
                parts = [x.clone() if packet in (aten._to_copy, aten.clone) else func(x, *args[1:], **plain)
                         for x in (u.index, u.shift, u.scale)]
                return self.know(u.draw, func(*args, **kwargs), *parts, u.form)
            if packet in LOGARITHMS and len(args) == 1 and (form := logarithm(packet, u)):
                zeros, ones = torch.zeros_like(u.shift), torch.ones_like(u.scale)
                return self.know(u.draw, func(*args, **kwargs), u.index, zeros, ones, form)
            if packet in AFFINE and set(kwargs) <= {"alpha"}:
                moved = affine(packet, u, args, **kwargs)
                if moved is not None and (moved[1] != 0).all():
                    x = func(*args, **kwargs)
                    return self.know(u.draw, x, *(part.broadcast_to(x.shape) for part in (u.index, *moved)), u.form)
        if len(uniforms) == 2 and packet is aten.sub and not kwargs and is_logit(*uniforms):
            return self.know(u.draw, func(*args), u.index, u.shift - uniforms[1].shift, u.scale, "logit u")
        for u in uniforms:
            u.draw.settle()
            u.draw.compared = True
        self.run.noise.add("torch.rand")
        return func(*args, **kwargs)


ANSWERS = {aten.bernoulli: Samplers.bernoulli, aten.bernoulli_: Samplers.bernoulli_,
           aten.multinomial: Samplers.multinomial, aten.binomial: Samplers.binomial, aten.rand: Samplers.rand,
           aten.rand_like: Samplers.rand, aten.uniform_: Samplers.uniform_}


def double(x):
    return x.detach().to("cpu", torch.float64) if isinstance(x, torch.Tensor) else torch.tensor(x, dtype=torch.float64)


def affine(packet, u, args, alpha=1):
    """Shift and scale of a sum, difference, product or quotient.  None if it is not an affine function of u."""
    if packet is aten.neg:
        return -u.shift, -u.scale
    first = args[0] is u.tensor
    other = double(args[1] if first else args[0])
    if packet is aten.mul:
        return u.shift * other, u.scale * other
    if packet is aten.div:
        return (u.shift / other, u.scale / other) if first and len(args) == 2 else None
    mine, its = (1, alpha) if first else (alpha, 1)     # first ± alpha · second
    if packet is aten.sub:
        mine, its = (mine, -its) if first else (-mine, its)
    elif packet is aten.rsub:                           # second − alpha · first
        alpha = args[2] if len(args) > 2 else alpha
        mine, its = (-alpha, 1) if first else (1, -alpha)
    return mine * u.shift + its * other, mine * u.scale


def logarithm(packet, u):
    """The form of the logarithm of u or 1 − u; None of anything else."""
    def like(shift, scale):
        return u.form == "u" and bool((u.shift == shift).all() and (u.scale == scale).all())
    if packet is aten.logit:
        return "logit u" if like(0, 1) else None
    if packet is aten.log and like(0, 1):
        return "log u"
    return "log(1 - u)" if like(*((1, -1) if packet is aten.log else (0, -1))) else None


def is_logit(first, second):
    """Whether a difference is scale · (log u − log(1 − u)), up to a shift."""
    return (first.form, second.form) == ("log u", "log(1 - u)") and first.draw is second.draw and torch.equal(
        first.index, second.index) and torch.equal(first.scale, second.scale)


def widened(func, args, kwargs):
    """The arguments of an operation.  If one of them is float64, those of float32 become float64 too."""
    if kwargs.get("dtype") is torch.float32:
        kwargs = {**kwargs, "dtype": torch.float64}
    dtypes = {x.dtype for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
    if torch.float32 in dtypes and torch.float64 in dtypes and not func._schema.is_mutable:
        args, kwargs = tree_map(lambda x: x.double() if isinstance(x, torch.Tensor) and x.dtype is torch.float32 else x,
                                (args, kwargs))
    return args, kwargs


class HardGumbel:
    """``torch.nn.functional.gumbel_softmax``, whose sample is a category if it is ``hard``.

    The category is chosen from the script.  Then the Gumbel noise is drawn given that the category has
    the largest sum of logit and noise: the largest one is a Gumbel number with the location
    log Σ exp(logits), and the others are truncated there (Maddison, Tarlow & Minka, A* Sampling, 2014).
    """

    def __init__(self, samplers):
        self.samplers = samplers
        self.plain = F.gumbel_softmax
        self.values = False     # whether only the value of the sample matters, and not its gradient

    def __call__(self, logits, tau=1, hard=False, eps=1e-10, dim=-1):
        if not hard or self.samplers.run is None:
            return self.plain(logits, tau, hard, eps, dim)
        with torch.no_grad():
            locations = logits.detach().movedim(dim, -1).double()
            rows = torch.softmax(locations, -1).reshape(-1, locations.shape[-1]).numpy()
            chosen = torch.tensor([self.samplers.run.script.choose(row) for row in rows], dtype=torch.int64)
            hot = F.one_hot(chosen, locations.shape[-1]).reshape(locations.shape)
            if self.values:
                return hot.to(logits.dtype).movedim(-1, dim)
            noise = torch.empty_like(locations).exponential_()
            top = (locations.logsumexp(-1) - torch.empty_like(locations[..., 0]).exponential_().log())[..., None]
            others = -torch.log(torch.exp(-top) + noise * torch.exp(-locations))
            gumbels = (torch.where(hot == 1, top, others) - locations).to(logits.dtype).movedim(-1, dim)
            hot = hot.to(logits.dtype).movedim(-1, dim)
        soft = ((logits + gumbels) / tau).softmax(dim)
        return hot - soft.detach() + soft
