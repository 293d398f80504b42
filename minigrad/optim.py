"""Optimisers: they change parameters in the direction that reduces the loss.

    optimiser = SGD(network, lr=0.1)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

A step first checks every gradient.  If one is missing or not finite, the step raises an error that names the
parameter, and nothing is changed.  On a GPU the check would make every step wait.  So a gradient on a GPU is checked
later, when a value such as the loss is next fetched.  The error then names the parameter and the step, but the
gradient has already been used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices
from minigrad.arguments import described, is_real
from minigrad.kernels.adam import adam_rows, adam_step
from minigrad.kernels.device.deferred import require
from minigrad.kernels.interrupts import uninterrupted
from minigrad.kernels.momentum import momentum_rows, momentum_step
from minigrad.nn import Module, like, named
from minigrad.ops.packed import Factored, is_finite
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.aliases import Array, Parameters, Rate, State

__all__ = ["SGD", "Adam", "AdamW"]


class Optimiser:
    """The base class of optimisers.  A subclass defines ``update``, which changes one parameter.

    Parameters
    ----------
    parameters : a Module, or a list of Tensors and modules, or a list of groups.  A group is a dict with
        "parameters" (a Module or a list), and an "lr" if it has a learning rate of its own.
    lr : learning rate: a number, or a function from the number of steps done to a number.  Groups without an
        "lr" need it.
    max_norm : largest Euclidean norm of the weights of one unit, which are a row of a weight of shape
        (units, inputs).  After each step, rows with a larger norm are scaled down to it.  None: no limit.

    Attributes
    ----------
    parameters : dict from name to Tensor.
    rates : dict from name to learning rate.
    steps : the number of steps done.
    memories : a dict from the name of each parameter to a dict of arrays, such as its moving averages.

    Raises
    ------
    ValueError
        There are no parameters, one is given twice, or a learning rate or norm is not positive.
    """

    memory: tuple[str, ...] = ()    # the names of these arrays; each has the shape of the parameter

    def __init__(self, parameters: Parameters, lr: Rate | None = None, max_norm: float | None = None) -> None:
        if max_norm is not None and not (is_real(max_norm) and max_norm > 0):
            raise ValueError(f"{type(self).__name__}: expected max_norm > 0 or None, got {max_norm}")
        self.max_norm = max_norm
        self.steps = 0
        self.parameters: dict[str, Tensor] = {}
        self.rates: dict[str, Any] = {}
        parameters = listed(parameters)
        grouped = isinstance(parameters, (list, tuple)) and any(isinstance(x, dict) for x in parameters)
        for i, group in enumerate(parameters if grouped else [{"parameters": parameters}]):
            group = {**group, "parameters": listed(group["parameters"])}
            rate: Any = group.get("lr", lr)
            if not callable(rate) and (not is_real(rate) or not 0 < rate < math.inf):
                raise ValueError(f"{type(self).__name__}: expected a learning rate above 0, got lr={rate}")
            self.check_listed(group["parameters"])
            for name, x in named(group["parameters"], Tensor).items():
                name = f"group {i}: {name}" if grouped else name
                self.parameters[name] = x
                self.rates[name] = rate
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: expected parameters, found no Tensor that requires "
                             "a gradient. Make one with requires_grad=True")
        if len(set(self.parameters.values())) < len(self.parameters):
            raise ValueError(f"{type(self).__name__}: expected each parameter in one group, found one in two")
        self.memories = {name: {key: np.zeros_like(x.data) for key in self.memory}
                         for name, x in self.parameters.items()}

    def check_listed(self, parameters: Parameters) -> None:
        """Refuse a list that has an item twice, or an item that cannot be trained."""
        if isinstance(parameters, (list, tuple)):
            for x in parameters:
                if not isinstance(x, Module) and not (
                        isinstance(x, Tensor) and x.requires_grad and x.primitive is None):
                    raise ValueError(f"{type(self).__name__}: expected modules and leaves that require a gradient, "
                                     f"found {x!r}. "
                                     "Make a leaf with requires_grad=True")
            if len({id(x) for x in parameters}) < len(parameters):
                raise ValueError(f"{type(self).__name__}: expected each parameter once, found one twice")

    def __repr__(self) -> str:
        """The class, rates and other settings, and how many parameters and numbers are trained."""
        rates = dict.fromkeys(rate if isinstance(rate, (int, float)) else getattr(rate, "__name__", repr(rate))
                              for rate in self.rates.values())
        settings = {"lr": ", ".join(map(str, rates)), **{
            name: value for name, value in vars(self).items()
            if isinstance(value, (int, float, tuple)) and value is not False and name != "memory"}}
        count = len(self.parameters)
        return (f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in settings.items())}; "
                f"{count} parameter{'s' * (count != 1)}, {sum(x.size for x in self.parameters.values())} numbers)")

    @uninterrupted
    def zero_grad(self) -> None:
        """Set all gradients to None.  Without this, ``backward`` adds to the gradients of the last step."""
        for x in self.parameters.values():
            x.grad = None

    @uninterrupted
    def step(self) -> None:
        """Change every parameter by one step.

        Raises
        ------
        ValueError
            A gradient is missing or not finite, or a learning rate is negative or not finite.  The message names
            it.  Nothing has been changed.
        KeyboardInterrupt
            After Ctrl-C, when the step is done.  So what you save then is the state between two steps.
        """
        faults = []
        for name, x in self.parameters.items():
            if x.gradient is None:
                faults.append(f"{name} has none (does the loss depend on it, and was backward called?)")
            elif x.device == "cpu" and not is_finite(x.gradient):
                faults.append(f"{name} has NaN or infinity (try a smaller learning rate)")
            for key, value in self.memories[name].items():
                if devices.of(value) != x.device:
                    faults.append(f"{name} is on {x.device!r} and its {key} on {devices.of(value)!r} (make the "
                                  "optimiser after Module.to)")
        if faults:
            raise ValueError(f"{type(self).__name__}.step: expected a finite gradient for every parameter, "
                             f"but {'; '.join(faults)}. Nothing was changed")
        current: dict[str, Any] = {name: rate(self.steps) if callable(rate) else rate
                                   for name, rate in self.rates.items()}
        rates = {name: float(rate) for name, rate in current.items()}
        if not all(np.isfinite(rate) and rate >= 0 for rate in rates.values()):
            raise ValueError(f"{type(self).__name__}.step: expected finite learning rates of at least 0, got "
                             f"{sorted(set(rates.values()))} at step {self.steps}. Nothing was changed")
        for name, x in self.parameters.items():
            if x.device != "cpu":
                self.require_finite(name, x)
            self.update(x, rates[name], **self.memories[name])
            if self.max_norm is not None and x.ndim > 1:
                x.data *= shrinkage(x.data, self.max_norm)
        self.steps += 1

    def update(self, x: Tensor, lr: float, **memory: Array) -> None:
        """Change the parameter x by one step with learning rate ``lr``.  Also changes its ``memory`` in place."""
        raise TypeError(f"{type(self).__name__}: expected a method update(self, x, lr, **memory); an optimiser must "
                        "define one")

    def require_finite(self, name: str, x: Tensor) -> None:
        """Check a gradient on a GPU when the next value is fetched."""
        kind, step = type(self).__name__, self.steps
        require(is_finite(x.gradient), lambda: ValueError(
            f"{kind}.step: expected a finite gradient for every parameter, but {name} had NaN or infinity at step "
            f"{step} (try a smaller learning rate). It was used: go back to an earlier checkpoint"))

    def state_dict(self) -> State:
        """The number of steps, and a copy of the arrays that are kept for each parameter.

        The parameters and the memories of rules belong to their module.  ``Module.state_dict`` returns them.
        """
        memories = {name: {key: np.array(devices.put(value, "cpu")) for key, value in memory.items()}
                    for name, memory in self.memories.items()}
        return {"steps": self.steps, "memories": memories}

    @uninterrupted
    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned.  The steps that follow are then the same bit for bit.

        Raises
        ------
        ValueError
            The state belongs to other parameters or to another kind of optimiser.  Nothing has been changed.
        """
        if not isinstance(state, dict) or state.keys() != {"steps", "memories"}:
            raise ValueError(f"{type(self).__name__}: expected a state with memories and steps, got "
                             f"{sorted(state) if isinstance(state, dict) else described(state)}. Pass what "
                             "state_dict() returned")
        expected, arrived = forms(self.memories), forms(state["memories"])
        if arrived != expected:
            faults = sorted(name for name in expected.keys() | arrived.keys()
                            if expected.get(name) != arrived.get(name))
            raise ValueError(f"{type(self).__name__}: expected the state of an optimiser with these parameters, but "
                             f"these entries are missing, unexpected, or of another shape or dtype: "
                             f"{', '.join(faults)}. Make the optimiser with the arguments that it was saved with")
        self.steps = int(state["steps"])
        for name, memory in self.memories.items():
            for key, value in memory.items():
                memory[key] = like(value, state["memories"][name][key])


