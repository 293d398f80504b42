"""The rules of minigrad inside a graph of PyTorch.

    bits = minigrad.torch.bernoulli(logits, minigrad.estimators.ReinMax())

A rule that needs ``grad`` gets the gradient that arrives at the sample in PyTorch's backward pass.  A rule that
needs ``cost`` gets the costs that were averaged with ``expected``:

    loss = minigrad.torch.expected(costs)

Rules that need more would have to run the program again, and are refused.  Whether the gradients of a model are right
can be seen with ``minigrad.testing.programs.pytorch``, which enumerates these samples like PyTorch's own.

This module is imported by ``import minigrad.torch``, and needs PyTorch (the extra ``torch``).
"""

if __name__ == "torch":
    raise ImportError("this file is minigrad.torch, but Python was started in its folder, where it hides PyTorch; "
                      "start Python in another folder")

from typing import Any

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError("minigrad.torch needs PyTorch: in a checkout, pip install -e .[torch]") from error
from torch.autograd.function import once_differentiable

from minigrad import objective, random, stochastic
from minigrad.arguments import described
from minigrad.functional import grad
from minigrad.rule import checked_rule, gates_of
from minigrad.tensor import tensor

__all__ = ["bernoulli", "expected"]

ALLOWED = frozenset({"grad", "cost"})


def bernoulli(logits, estimator, *, event_ndim=1, context=None, generator=None):
    """Binary samples of PyTorch, b = 1[u < σ(logits)], with a rule of minigrad for their gradient.

    Parameters
    ----------
    logits : torch.Tensor on the CPU, float32 or float64.  Its last ``event_ndim`` axes are the units of one
        sample; the axes before them are independent samples, the batch first.
    estimator : the rule, an ``Estimator`` that needs nothing but ``grad`` and ``cost``.
    event_ndim, context : as for ``minigrad.bernoulli``; the context is a torch.Tensor.
    generator : torch.Generator; by default PyTorch's own.

    Returns
    -------
    torch.Tensor of the logits' shape and dtype.

    Raises
    ------
    TypeError
        Logits that are no floating tensor on the CPU, or no rule.
    ValueError
        A rule that needs more; logits that are not finite.  At backward: a rule that needs ``cost``, without costs that
        were averaged with ``expected``.

    >>> import torch, minigrad as mg, minigrad.torch
    >>> logits = torch.tensor([[-80.0, 0.0, 80.0]], requires_grad=True)
    >>> bits = minigrad.torch.bernoulli(logits, mg.estimators.StraightThrough())
    >>> (bits * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    >>> logits.grad
    tensor([[1., 2., 3.]])
    """
    checked_rule(estimator, "minigrad.torch.bernoulli")
    if not set(estimator.needs) <= ALLOWED:
        more = ", ".join(sorted(set(estimator.needs) - ALLOWED))
        raise ValueError(f"minigrad.torch.bernoulli: expected a rule that needs grad or cost alone, got {estimator!r}, "
                         f"which needs {more}. That would take another run of the program; use minigrad's own tensors")
    if (not isinstance(logits, torch.Tensor) or logits.dtype not in (torch.float32, torch.float64)
            or logits.device.type != "cpu"):
        raise TypeError("minigrad.torch.bernoulli: expected logits that are a torch.Tensor of float32 or float64 on "
                        f"the CPU, got {described(logits)}. Use logits.float().cpu()")
    return Sample.apply(logits, Draw(logits.detach(), estimator, event_ndim, context, generator))


def expected(costs, samples=()):
    """The mean of costs, one for each sample, and the statement that ``costs[i]`` depends on row i of every node alone.

    Parameters
    ----------
    costs : torch.Tensor whose axes are the samples', or the first of them: the logits' without the units.
    samples : what ``bernoulli`` returned, one or a list of them, where the costs were computed from them in a way that
        PyTorch does not differentiate.  Otherwise they are found in the graph.

    Returns
    -------
    torch.Tensor, a scalar.

    Raises
    ------
    ValueError
        Costs that depend on no sample, as far as PyTorch knows.

    >>> import torch, minigrad as mg, minigrad.torch
    >>> logits = torch.tensor([[80.0], [80.0]], dtype=torch.float64, requires_grad=True)
    >>> bits = minigrad.torch.bernoulli(logits, mg.estimators.Correlation())      # cost · sample
    >>> minigrad.torch.expected((bits[:, 0] + 2) ** 2).backward()
    >>> logits.grad
    tensor([[4.5000],
            [4.5000]], dtype=torch.float64)
    """
    if not isinstance(costs, torch.Tensor) or not costs.is_floating_point() or not costs.numel():
        raise TypeError(f"minigrad.torch.expected: expected a floating torch.Tensor of costs, got {described(costs)}")
    samples = [samples] if isinstance(samples, torch.Tensor) else list(samples)
    draws = found_above(costs, *samples)
    if not draws and torch.is_grad_enabled():
        raise ValueError("minigrad.torch.expected: expected costs that depend on a sample of minigrad.torch.bernoulli, "
                         "got none in their graph. If they are computed without derivatives, pass samples=")
    for draw in draws:
        lead = draw.logits.shape[:draw.logits.ndim - draw.event_ndim]
        if costs.shape != lead[:costs.ndim]:
            raise ValueError("minigrad.torch.expected: expected one cost for each sample, of shape "
                             f"{tuple(lead)} or the first axes of that, got {tuple(costs.shape)}. Average over "
                             "other axes first")
    return Mean.apply(costs, draws, *samples)


