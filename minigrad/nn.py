"""Layers: parameters with their initial values, and the functions that use them.

A ``Module`` is an object with Tensors, rules and other modules as attributes.  It has no training mode.  What
differs between training and test is an argument, such as the function that turns logits into gates.
"""

from __future__ import annotations

from collections.abc import Callable
from reprlib import recursive_repr
from textwrap import indent
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops, random
from minigrad.arguments import described, floating, is_real, is_whole
from minigrad.estimators.stop import Stop
from minigrad.kernels.device import arrays
from minigrad.kernels.device.deferred import require
from minigrad.kernels.interrupts import uninterrupted
from minigrad.rule import Estimator
from minigrad.stochastic import bernoulli
from minigrad.tensor import Tensor, tensor

if TYPE_CHECKING:
    from minigrad.aliases import Array, DTypeLike, State, TensorLike
    from minigrad.random import Generator

__all__ = [
    "ConditionalNetwork", "Dropout", "Embedding", "GatedLinear", "LayerNorm", "Linear", "Module", "Sequential",
]


class Module:
    """The base class of layers and networks.  Its parameters are the Tensors in its attributes that require a gradient.

    Rules (``Estimator`` instances) and other modules in its attributes belong to it too, also those in lists,
    tuples and dicts.  The name of each says where it is, as in ``"gater.0.weight"``.  An object in two places
    counts once, under the first name.

    >>> import minigrad as mg
    >>> class Perceptron(mg.nn.Module):
    ...     def __init__(self, rng):
    ...         self.layers = [mg.nn.Linear(2, 3, rng), mg.nn.Linear(3, 1, rng)]
    >>> for name, parameter in Perceptron(mg.Generator(1)).named_parameters().items():
    ...     print(name, parameter.shape)
    layers.0.weight (3, 2)
    layers.0.bias (3,)
    layers.1.weight (1, 3)
    layers.1.bias (1,)
    >>> Perceptron(mg.Generator(1))
    Perceptron(
        layers.0: Linear(weight (3, 2), bias (3,))
        layers.1: Linear(weight (1, 3), bias (1,))
    )
    """

    @recursive_repr()
    def __repr__(self) -> str:
        """The parts by name: shapes of Tensors, rules, numbers, and the modules inside, each on its own line."""
        own, modules = [], []
        for name, x in named(vars(self), (Module, Estimator, Tensor), every=True).items():
            if isinstance(x, Module):
                modules.append(indent(f"{name}: {x!r}", "    "))
            else:
                own.append(f"{name} {x.shape}" if isinstance(x, Tensor) else f"{name}={x!r}")
        own += [f"{name}={x!r}" for name, x in vars(self).items() if isinstance(x, (int, float, str))]
        if not modules:
            return f"{type(self).__name__}({', '.join(own)})"
        lines = [indent(", ".join(own), "    ")] * bool(own) + modules
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])

    def named_parameters(self) -> dict[str, Tensor]:
        """Dict from name to parameter, in the order in which they were set."""
        return named(self, Tensor)

    def parameters(self) -> list[Tensor]:
        """List of the parameters, each once."""
        return list(self.named_parameters().values())

    def named_rules(self) -> dict[str, Estimator]:
        """Dict from name to rule, in the order in which they were set."""
        return named(self, Estimator)

    def rules(self) -> list[Estimator]:
        """List of the rules, each once."""
        return list(self.named_rules().values())

    def to(self, device: str) -> Module:
        """Move everything to ``device``, "cpu" or "cuda": parameters, other leaves, the memories of rules.

        The Tensors stay the same objects.  Their gradients are dropped.  Make the optimiser afterwards, so that its
        arrays are on the same device.  Returns the module.
        """
        devices.usable(device)
        for x in named(self, Tensor, every=True).values():
            if x.primitive is None and x.device != device:
                value = devices.put(x.data, device)
                x.changed()
                x.value, x.gradient = value, None
        for rule in self.rules():
            rule.to(device)
        return self

    def state_dict(self) -> State:
        """A copy of all parameters (NumPy arrays) and of the rules' memories (dicts of arrays), by name."""
        state = {name: np.array(devices.put(x.data, "cpu")) for name, x in self.named_parameters().items()}
        return state | {name: rule.state_dict() for name, rule in self.named_rules().items()}

    @uninterrupted
    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned.

        Raises
        ------
        TypeError
            ``state`` is not a dict.
        ValueError
            Entries are missing, unexpected, or of another shape or dtype.  The message names all of them.  Nothing
            has been changed.
        """
        if not isinstance(state, dict):
            raise TypeError(f"load_state_dict: expected a dict, got {described(state)}. Pass what state_dict() "
                            "returned")
        parameters, rules = self.named_parameters(), self.named_rules()
        expected = parameters.keys() | rules.keys()
        faults = [f"{name} is missing" for name in sorted(expected - state.keys())]
        faults += [f"{name} is unexpected" for name in sorted(state.keys() - expected)]
        for name in sorted(state.keys() & parameters.keys()):
            x, value = parameters[name], np.asarray(state[name])
            if value.shape != x.shape or value.dtype != x.dtype:
                faults.append(f"{name} is {value.dtype} {value.shape}, not {x.dtype} {x.shape}")
        for name in sorted(state.keys() & rules.keys()):
            fault = rules[name].state_fault(state[name])
            faults += [f"{name}: {fault}"] if fault else []
        if faults:
            raise ValueError(f"load_state_dict: expected the entries of {type(self).__name__}, but "
                             f"{'; '.join(faults)}. Make the module with the arguments that it was saved with")
        for name, x in parameters.items():
            x.data = like(x.data, state[name])
        for name, rule in rules.items():
            rule.load_state_dict(state[name])


class Linear(Module):
    """x @ weight.T + bias.

    The weight starts uniform in ±gain·√(6 / (inputs + units)), the bias at 0.

    Parameters
    ----------
    inputs, units : numbers of features of x and of the result.
    rng : Generator from which the weight is drawn.
    gain : factor of the initial range.  Bengio, Léonard & Courville (2013) use 4 if a sigmoid follows.
    gated_inputs : whether x comes from a gated layer.  All weights by which one unit of x is multiplied are then
        next to each other in memory, so the weights of closed units are never read.  The values are the same.
    dtype : float32 or float64.
    device : "cpu" or "cuda"; the initial values are the same.

    Raises
    ------
    TypeError
        ``rng`` is not a Generator, a size is not an int, ``gain`` is not a number, or ``dtype`` is another.

    Source: Glorot & Bengio (2010), Eq 16.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(3, 2, mg.Generator(1))
    >>> layer(mg.tensor([[1.0, 2.0, 3.0]], dtype="float32")).shape
    (1, 2)
    """

    def __init__(self, inputs: int, units: int, rng: Generator, *, gain: float = 1.0, gated_inputs: bool = False,
                 dtype: DTypeLike = np.float32, device: str = "cpu") -> None:
        self.weight, self.bias = initial(inputs, units, rng, gain, dtype, "F" if gated_inputs else "C", device)

    def __call__(self, x: TensorLike) -> Tensor:
        """Returns (..., units).  x is (..., inputs): a Tensor, an array, or the packed units of a gated layer."""
        return ops.linear(x, self.weight, self.bias)


class GatedLinear(Module):
    """A linear layer whose units are in blocks.  Each block is multiplied by its gate, and skipped if the gate is 0.

    Parameters
    ----------
    inputs, units, rng, dtype, device : as for ``Linear``; the initial values are the same.
    block : units per gate.

    Raises
    ------
    ValueError
        ``block`` does not divide ``units``.

    >>> import minigrad as mg
    >>> layer = mg.nn.GatedLinear(3, 4, mg.Generator(1), block=2, dtype="float64")
    >>> x, gates = mg.tensor([[1.0, 2.0, 3.0]]), mg.tensor([[0.0, 1.0]])
    >>> layer(x, gates).numpy()[0, :2]
    array([0., 0.])
    """

    def __init__(self, inputs: int, units: int, rng: Generator, *, block: int = 1, dtype: DTypeLike = np.float32,
                 device: str = "cpu") -> None:
        if not is_whole(units) or not is_whole(block, 1) or units % block:
            raise ValueError(f"GatedLinear: expected a block that divides {described(units)} units, got "
                             f"{described(block)}. Both are ints")
        self.block = block
        self.weight, self.bias = initial(inputs, units, rng, 1.0, dtype, "C", device)

    def __call__(self, x: TensorLike, gates: TensorLike) -> Tensor:
        """Returns (batch, units).  x is (batch, inputs), and gates are (batch, units / block), binary or real."""
        return ops.gated_linear(x, self.weight, self.bias, gates, block=self.block)


class Embedding(Module):
    """A table of ``count`` rows, which are looked up by their index.

    The weight (count, features) starts with standard normal numbers.  The gradient of a row that is looked up several
    times is the sum over its uses.

    Parameters
    ----------
    count : number of rows.
    features : numbers in a row.
    rng : Generator from which the weight is drawn.
    dtype : float32 or float64.
    device : "cpu" or "cuda"; the initial values are the same.

    >>> import minigrad as mg
    >>> words = mg.nn.Embedding(10, 3, mg.Generator(1))
    >>> words(np.array([[1, 4, 4, 0], [9, 9, 9, 9]])).shape
    (2, 4, 3)
    """

    def __init__(self, count: int, features: int, rng: Generator, *, dtype: DTypeLike = np.float32,
                 device: str = "cpu") -> None:
        weight = devices.put(rng.normal((count, features), np.float64), "cpu")
        self.weight = tensor(weight.astype(dtype), requires_grad=True, device=device)

    def __call__(self, indices: TensorLike) -> Tensor:
        """The rows, (..., features), for integer ``indices`` (...) from 0 to count - 1, a Tensor or an array.

        Raises
        ------
        TypeError
            The indices are not an array of integers.
        ValueError
            An index is below 0 or above count - 1.
        """
        values: Any = getattr(indices, "value", indices)
        if not arrays.is_array(values) or values.dtype.kind not in "iu":
            raise TypeError("Embedding: expected indices as an array of integers, got "
                            f"{getattr(values, 'dtype', type(values).__name__)}. Use np.array(indices, dtype=int)")
        if values.size:
            count, low, high = len(self.weight), values.min(), values.max()
            require((low >= 0) & (high < count), lambda: ValueError(
                f"Embedding: expected indices from 0 to {count - 1}, got {low} to {high}. The table has {count} rows"))
        return ops.getitem(self.weight, indices)


class LayerNorm(Module):
    """(x - mean) / √(variance + epsilon) · weight + bias, with the mean and variance over the last axis.

    The weight starts at 1, the bias at 0.

    Parameters
    ----------
    features : length of the last axis of x.
    epsilon : added to the variance, above 0.
    dtype : float32 or float64.
    device : "cpu" or "cuda".

    Raises
    ------
    ValueError
        ``features`` is below 1, or ``epsilon`` is not above 0.

    Source: Ba, Kiros & Hinton (2016).

    >>> import minigrad as mg
    >>> mg.nn.LayerNorm(2)(mg.tensor([[1.0, 3.0]], dtype="float32")).numpy().round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5, dtype: DTypeLike = np.float32,
                 device: str = "cpu") -> None:
        if not is_whole(features, 1):
            raise ValueError(f"LayerNorm: expected features as an int of at least 1, got {described(features)}")
        if not is_real(epsilon) or not epsilon > 0:
            raise ValueError(f"LayerNorm: expected epsilon > 0, got {described(epsilon)}")
        dtype = floating("LayerNorm", dtype)
        self.epsilon = epsilon
        self.weight = tensor(np.ones(features, dtype), requires_grad=True, device=device)
        self.bias = tensor(np.zeros(features, dtype), requires_grad=True, device=device)

    def __call__(self, x: TensorLike) -> Tensor:
        """Returns the shape of x, which is (..., features), a Tensor or an array.

        Raises
        ------
        ValueError
            The last axis of x has another length.
        """
        if x.shape[-1:] != self.weight.shape:
            raise ValueError(f"LayerNorm: expected x (..., {self.weight.size}), got {x.shape}")
        if x.dtype.kind != "f":
            x = ops.astype(x, dtype=self.weight.dtype)
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return centred / ops.sqrt(variance + self.epsilon) * self.weight + self.bias