class SGD(Optimiser):
    """Stochastic gradient descent, with optional momentum.

        v ← momentum · v − lr · gradient,    x ← x + v
                                             x ← x + momentum · v − lr · gradient       with nesterov

    Parameters
    ----------
    momentum : in [0, 1).  With 0 no velocity v is kept.
    nesterov : whether to use Nesterov's momentum; needs a momentum above 0.
    lazy : whether rows without a gradient are skipped, as in ``Adam``: their velocity does not decay, and does not
        move them.  Without momentum, such rows never change.
    parameters, lr, max_norm : as for every ``Optimiser``.

    Raises
    ------
    ValueError
        ``momentum`` is outside [0, 1), or it is 0 with ``nesterov``.

    Source: Polyak (1964) and Nesterov (1983), as written in Sutskever et al. (2013), Eq 1 and 3, with x the point at
    which the gradient is taken.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimiser = mg.optim.SGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimiser.step()
    >>> x.numpy()
    array([ 0.5, -1. ])
    """

    def __init__(self, parameters: Parameters, lr: Rate | None = None, momentum: float = 0.0,
                 max_norm: float | None = None, nesterov: bool = False, lazy: bool = False) -> None:
        if not is_real(momentum) or not 0 <= momentum < 1:
            raise ValueError(f"SGD: expected a momentum in [0, 1), got {momentum}")
        if nesterov and not momentum:
            raise ValueError("SGD: expected a momentum above 0 with nesterov=True, got 0. Pass momentum=0.9, say")
        self.momentum, self.nesterov, self.lazy = momentum, nesterov, yes_or_no("SGD", lazy)
        self.memory = ("velocity",) if momentum else ()
        super().__init__(parameters, lr, max_norm)

    def update(self, x: Tensor, lr: float, velocity: Array | None = None) -> None:
        if velocity is None and isinstance(x.gradient, Factored):
            x.gradient.descend(x.value, lr)
            x.data = x.value        # assigning to .data counts as a change of x
            return
        if velocity is None:
            gradient: Any = x.grad
            x.data -= lr * gradient
        elif self.lazy:
            gradient, rows, turned = touched(x)
            momentum_rows(turned(x.value), gradient, turned(velocity), lr, self.momentum, self.nesterov, rows=rows)
            x.data = x.value
        else:
            momentum_step(x.value, x.grad, velocity, lr, self.momentum, self.nesterov)
            x.data = x.value


