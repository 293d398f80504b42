"""Check an estimator that is written in PyTorch.

    from minigrad.testing.programs import pytorch

    def test_estimator():
        pytorch.assert_unbiased(cost, model.parameters(), surrogate)

The check enumerates: ``torch.bernoulli`` in all its forms, ``Tensor.bernoulli_``, ``torch.multinomial``,
``torch.binomial``, ``torch.distributions`` made of these (Bernoulli, Binomial, Categorical,
OneHotCategorical), dropout, ``torch.rand(...) < p`` in all its forms, and ``gumbel_softmax(hard=True)``.
Other noise is drawn from fixed seeds, and the report says "sampled".
"""

import sys
from contextlib import ExitStack

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError("minigrad.testing.programs.pytorch needs PyTorch: python -m pip install torch") from error
import torch.nn.functional as F

from minigrad.arguments import described, function
from minigrad.kernels.interrupts import uninterrupted
from minigrad.testing.programs.checking import Program, check
from minigrad.testing.programs.report import coordinates
from minigrad.testing.programs.script import number
from minigrad.testing.programs.session import Session
from minigrad.testing.programs.torch_samplers import HardGumbel, Samplers
from minigrad.testing.statistics import ROUNDING

__all__ = ["assert_unbiased", "check_estimator"]

CALLER = "check_estimator"


class Leaves(Session):
    """Leaf tensors whose values change, and the modes in which a program runs."""

    def __init__(self, leaves, samplers, gumbel):
        self.leaves, self.samplers, self.gumbel = leaves, samplers, gumbel
        self.before = [(p.data, p.grad) for p in leaves]
        self.dtype, self.grad_enabled = torch.get_default_dtype(), torch.is_grad_enabled()
        self.state, self.threads = torch.get_rng_state(), torch.get_num_threads()
        self.gumbel_softmax = F.gumbel_softmax
        self.open = ExitStack()

    @uninterrupted
    def start(self):
        torch.set_grad_enabled(True)
        torch.set_num_threads(1)        # for small programs, one thread is faster than several
        if "torch._dynamo" in sys.modules:      # something may have been compiled
            self.open.enter_context(torch.compiler.set_stance("force_eager"))
        F.gumbel_softmax = self.gumbel
        self.open.enter_context(self.samplers)

    def restore(self):
        self.open.close()
        F.gumbel_softmax = self.gumbel_softmax
        torch.set_default_dtype(self.dtype)
        torch.set_grad_enabled(self.grad_enabled)
        torch.set_rng_state(self.state)
        torch.set_num_threads(self.threads)
        for p, (data, grad) in zip(self.leaves, self.before, strict=True):
            p.grad = None
            p.data = data
            p.grad = grad


class TorchProgram(Program):
    """Functions without arguments, and the leaf tensors that they use."""

    def __init__(self, cost, params, surrogate, estimate):
        self.compute_cost = function(CALLER, "cost as a function without arguments", cost,
                                     "Put the lines that compute one run's cost into def cost()")
        for name, given in (("surrogate", surrogate), ("estimate", estimate)):
            if given is not None:
                function(CALLER, f"{name} as a function without arguments", given, f"Use def {name}()")
        if surrogate is not None and estimate is not None:
            raise TypeError(f"{CALLER}: expected surrogate or estimate, got both. Pass the one to be checked")
        self.compute_surrogate, self.compute_estimate = surrogate or cost, estimate
        self.what = "surrogate()" if surrogate is not None else "cost()"
        if isinstance(params, torch.nn.Module):
            params = dict(params.named_parameters())
        elif not isinstance(params, (dict, torch.Tensor)):
            try:
                params = list(params)
            except TypeError:
                params = [params]
        given = list(params.values()) if isinstance(params, dict) else params if isinstance(params, list) else [params]
        for p in given:
            if (not isinstance(p, torch.Tensor) or not p.is_leaf or not p.requires_grad or p.device.type != "cpu"
                    or p.dtype not in (torch.float32, torch.float64)):
                raise TypeError(f"{CALLER}: expected params to be leaf tensors on the CPU, of float32 or float64, with "
                                f"requires_grad=True: one, or a list or dict of them; got {described_tensor(p)}. Use "
                                "model.parameters(), or torch.tensor(x, requires_grad=True)")
        self.leaves = given
        self.dtypes = [p.dtype for p in given]
        self.double = all(dtype is torch.float64 for dtype in self.dtypes)
        self.samplers = Samplers()
        self.gumbel = HardGumbel(self.samplers)
        arrays = [p.detach().double().numpy() for p in given]
        self.coordinates = coordinates(params, arrays, ROUNDING["float64" if self.double else "float32"])
        self.default = torch.get_default_dtype()
        self.wide = False

    def session(self):
        return Leaves(self.leaves, self.samplers, self.gumbel)

    def write(self, flat, wide):
        self.wide = wide and not self.double
        torch.set_default_dtype(torch.float64 if self.wide else self.default)
        self.written = []
        for p, part, dtype in zip(self.leaves, self.coordinates.split(flat), self.dtypes, strict=True):
            p.grad = None
            p.data = torch.from_numpy(part.copy()).to(torch.float64 if wide else dtype)
            self.written.append(p.data.clone())

    def unmoved(self):
        return all(torch.equal(p.data, written) for p, written in zip(self.leaves, self.written, strict=True))

    def within(self, run, values, work):
        """The result of ``work()``.  Its samples come from the script of a run."""
        for p in self.leaves:
            p.grad = None
        self.gumbel.values = values
        self.samplers.begin(run, self.wide)
        try:
            found = work()
            self.samplers.end()
        finally:
            self.samplers.run = None
        return found

    def cost(self, run):
        return scalar("cost()", self.within(run, True, self.compute_cost))

    def estimate(self, run):
        return self.within(run, False, self.from_function if self.compute_estimate else self.from_surrogate)

    def from_surrogate(self):
        found = self.compute_surrogate()
        scalar(self.what, found)
        if any(p.grad is not None for p in self.leaves):
            raise ValueError(f"expected {self.what} not to change p.grad, got a gradient before backward() was "
                             "called. Return the scalar without calling backward(), or pass estimate=, which returns "
                             "the list of gradients")
        if isinstance(found, torch.Tensor) and found.requires_grad:
            found.backward(inputs=self.leaves)
        return np.concatenate([np.zeros(p.numel()) if p.grad is None else
                               p.grad.detach().to_dense().double().numpy().ravel() for p in self.leaves])

    def from_function(self):
        found = self.compute_estimate()
        if isinstance(found, dict):
            found = list(found.values())
        elif not isinstance(found, (list, tuple)):
            found = [found]
        found = [np.zeros(p.shape) if g is None else g for p, g in zip(self.leaves, found, strict=False)] + [
            *found[len(self.leaves):]]
        found = [g.detach().double().numpy() if isinstance(g, torch.Tensor) else np.asarray(g, float) for g in found]
        shapes, expected = [g.shape for g in found], [tuple(p.shape) for p in self.leaves]
        if shapes != expected:
            raise ValueError(f"expected estimate() to return an array for each of params, of shapes {expected}, got "
                             f"{shapes}. Return a list in the order of params")
        return np.concatenate([g.ravel() for g in found])