class Dropout(Module):
    """Each unit is kept with probability 1 - rate and divided by 1 - rate, or set to 0.

    A mask is drawn if you pass a generator.  There is no training mode to switch.

        dropout(x, rng)     training
        dropout(x)          test: returns x

    The mask is a binary node of the graph, like a sample of ``mg.bernoulli``, with constant logits.  So a rule that
    replays the graph sees the same mask, and ``mg.testing.exact_expectation`` takes the mean over all masks.

    Parameters
    ----------
    rate : probability that a unit is set to 0, in [0, 1).

    Raises
    ------
    ValueError
        ``rate`` is outside [0, 1).

    Source: Srivastava et al. (2014).

    >>> import minigrad as mg
    >>> dropout = mg.nn.Dropout(0.5)
    >>> dropout(mg.tensor([[1.0, 2.0, 3.0, 4.0]]), mg.Generator(2)).numpy()
    array([[2., 4., 0., 8.]])
    """

    def __init__(self, rate: float) -> None:
        if not is_real(rate) or not 0 <= rate < 1:
            raise ValueError(f"Dropout: expected a rate in [0, 1), got {described(rate)}")
        self.rate = rate

    def __call__(self, x: TensorLike, rng: Generator | None = None) -> TensorLike:
        """Returns the shape of x, which is floating.  The last axis of x has the units of one example.

        Packed units stay packed.

        Raises
        ------
        TypeError
            ``rng`` is given and x is not floating.
        """
        if rng is None or self.rate == 0:
            return x
        if x.dtype.kind != "f":
            raise TypeError(f"Dropout: expected floats, got dtype {x.dtype}. Use .astype(float)")
        keep = 1 - self.rate
        logits = devices.put(np.full(x.shape, np.log(keep / self.rate), x.dtype),
                             devices.of(getattr(x, "value", x)))
        return x * bernoulli(logits, Stop(), rng=rng, event_ndim=min(1, x.ndim), name="dropout") / keep


