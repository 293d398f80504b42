"""A graph as text, as a picture (SVG), and as DOT for Graphviz; stochastic nodes stand out with their rules."""

from pathlib import Path

import numpy as np

from minigrad import devices, ops, output
from minigrad.arguments import described
from minigrad.checkpoint import whole_file
from minigrad.draw.dot import dot
from minigrad.draw.drawing import Drawing
from minigrad.draw.item import Item
from minigrad.draw.svg import svg
from minigrad.draw.text import text
from minigrad.graph import Evaluation, ancestors, keepers
from minigrad.tensor import Tensor

FORMATS = {"text": text, "svg": svg, "dot": dot}
SUFFIXES = {".txt": "text", ".svg": "svg", ".dot": "dot"}
MOST = 40   # characters that an array may take


def draw(*outputs, format=None, path=None, values=False, names=None):
    """The graph that ``outputs`` were computed by, in order of computation.

    Parameters
    ----------
    outputs : Tensors.
    format : "text", a table of one line per node; "svg", a picture for light and dark pages; or "dot", for
        Graphviz, the better choice for large graphs: ``dot -Tpdf graph.dot -o graph.pdf``.  By default
        what the suffix of ``path`` says, and text without a path.
    path : file to write the drawing to: .txt, .svg or .dot.
    values : show the value of each node, and its cotangent (the gradient of the sum of the outputs with
        respect to it) wherever backward computes one.  Cotangents are found in a pass of the drawing's
        own, which leaves ``.grad`` and the memories of rules alone.
    names : dict from name to Tensor, leaf or node: ``{"x": x}``.

    Returns
    -------
    str, which a notebook shows as the picture; text is as sys.stdout can print it (``minigrad.output``).  Each
    stochastic node is marked, with its rule, what the rule asks for, and how many replays (evaluations of the
    graph below it) the rule took in the last backward pass.

    Raises
    ------
    ValueError
        An unknown format or suffix.
    TypeError
        An output, or what a name is given to, is not a Tensor.

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
            raise TypeError(f"draw: expected Tensors, got {described(x)}. Pass each output by itself: draw(x, y)")
    graph = items(outputs, values, names)
    drawn = FORMATS[format](graph)
    if path is not None:
        with whole_file(path) as file:
            file.write(drawn.encode())
    return Drawing(output.shown(drawn) if format == "text" else drawn, graph)


def items(outputs, values, names):
    """An Item for each leaf and node, before its first use; its number is its place in the list."""
    numbers = {}
    for node in ancestors(outputs):
        for _, x, _ in node.parents:
            numbers.setdefault(x, len(numbers))
        numbers.setdefault(node, len(numbers))
    for x in outputs:
        numbers.setdefault(x, len(numbers))
    names = {x: name for name, x in names.items()}
    cotangents = cotangents_of(outputs) if values else {}
    found = []
    for x in numbers:
        shown = {"value": x.value} if values else {}
        if x in cotangents:
            shown["cotangent"] = cotangents[x]
        found.append(item(x, names.get(x), numbers, {name: summary(array) for name, array in shown.items()}))
    return found


def cotangents_of(outputs):
    """The cotangents that a backward pass from ones at the outputs computes, by Tensor."""
    evaluation = Evaluation(outputs, [np.ones_like(ops.dense(x.value)) for x in outputs], rules_learn=False)
    nodes = evaluation.nodes()
    _, wanted = evaluation.plan(nodes, keepers(outputs, nodes))
    return evaluation.backward(list(wanted))


def item(x, name, numbers, shown):
    shape = f"{x.shape} {x.dtype}"
    if x.primitive is None:
        return Item("parameter" if x.requires_grad else "constant", name or "leaf", (), shape, shown)
    tensors = {i: numbers[parent] for i, parent, _ in x.parents}
    arguments = [tensors.get(i, constant(value)) for i, value in enumerate(x.operands)]
    arguments += [f"{option}={value!r}" for option, value in x.options.items() if value is not None]
    made = f"{name} = {x.primitive.name}" if name else x.primitive.name
    if not x.primitive.stochastic:
        return Item("primitive", made, tuple(arguments), shape, shown)
    rule, replays = x.primitive.rule, x.primitive.replays
    needs = f"needs {', '.join(sorted(rule.needs)) or 'nothing'}"
    return Item("stochastic", made, tuple(arguments), shape, shown,
                (repr(rule), needs, f"{replays} replay{'' if replays == 1 else 's'}"))


def constant(value):
    return f"array{value.shape}" if getattr(value, "ndim", 0) else repr(value)


def summary(array):
    """An array in a few characters: its entries, or from where to where they go."""
    array = devices.put(ops.dense(array), "cpu")
    if array.size <= MOST:
        form = number if array.dtype.kind == "f" else str
        words = np.array2string(array, separator=" ", formatter={"all": form}).replace("\n", "")
        if len(words) <= MOST:
            return words
    return f"{array.min():.3g} … {array.max():.3g}"


def number(x):
    return f"{x + 0:.4g}"       # the sum makes 0 of −0
