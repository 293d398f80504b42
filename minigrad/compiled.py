"""A network for one example at a time, in one compiled call.

A layer that is called from Python takes some ten microseconds besides its arithmetic.  For one example this is often
longer than the arithmetic.  ``compile_one`` calls a function of Tensors once.  The recorded graph is a program: it
becomes a list of steps that compiled code runs (``kernels.cpu.program``).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.arguments import described
from minigrad.graph import ancestors
from minigrad.kernels import Packed
from minigrad.kernels.backend import loaded
from minigrad.kernels.compiler import serving
from minigrad.ops.shaping import axes_of
from minigrad.tensor import Tensor, tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from minigrad.aliases import Array, ArrayLike

__all__ = ["OneExample", "compile_one"]

# Primitives that only give another shape or name to the same entries.
SAME_ENTRIES = {"reshape", "expand_dims", "squeeze", "stop_gradient", "astype", "broadcast_to"}


def compile_one(function: Callable[[Tensor], Tensor], example: ArrayLike) -> OneExample:
    """Compile a network for one example at a time.

    Parameters
    ----------
    function : a network, or a function of one Tensor that returns one Tensor.  It is called once, with ``example``.
        The steps that it takes there are compiled.  So a choice in Python, such as ``if``, is made once.
    example : (D,) or (1, D), float32 or float64.  Its values do not matter, unless the function looks at them.

    Returns
    -------
    OneExample, which maps arrays of the shape and dtype of ``example`` to arrays of the shape of the output.

    Gated layers compute their open blocks alone.  Dense layers skip inputs that are exactly 0, such as the dark pixels
    of an image or the zeros of a rectifier.  The function may use ``linear``, ``gated_linear``, ``to_dense``,
    elementwise functions and comparisons, ``where``, ``softmax``, ``log_softmax``, and ``sum``, ``mean``, ``max`` and
    ``min`` over all units.

    The weights are copied.  They are copied again at the next call after an optimiser, ``w.data = x`` or
    ``load_state_dict`` has changed them.  After a change that is not counted, such as ``w.data[0] = 1``, call
    ``refresh()``.  Random noise that the function draws is drawn once, and then constant.

    Raises
    ------
    TypeError
        ``example`` has another dtype, or the function does not return a Tensor.
    ValueError
        ``example`` has another shape, the result does not depend on it, or the function uses an operation that is not
        listed above, such as ``bernoulli``.  The message names it.
    RuntimeError
        Numba is not available, or it was told not to compile.

    >>> import numpy as np
    >>> import minigrad as mg
    >>> layer = mg.nn.GatedLinear(3, 8, mg.Generator(0), block=4)
    >>> gater = mg.nn.Linear(3, 2, mg.Generator(1))
    >>> fast = mg.compile_one(lambda x: mg.relu(layer(x, gater(x) > 0)), np.zeros((1, 3), np.float32))
    >>> x = np.ones((1, 3), np.float32)
    >>> bool(np.allclose(fast(x), mg.relu(layer(x, gater(x) > 0)).to_dense().numpy()))
    True
    """
    if serving() != "numba":
        raise RuntimeError("compile_one: expected Numba, which compiles the network, but "
                           + ("NUMBA_DISABLE_JIT is set. Unset it" if serving() == "python" else
                              "it cannot be imported. Install it with python -m pip install numba"))
    example = np.asarray(example)
    if example.dtype not in (np.float32, np.float64):
        raise TypeError(f"compile_one: expected an example of float32 or float64, got {described(example)}. Use "
                        ".astype(np.float32)")
    if example.ndim not in (1, 2) or (example.ndim == 2 and len(example) != 1):
        raise ValueError(f"compile_one: expected one example of shape (D,) or (1, D), got shape {example.shape}")
    x = tensor(example, requires_grad=True)
    out = function(x)
    if not isinstance(out, Tensor):
        raise TypeError(f"compile_one: expected a function that returns one Tensor, got {described(out)}")
    return OneExample(x, out)


class OneExample:
    """A network that was compiled for one example: see ``compile_one``.  Several threads may call it."""

    def __init__(self, x: Tensor, out: Tensor) -> None:
        self.program = loaded("cpu.program")
        self.dtype, self.shape, self.out_shape = x.dtype, x.shape, out.shape
        nodes = ancestors([out])
        self.parameters = list({id(parent): parent for node in nodes for _, parent, _ in node.parents
                                if parent.primitive is None and parent is not x}.values())
        depends = {x}
        for node in nodes:
            if any(parent in depends for _, parent, _ in node.parents):
                depends.add(node)
        if out not in depends or out is x:
            raise ValueError("compile_one: expected a result that is computed from the example, got one that does not "
                             "depend on it. Is it computed under no_grad, or from .numpy()?")
        self.constant_nodes = [node for node in nodes if node not in depends]
        self.places: dict[Any, tuple[int, int, int]] = {}   # of a node: its place in space, its list, its block
        self.lists: dict[int, int] = {}                     # of gates, by their id: the place of their list
        self.steps: list[list[int]] = []
        self.filled: list[tuple[int, Any, int]] = []        # (place in space, value or node, entries) of constants
        self.stored: list[tuple[int, Any, bool]] = []       # (place in weights, value or node, transposed?)
        self.space = self.weights_size = self.lists_size = 0
        self.widest = x.size
        self.places[x] = self.room(x.size), -1, 0
        for node in nodes:
            if node in depends:
                self.compile(node)
        place, open_blocks, block = self.places[out]
        if open_blocks >= 0:
            place = self.to_dense(place, open_blocks, block, out.size)
        self.output = slice(place, place + out.size)
        self.table = np.array(self.steps, np.int64).reshape(len(self.steps), self.program.WIDTH)
        self.threads = threading.local()
        self.refresh()

    def __call__(self, x: Array) -> Array:
        """The output for one example, an array of the shape and dtype of the one that was compiled for."""
        if type(x) is not np.ndarray or x.shape != self.shape or x.dtype != self.dtype:
            raise (TypeError if getattr(x, "shape", None) == self.shape else ValueError)(
                f"expected an array of shape {self.shape} and dtype {self.dtype}, as compiled for, got {described(x)}")
        changes = 0
        for parameter in self.parameters:
            changes += parameter.changes[0]
        if changes != self.changes:
            self.refresh()
        room = getattr(self.threads, "room", None)
        weights, constants = self.memory
        if room is None or room[0] is not weights:
            room = self.threads.room = (weights, constants.copy(), np.empty(self.lists_size, np.int32),
                                        np.empty(self.widest + 1, np.int32))
        weights, space, lists, chosen = room
        self.program.run(self.table, weights, space, lists, chosen, x.reshape(-1), 0)
        return space[self.output].reshape(self.out_shape).copy()

    def __repr__(self) -> str:
        return f"<OneExample {self.shape} -> {self.out_shape}, {self.dtype}, {len(self.table)} steps>"

    def __reduce__(self) -> Any:
        raise TypeError("OneExample: cannot be copied or pickled. Pickle the network, and call compile_one again")

    def refresh(self) -> None:
        """Copy the weights and constants again."""
        self.changes = sum(parameter.changes[0] for parameter in self.parameters)
        values: dict[Any, Any] = {}

        def value(x):
            return values.get(x, x.value) if isinstance(x, Tensor) else x

        for node in self.constant_nodes:
            operands = list(node.operands)
            for i, parent, _ in node.parents:
                operands[i] = value(parent)
            values[node] = node.primitive.forward(*operands, **node.options)
        constants, weights = np.zeros(self.space, self.dtype), np.empty(self.weights_size, self.dtype)
        for place, x, entries in self.filled:
            constants[place:place + entries] = np.asarray(value(x)).reshape(-1)
        for place, x, transposed in self.stored:
            array = np.asarray(value(x))
            weights[place:place + array.size] = (array.T if transposed else array).reshape(-1)
        self.memory = weights, constants        # both at once, since other threads may be calling

    # -- from nodes to steps -----------------------------------------------------------------------

    def compile(self, node: Tensor) -> None:
        """Add the steps of a node."""
        name, args, options = node.primitive.name, list(node.operands), node.options
        for i, parent, _ in node.parents:
            args[i] = parent
        if node.value.dtype not in (self.dtype, bool):
            raise self.unsupported(node, f"results of {node.value.dtype}")
        self.widest = max(self.widest, node.size)
        program = self.program
        if name == "linear":
            self.linear(node, *args)
        elif name == "gated_linear":
            self.gated_linear(node, *args, **options)
        elif name == "to_dense":
            self.places[node] = self.to_dense(*self.places[args[0]], node.size), -1, 0
        elif name in SAME_ENTRIES and args[0].size == node.size:
            self.places[node] = self.places[args[0]]
        elif name in program.OF_ONE and len(args) == 1 and not options:
            x, open_blocks, block = self.places[args[0]]
            self.add(node, "unary", node.size, x, program.OF_ONE.index(name), open_blocks, block)
        elif name in program.OF_TWO:
            self.binary(node, program.OF_TWO.index(name), *args)
        elif name == "where":
            self.add(node, "where", node.size, *(self.dense_vector(x, node) for x in args))
        elif name in program.NORMALISATIONS and self.over_all(args[0], options.get("axis", -1)):
            self.add(node, "normalise", node.size, self.dense_vector(args[0], node),
                     program.NORMALISATIONS.index(name))
        elif name in program.REDUCTIONS and self.over_all(args[0], options.get("axis")) and args[0].size:
            self.add(node, "reduce", self.dense_vector(args[0], args[0]), args[0].size, program.REDUCTIONS.index(name))
        else:
            raise self.unsupported(node, name)

    def linear(self, node, x, weight, bias=None):
        place, open_blocks, block = self.input_of(x, node)
        self.add(node, "linear", node.size, place, x.size, self.store(weight, node, transposed=True),
                 -1 if bias is None else self.store(bias, node), open_blocks, block)

    def gated_linear(self, node, x, weight, bias, gates, block=1):
        place, x_open, x_block = self.input_of(x, node)
        count = node.size // block
        if id(gates) not in self.lists:     # layers with the same gates have one list
            self.lists[id(gates)] = self.lists_size
            self.lists_size += count + 2
        open_blocks = self.lists[id(gates)]
        self.add(node, "gated_linear", open_blocks, place, x.size, self.store(weight, node),
                 -1 if bias is None else self.store(bias, node), self.dense_vector(gates, node, count), count, block,
                 x_open, x_block)
        self.places[node] = self.places[node][0], open_blocks, block

    def binary(self, node, function, x, y):
        places = [self.placed(z) for z in (x, y)]
        lists = {tuple(place[1:]) for place in places if place and place[1] >= 0 and isinstance(node.value, Packed)}
        if len(lists) > 1:
            raise self.unsupported(node, "units of layers with different gates")
        open_blocks, block = lists.pop() if lists else (-1, 0)
        operands = [place[0] if place and place[1] >= 0 and block else self.dense_vector(z, node)
                    for z, place in zip((x, y), places, strict=True)]
        self.add(node, "binary", node.size, *operands, function, open_blocks, block)

    def to_dense(self, place, open_blocks, block, size):
        if open_blocks < 0:
            return place
        out = self.room(size)
        self.step("to_dense", out, size, place, open_blocks, block)
        return out

    # -- parts -------------------------------------------------------------------------------------

    def add(self, node, operation, *arguments):
        """Add a step whose result is the node, in a place of its own."""
        out = self.room(node.size)
        self.step(operation, out, *arguments)
        described_by = self.program.OPERATIONS[operation]
        packed = "list" in described_by and operation != "gated_linear"
        given = dict(zip(described_by[1:], arguments, strict=True))
        self.places[node] = (out, given["list"], given["block"]) if packed else (out, -1, 0)

    def step(self, operation, *arguments):
        row = [self.program.CODES[operation], *arguments]
        self.steps.append(row + [0] * (self.program.WIDTH - len(row)))

    def room(self, entries):
        """A place in space for so many entries."""
        self.space += entries
        return self.space - entries

    def store(self, x, node, transposed=False):
        """The place of a weight or a bias, which may not depend on the example."""
        if self.placed(x) is not None:
            raise self.unsupported(node, "weights that are computed from the example")
        place = self.weights_size
        self.stored.append((place, x, transposed))
        self.weights_size += x.size
        return place

    def placed(self, x):
        """The place of x, its list and its block, or None for a constant."""
        return self.places.get(x) if isinstance(x, Tensor) else None

    def input_of(self, x, node):
        """The place of the input of a layer."""
        place = self.placed(x)
        if place is None:
            raise self.unsupported(node, "layers whose input is a constant")
        return place

    def dense_vector(self, x, node, entries=None):
        """The place of x as a dense vector of as many entries as the node has."""
        entries = node.size if entries is None else entries
        placed = self.placed(x)
        if placed is not None:
            place = self.to_dense(*placed, x.size)
            if x.size == entries:
                return place
            if x.size == 1:
                out = self.room(entries)
                self.step("fill", out, entries, place)
                return out
            raise self.unsupported(node, f"shapes {x.shape} and {node.shape}")
        size = x.size if hasattr(x, "size") else 1
        if size not in (1, entries):
            raise self.unsupported(node, f"shapes {x.shape} and {node.shape}")
        place = self.room(entries)
        self.filled.append((place, x, entries))
        return place

    @staticmethod
    def over_all(x, axis):
        """Whether a function along ``axis`` takes all entries together."""
        return all(n == 1 or a in axes_of(axis, x.ndim) for a, n in enumerate(x.shape))

    @staticmethod
    def unsupported(node, what):
        return ValueError(f"compile_one: cannot compile {what} (in {node.primitive.name!r}, with a result of shape "
                          f"{node.shape}). Leave this part outside, or compute it densely")