def scalar(what, x):
    return number(what, x.detach().double().numpy() if isinstance(x, torch.Tensor) else x)


def described_tensor(p):
    if not isinstance(p, torch.Tensor):
        return described(p)
    kind = "a leaf" if p.is_leaf else "a result of other tensors"
    return f"{kind} of {p.dtype} on {p.device} with requires_grad={p.requires_grad}"


def check_estimator(cost, params, surrogate=None, *, estimate=None, samples=50_000, significance=1e-6, seed=None,
                    directions=None, step=None):
    """Compare the mean of an estimate with the gradient of the expected cost, over all outcomes.

    The functions run once for every outcome of their samples.  The gradient is a central difference of
    the expected cost, in float64.  Continuous noise is drawn from fixed seeds, and the report says so.

    Parameters
    ----------
    cost : function without arguments that samples, and returns the cost of one run, a scalar.
    params : leaf tensors on the CPU that the functions use: one, a list or a dict of them,
        ``model.parameters()`` or a module.  The check restores values and ``grad`` at the end, bit for bit.
    surrogate : function without arguments that samples, and returns a scalar.  Its ``backward()`` is the
        estimate.  By default it is ``cost``, as for straight-through and relaxations.
    estimate : in place of ``surrogate``, a function that returns the estimated gradient, a list of arrays
        or tensors in the order of ``params``.
    samples : the largest number of runs of the program.
    significance : probability of rejecting a right estimator if noise is sampled.
    seed : seed of the continuous noise and the directions; a new one by default.
    directions : compare this number of random directions, instead of all coordinates.  By default
        20 directions if there are more than 200 coordinates.
    step : step of the differences; by default 1e-3 (0.05 if the noise of the cost is sampled).

    Returns
    -------
    ProgramReport, an EstimatorReport, which prints as a table.

    Raises
    ------
    AssertionError
        A cost or an estimate is not finite.
    TypeError
        Parameters are not leaf tensors, or samples are drawn in a compiled or traced function.
    ValueError
        The check needs more runs than ``samples``.  The program returns different results for the same
        samples, or no scalar.  The cost does not depend on the parameters.  The expected cost has a kink.

    Notes
    -----
    If parameters are float32, the estimate is computed in float32.  The cost is computed in float64, and so is
    every number that is combined with a parameter.  Buffers of modules, such as running means, are not restored.

    >>> import torch
    >>> logits = torch.tensor([0.3, -0.5], dtype=torch.float64, requires_grad=True)
    >>> def sample():
    ...     bits = torch.distributions.Bernoulli(logits=logits)
    ...     b = bits.sample()
    ...     return (b.sum() - 0.4) ** 2, bits.log_prob(b).sum()
    >>> def cost():
    ...     return sample()[0]
    >>> def reinforce():
    ...     cost, log_prob = sample()
    ...     return cost.detach() * log_prob
    >>> report = check_estimator(cost, logits, reinforce)
    >>> report.unbiased, report.exact, report.runs
    (True, True, 4)
    """
    program = TorchProgram(cost, params, surrogate, estimate)
    return check(program, samples=samples, significance=significance, seed=seed, directions=directions, step=step)


def assert_unbiased(cost, params, surrogate=None, **options):
    """Raise unless the mean of an estimate is the gradient; the arguments are those of ``check_estimator``.

    >>> import torch
    >>> logits = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    >>> def sample():
    ...     bits = torch.distributions.Bernoulli(logits=logits)
    ...     b = bits.sample()
    ...     return 3 * b.sum(), bits.log_prob(b).sum()
    >>> def own_cost_in_the_baseline():
    ...     cost, log_prob = sample()
    ...     return (cost - 0.5 * cost) * log_prob
    >>> assert_unbiased(lambda: sample()[0], logits, own_cost_in_the_baseline)
    Traceback (most recent call last):
    AssertionError: biased at gradient[0] by -0.375, exactly: expected 0.75, got mean 0.375. 1 of 1 coordinates \
are biased; the mean is 0.5 times the gradient throughout
    """
    report = check_estimator(cost, params, surrogate, **options)
    if not report.unbiased:
        raise AssertionError(report.fault())
    return report