class Adam(Optimiser):
    """Adam: steps against a moving average of the gradients, divided by a moving average of their size.

        m ← β₁ m + (1 − β₁) g,    v ← β₂ v + (1 − β₂) g²
        x ← x − lr · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)        at step t = 1, 2, …

    Parameters
    ----------
    betas : (β₁, β₂), each in [0, 1).
    epsilon : ε, above 0.
    lazy : whether rows without a gradient are skipped (see below).
    parameters, lr, max_norm : as for every ``Optimiser``.

    Raises
    ------
    ValueError
        A beta is outside [0, 1), or ``epsilon`` is not above 0.
    TypeError
        ``lazy`` is not a bool.

    **Lazy steps.**  A step changes only the rows of a parameter whose gradient is not 0 throughout, and only their
    moving averages m and v.  A row has the weights of one unit of a layer, or the numbers of one word of a table.  In a
    weight in Fortran order, such as that of ``Linear(gated_inputs=True)``, the columns are the rows: they have the
    weights that leave one unit.  In a bias each entry is a row.  So a step takes time in proportion to the words that
    occur and to the blocks that are open in some example.  The steps are other steps than those of Adam: m and v of
    rows that are skipped do not decay, and these rows do not move by their m.  If every row has a gradient, the steps
    are the same bit for bit.  ``SparseAdam`` of PyTorch does this for tables.

    Source: Kingma & Ba (2015), Algorithm 1.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimiser = mg.optim.Adam([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimiser.step()
    >>> x.numpy().round(6)
    array([ 0.75, -1.75])
    """

    memory = ("mean", "square")

    def __init__(self, parameters: Parameters, lr: Rate = 0.001, betas: tuple[float, float] = (0.9, 0.999),
                 epsilon: float = 1e-8, max_norm: float | None = None, lazy: bool = False) -> None:
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2
                and all(is_real(beta) and 0 <= beta < 1 for beta in betas)):
            raise ValueError(f"Adam: expected betas in [0, 1), got {betas}")
        if not is_real(epsilon) or not epsilon > 0:
            raise ValueError(f"Adam: expected epsilon > 0, got {epsilon}")
        self.betas, self.epsilon, self.lazy = betas, epsilon, yes_or_no("Adam", lazy)
        super().__init__(parameters, lr, max_norm)

    def update(self, x: Tensor, lr: float, mean: Array, square: Array) -> None:
        (beta1, beta2), t = self.betas, self.steps + 1
        numbers = lr / (1 - beta1**t), self.betas, (1 - beta2**t) ** 0.5, self.epsilon
        if self.lazy:
            gradient, rows, turned = touched(x)
            adam_rows(turned(x.value), gradient, turned(mean), turned(square), *numbers, rows=rows)
        else:
            adam_step(x.value, x.grad, mean, square, *numbers)
        x.data = x.value            # assigning to .data counts as a change of x