class Noise(np.ndarray):
    """Uniform numbers of PyTorch.  Whoever computes with them does so in PyTorch's eyes, too."""

    bits: Any

    def __array_finalize__(self, other):
        self.source = getattr(other, "source", None)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return getattr(ufunc, method)(*map(seen, inputs), **options)

    def __array_function__(self, function, types, args, kwargs):
        return function(*map(seen, args), **kwargs)


@gates_of.register
def bits_of(u: Noise, logits):
    """The bits that PyTorch has drawn with these numbers."""
    return u.bits.astype(logits.dtype)


def seen(x):
    if not isinstance(x, Noise):
        return x
    if x.source is not None:
        torch.sin(x.source)     # a use that a check of the program sees
    return x.view(np.ndarray)


class FromTorch(random.Generator):
    """A Generator of one draw, whose numbers are PyTorch's."""

    def __init__(self, u, bits):
        super().__init__(0)
        self.noise = u.numpy().view(Noise)
        self.noise.source, self.noise.bits = u, bits.numpy()
        self.start = None       # seed of the noise of the rule's own, once it has asked for some

    def uniform(self, shape, dtype=np.float64, event_ndim=1, device=None):
        return self.noise

    def fork(self, *path):
        if self.start is None:
            self.start = int(torch.randint(2**62, ()))
        return random.Generator(self.start).fork(*path)


class Draw:
    """One draw: the node in a graph of minigrad, and the costs that it led to."""

    def __init__(self, logits, rule, event_ndim, context, generator):
        u = torch.rand(logits.shape, dtype=torch.float64, generator=generator)
        bits = u < torch.sigmoid(logits.double())
        self.event_ndim, self.terms = event_ndim, {}
        self.logits = tensor(logits.numpy().copy(), requires_grad=True)
        self.node = stochastic.bernoulli(self.logits, rule, rng=FromTorch(u, bits), event_ndim=event_ndim,
                                         context=None if context is None else context.detach().numpy())

    def estimate(self, g):
        """The rule's estimate for a gradient at the sample, as an array.

        The costs enter as a function of the sample that has these values and this gradient.
        """
        rule, terms = self.node.primitive.rule, list(self.terms.values())
        if "cost" in rule.needs and not terms:
            raise ValueError(f"{rule!r}: expected costs for a rule that needs them, got a loss without them. Average "
                             "the costs with minigrad.torch.expected(costs)")
        lead = self.logits.ndim - self.event_ndim
        shape = terms[0].shape if terms else self.logits.shape[:lead]
        if any(term.shape != shape for term in terms):
            raise ValueError(f"{rule!r}: expected costs of one shape, got {', '.join(str(t.shape) for t in terms)}. "
                             "Average them over other axes first")
        moved = (self.node - self.node.data) * (g * max(int(np.prod(shape)), 1))
        costs = moved.reshape(*shape, -1).sum(axis=-1)
        for term in terms:
            costs = costs + term.astype(costs.dtype)
        found = grad(objective.expected(costs), [self.logits])[0]
        return np.asarray(getattr(found, "data", found))


class Sample(torch.autograd.Function):
    """The sample forward, the rule's estimate backward."""

    @staticmethod
    def forward(ctx, logits, draw):
        ctx.draw = draw
        return torch.from_numpy(np.array(draw.node.data, copy=True))

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        try:
            return torch.from_numpy(ctx.draw.estimate(g.numpy())), None
        finally:
            ctx.draw.terms.clear()


class Mean(torch.autograd.Function):
    """The mean of costs; backward, it tells the draws what they led to, with the weight of the mean in the loss."""

    @staticmethod
    def forward(ctx, costs, draws, *samples):
        ctx.draws, ctx.costs = draws, costs.detach()
        ctx.samples = [(s.shape, s.dtype) for s in samples]
        return costs.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        for draw in ctx.draws:
            draw.terms[id(ctx)] = (g * ctx.costs).numpy()
        costs = (g / ctx.costs.numel()).expand(ctx.costs.shape)
        return costs, None, *(torch.zeros(shape, dtype=dtype) for shape, dtype in ctx.samples)


def found_above(*tensors):
    """The draws in the graphs of tensors."""
    found, seen_nodes, left = [], set(), [x.grad_fn for x in tensors]
    while left:
        node = left.pop()
        if node is None or node in seen_nodes:
            continue
        seen_nodes.add(node)
        if isinstance(getattr(node, "draw", None), Draw):
            found.append(node.draw)
        left.extend(function for function, _ in node.next_functions)
    return found