class Sequential(Module):
    """Layers that are called one after the other: modules, and functions of one Tensor.

    Parameters
    ----------
    layers : the modules and functions, in the order of calling.  Their parameters are named "layers.0.weight" and
        so on.

    >>> import minigrad as mg
    >>> rng = mg.Generator(1)
    >>> network = mg.nn.Sequential(mg.nn.Linear(4, 8, rng), mg.relu, mg.nn.Dropout(0.5), mg.nn.Linear(8, 2, rng))
    >>> x = mg.tensor([[1.0, 2.0, 3.0, 4.0]], dtype="float32")
    >>> network(x, rng).shape, network(x).shape       # with and without a mask
    ((1, 2), (1, 2))
    """

    def __init__(self, *layers: Callable[..., Any]) -> None:
        for layer in layers:
            if not callable(layer):
                raise TypeError(f"Sequential: expected modules and functions, got {layer!r}")
        self.layers = list(layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        """A layer; for a slice, a ``Sequential`` with these layers."""
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __call__(self, x: Any, rng: Generator | None = None) -> Any:
        """The result of the last layer.  ``Dropout`` and ``Sequential`` layers also get ``rng``."""
        for layer in self.layers:
            x = layer(x, rng) if isinstance(layer, (Dropout, Sequential)) else layer(x)
        return x


class ConditionalNetwork(Module):
    """A network that computes only some of its units.  Gates choose them for each example.

        logits = V tanh(U x + a) + b, one per gate: the gater
        scores = W (gates ⊙ experts(x)) + c, for a softmax over the classes

    The experts are linear units.  So the scores are linear in x, except for the choice of units.  You pass the
    function that turns logits into gates.  It may differ between training and test:

        network(x, lambda logits: mg.bernoulli(logits, rule))           training
        network(x, lambda logits: (logits > 0).astype(logits.dtype))   test

    Parameters
    ----------
    rng : Generator for the initial weights.
    inputs, hidden, units, outputs : numbers of inputs, of hidden units of the gater, of experts, of classes.
    block : expert units per gate; the paper has 1.
    dtype : float32 or float64.
    device : "cpu" or "cuda".

    Source: Bengio, Léonard & Courville (2013), §4: 784 inputs, 400 tanh units, 2000 gates and
    experts, 10 classes.

    >>> import minigrad as mg
    >>> rng = mg.Generator(1)
    >>> network = mg.nn.ConditionalNetwork(rng, inputs=4, hidden=3, units=8, outputs=2, block=2)
    >>> rule = mg.estimators.StraightThrough()
    >>> x = mg.tensor([[1.0, 2.0, 3.0, 4.0]], dtype="float32")
    >>> network(x, lambda logits: mg.bernoulli(logits, rule, rng=rng)).shape
    (1, 2)
    """

    def __init__(self, rng: Generator, *, inputs: int = 784, hidden: int = 400, units: int = 2000,
                 outputs: int = 10, block: int = 1, dtype: DTypeLike = np.float32, device: str = "cpu") -> None:
        place: dict[str, Any] = {"dtype": dtype, "device": device}
        random.checked("ConditionalNetwork", rng)
        self.experts = GatedLinear(inputs, units, rng, block=block, **place)
        self.gater = [Linear(inputs, hidden, rng, **place), Linear(hidden, units // block, rng, gain=4.0, **place)]
        self.output = Linear(units, outputs, rng, gated_inputs=True, **place)

    def logits(self, x: TensorLike) -> Tensor:
        """Logits of the gates, (batch, units / block)."""
        hidden, gates = self.gater
        return gates(ops.tanh(hidden(x)))

    def scores(self, x: TensorLike, gates: TensorLike) -> Tensor:
        """Scores of the classes, (batch, outputs), for the gates (batch, units / block)."""
        return self.output(self.experts(x, gates))

    def __call__(self, x: TensorLike, gate: Callable[[Tensor], TensorLike]) -> Tensor:
        """Scores of the classes, (batch, outputs); ``gate`` is a function from logits to gates."""
        return self.scores(x, gate(self.logits(x)))


def initial(inputs: int, units: int, rng: Generator, gain: float, dtype: DTypeLike, order: Any,
            device: str) -> tuple[Tensor, Tensor]:
    """A weight (units, inputs) uniform in ±gain·√(6 / (inputs + units)), and a bias of zeros."""
    rng, dtype = random.checked("Linear", rng), floating("Linear", dtype)
    if not is_whole(inputs) or not is_whole(units):
        raise TypeError(f"Linear: expected ints of at least 0 as inputs and units, got {described(inputs)} and "
                        f"{described(units)}. Use Linear(3, 2, mg.Generator(0))")
    if not is_real(gain):
        raise TypeError(f"Linear: expected a number as gain, got {described(gain)}. Use a float")
    bound = gain * np.sqrt(6 / max(1, inputs + units))
    weight = bound * (2 * devices.put(rng.uniform((units, inputs), np.float64), "cpu") - 1)
    return (tensor(np.asarray(weight, dtype, order=order), requires_grad=True, device=device),
            tensor(np.zeros(units, dtype), requires_grad=True, device=device))


def named(root: Any, kind: type | tuple[type, ...], every: bool = False) -> dict[str, Any]:
    """The objects of a class in a module, or in a list of modules: a dict from name to object.

    Tensors are included only if they are leaves and require a gradient, unless ``every`` is true.
    """
    objects, seen, stack = {}, set(), [("", root)]
    while stack:
        name, x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, kind):
            if every or kind is not Tensor or (x.requires_grad and x.primitive is None):
                objects[name] = x
            continue
        parts = ()
        if isinstance(x, Module):
            parts = vars(x).items()
        elif isinstance(x, (list, tuple)):
            parts = enumerate(x)
        elif isinstance(x, dict):
            parts = x.items()
        stack += reversed([(f"{name}.{key}" if name else str(key), part) for key, part in parts])
    return objects


def like(array: Array, value: Any) -> Array:
    """A copy of ``value`` in the memory order of ``array``.  The rounding of matrix products depends on the order."""
    copy: Any = np.empty_like(array)
    if arrays.is_device(copy):
        copy.set(np.asarray(value, copy.dtype))
    else:
        copy[...] = value
    return copy