class AdamW(Adam):
    """Adam with decoupled weight decay: the decay is not divided by the size of the gradients.

        x ← x − lr · weight_decay · x,    then the step of Adam

    Parameters
    ----------
    weight_decay : at least 0.  It applies to all parameters.
    parameters, lr, betas, epsilon, max_norm : as for ``Adam``.

    Raises
    ------
    ValueError
        ``weight_decay`` is negative or not finite.

    Source: Loshchilov & Hutter (2019), Algorithm 2.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimiser = mg.optim.AdamW([x], lr=0.25, weight_decay=0.5)
    >>> (x * x).sum().backward()
    >>> optimiser.step()
    >>> x.numpy().round(6)
    array([ 0.625, -1.5  ])
    """

    def __init__(self, parameters: Parameters, lr: Rate = 0.001, betas: tuple[float, float] = (0.9, 0.999),
                 epsilon: float = 1e-8, weight_decay: float = 0.01, max_norm: float | None = None) -> None:
        if not is_real(weight_decay) or not 0 <= weight_decay < math.inf:
            raise ValueError(f"AdamW: expected a weight_decay of at least 0, got {described(weight_decay)}")
        self.weight_decay = weight_decay
        super().__init__(parameters, lr, betas, epsilon, max_norm)

    def update(self, x: Tensor, lr: float, mean: Array, square: Array) -> None:
        x.data *= 1 - lr * self.weight_decay
        super().update(x, lr, mean, square)


def touched(x: Tensor) -> tuple[Any, Any, Any]:
    """The gradient of x by rows, for lazy steps.

    Returns
    -------
    gradient : array.  Rows that are known to be 0 may be left out.
    rows : the numbers of its rows in x, or None for all rows.
    turned : a function that transposes an array of the shape of x, if the units of x are in columns.
    """
    columns = x.ndim > 1 and x.value.flags.f_contiguous and not x.value.flags.c_contiguous
    turned: Any = np.transpose if columns else unchanged
    if isinstance(x.gradient, Factored) and x.device == "cpu" and x.gradient.axis == columns:
        rows, gradient = x.gradient.rows()
        return gradient, rows, turned
    return turned(x.grad), None, turned


def unchanged(array: Array) -> Array:
    return array


def yes_or_no(kind: str, lazy: bool) -> bool:
    """``lazy``, or a TypeError if it is not a bool."""
    if not isinstance(lazy, bool):
        raise TypeError(f"{kind}: expected lazy=True or lazy=False, got {described(lazy)}")
    return lazy


def listed(parameters: Parameters) -> Parameters:
    """The items of an iterator as a list; anything else as it is."""
    return list(parameters) if isinstance(parameters, Iterator) else parameters


def shrinkage(weight: Array, max_norm: float) -> Array:
    """The factor, at most 1, that scales the weights of each unit (a row) down to the norm ``max_norm``."""
    rows = weight.reshape(len(weight), math.prod(weight.shape[1:]))
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    factor = max_norm / np.maximum(norms, max_norm)
    return factor.reshape(-1, *[1] * (weight.ndim - 1))


def forms(memories: dict[str, dict[str, Array]]) -> dict[str, Any]:
    """Shape and dtype of every array in the memories, by name."""
    return {f"{name} {key}": (value.shape, value.dtype)
            for name, memory in memories.items() for key, value in memory.items()}
