"""Drawings of a graph: as text, as a picture (SVG), or as DOT for Graphviz.  Stochastic nodes show their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops, output
from minigrad.arguments import described
from minigrad.checkpoint import whole_file
from minigrad.diagrams.dot import as_dot
from minigrad.diagrams.drawing import Drawing
from minigrad.diagrams.item import Item
from minigrad.diagrams.svg import as_svg
from minigrad.diagrams.text import as_text
from minigrad.graph import Evaluation, ancestors, gradient_targets
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad import aliases
    from minigrad.aliases import Array

FORMATS: dict[str, Callable[[Sequence[Item]], str]] = {"text": as_text, "svg": as_svg, "dot": as_dot}
SUFFIXES: dict[str, str] = {".txt": "text", ".svg": "svg", ".dot": "dot"}
MOST = 40   # the largest number of characters for an array


def draw(*outputs: Tensor, format: str | None = None, path: aliases.Path | None = None, values: bool = False,
         names: Mapping[str, Tensor] | None = None) -> Drawing:
    """A drawing of the graph from which ``outputs`` were computed, in order of computation.

    Parameters
    ----------
    outputs : Tensors.
    format : "text", with one line per node; "svg", a picture for light and dark pages; or "dot", for
        Graphviz: ``dot -Tpdf graph.dot -o graph.pdf``.  "dot" is best for large graphs.  By default the suffix of
        ``path`` decides; without a path the format is "text".
    path : file for the drawing: .txt, .svg or .dot.
    values : show the value of each node, and its cotangent (the gradient of the sum of the outputs with
        respect to the node) if backward computes one.  The cotangents come from a separate backward pass,
        which does not change ``.grad`` or the memories of rules.
    names : dict from name to Tensor, leaf or node: ``{"x": x}``.

    Returns
    -------
    str.  A notebook shows it as a picture.  Text has only characters that sys.stdout can print
    (``minigrad.output``).  A stochastic node shows its rule, what the rule needs, and the number of replays
    (evaluations of the graph below it) that the rule took in the last backward pass.

    Raises
    ------
    ValueError
        The format or suffix is unknown.
    TypeError
        An output, or a value of ``names``, is not a Tensor.

    >>> import minigrad as mg
    >>> a = mg.tensor([[0.0, 0.0]], requires_grad=True)
    >>> b = mg.bernoulli(a, mg.estimators.StraightThrough(), rng=mg.Generator(0), name="gate")
    >>> print(mg.draw(mg.expected(b.sum(axis=1))))
    %0 = leaf (1, 2) float64, requires grad
    %1 = gate(%0) (1, 2) float64 ~ StraightThrough() needs grad, 0 replays
    %2 = sum(%1, axis=1) (1,) float64
    %3 = expected(%2) () float64
    >>> x = mg.tensor(3.0, requires_grad=True)
    >>> print(mg.draw(x * x - 5.0, values=True, names={"x": x}))
    %0 = x () float64, requires grad, value 3, cotangent 6
    %1 = multiply(%0, %0) () float64, value 9, cotangent 1
    %2 = subtract(%1, 5.0) () float64, value 4, cotangent 1
    """
    if format is None:
        format = "text" if path is None else SUFFIXES.get(Path(path).suffix)
    if not isinstance(format, str) or format not in FORMATS:
        raise ValueError(f"draw: expected format 'text', 'svg' or 'dot', or a path that ends in one of "
                         f"{', '.join(SUFFIXES)}, got {format!r}" + (f" and {str(path)!r}" if path else ""))
    names = {} if names is None else names
    if not isinstance(names, dict):
        raise TypeError(f"draw: expected names as a dict from name to Tensor, got {described(names)}. "
                        'Use names={"x": x}')
    for x in (*outputs, *names.values()):
        if not isinstance(x, Tensor):
            raise TypeError(f"draw: expected Tensors, got {described(x)}. Pass each output as an argument: draw(x, y)")
    graph = items(outputs, values, names)
    drawn = FORMATS[format](graph)
    if path is not None:
        with whole_file(path) as file:
            file.write(drawn.encode())
    return Drawing(output.shown(drawn) if format == "text" else drawn, graph)


def items(outputs: Sequence[Tensor], values: bool, names: Mapping[str, Tensor]) -> list[Item]:
    """An Item for each leaf and node, before all nodes that use it.  The number of an Item is its index in the list."""
    numbers: dict[Any, int] = {}
    for node in ancestors(outputs):
        for _, x, _ in node.parents:
            numbers.setdefault(x, len(numbers))
        numbers.setdefault(node, len(numbers))
    for x in outputs:
        numbers.setdefault(x, len(numbers))
    name_of = {x: name for name, x in names.items()}
    cotangents = cotangents_of(outputs) if values else {}
    graph = []
    for x in numbers:
        shown = {"value": x.value} if values else {}
        if x in cotangents:
            shown["cotangent"] = cotangents[x]
        graph.append(item_of(x, name_of.get(x), numbers, {name: summary(array) for name, array in shown.items()}))
    return graph


def cotangents_of(outputs: Sequence[Tensor]) -> dict[Any, Any]:
    """The cotangents of a backward pass that starts with ones at the outputs: a dict from Tensor to array."""
    evaluation = Evaluation(outputs, [np.ones_like(ops.dense(x.value)) for x in outputs], rules_learn=False)
    nodes = evaluation.nodes()
    _, wanted = evaluation.plan(nodes, gradient_targets(outputs, nodes))
    return evaluation.backward(list(wanted))


def item_of(x: Any, name: str | None, numbers: Mapping[Any, int], shown: dict[str, str]) -> Item:
    """The Item of a leaf or node x.  ``numbers`` has the number of each Tensor."""
    shape = f"{x.shape} {x.dtype}"
    if x.primitive is None:
        return Item("parameter" if x.requires_grad else "constant", name or "leaf", (), shape, shown)
    tensors = {i: numbers[parent] for i, parent, _ in x.parents}
    arguments: list[int | str] = [tensors.get(i, constant(value)) for i, value in enumerate(x.operands)]
    arguments += [f"{option}={value!r}" for option, value in x.options.items() if value is not None]
    heading = f"{name} = {x.primitive.name}" if name else x.primitive.name
    if not x.primitive.stochastic:
        return Item("primitive", heading, tuple(arguments), shape, shown)
    rule, replays = x.primitive.rule, x.primitive.replays
    needs = f"needs {', '.join(sorted(rule.needs)) or 'nothing'}"
    return Item("stochastic", heading, tuple(arguments), shape, shown,
                (repr(rule), needs, f"{replays} replay{'' if replays == 1 else 's'}"))


def constant(value: Any) -> str:
    """An argument that is not a Tensor, in a few characters."""
    return f"array{value.shape}" if getattr(value, "ndim", 0) else repr(value)


def summary(array: Array) -> str:
    """An array in a few characters: its entries, or the smallest and the largest."""
    array = devices.put(ops.dense(array), "cpu")
    if array.size <= MOST:
        form: Any = {"all": number if array.dtype.kind == "f" else str}
        words = np.array2string(array, separator=" ", formatter=form).replace("\n", "")
        if len(words) <= MOST:
            return words
    return f"{array.min():.3g} … {array.max():.3g}"


def number(x: float) -> str:
    return f"{x + 0:.4g}"       # −0 + 0 is 0
