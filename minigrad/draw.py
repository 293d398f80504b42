"""A graph as text, and as DOT for Graphviz; stochastic nodes stand out with their rules."""

from minigrad.graph import ancestors
from minigrad.tensor import Tensor


def draw(*outputs, format="text"):
    """The graph that ``outputs`` were computed by, in order of computation.

    Parameters
    ----------
    outputs : Tensors.
    format : "text", a table of one line per node, or "dot", a drawing for Graphviz.

    Returns
    -------
    str.  Each stochastic node is marked, with its rule, what the rule asks for, and how many replays
    of the graph it took in the last backward pass.

    >>> import minigrad as mg
    >>> a = mg.tensor([[0.0, 0.0]], requires_grad=True)
    >>> b = mg.bernoulli(a, mg.estimators.StraightThrough(), rng=mg.Generator(0), name="gate")
    >>> print(mg.draw(mg.expected(b.sum(axis=1))))
    %0 = leaf (1, 2) float64, requires grad
    %1 = gate(%0) (1, 2) float64 ~ StraightThrough() needs grad, 0 replays
    %2 = sum(%1, axis=1, keepdims=False) (1,) float64
    %3 = expected(%2) () float64
    """
    if format not in ("text", "dot"):
        raise ValueError(f"draw: expected format 'text' or 'dot', got {format!r}")
    for x in outputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"draw: expected Tensors, got {type(x).__name__}")
    drawn = _everything(outputs)
    return _text(drawn) if format == "text" else _dot(drawn)


def _everything(outputs):
    """Leaves and nodes, each before its first use: a dict from Tensor to its number."""
    numbers = {}
    for node in ancestors(outputs):
        for _, x, _ in node.parents:
            numbers.setdefault(x, len(numbers))
        numbers.setdefault(node, len(numbers))
    for x in outputs:
        numbers.setdefault(x, len(numbers))
    return numbers


def _rule(x):
    """What to say about the rule of a stochastic node; nothing for others."""
    if x.primitive is None or not x.primitive.stochastic:
        return ""
    rule, replays = x.primitive.rule, x.primitive.replays
    return (f"{rule!r} needs {', '.join(sorted(rule.needs)) or 'nothing'}, "
            f"{replays} replay{'' if replays == 1 else 's'}")


def _text(numbers):
    lines = []
    for x, number in numbers.items():
        shape = f"{x.shape} {x.dtype}"
        if x.primitive is None:
            lines.append(f"%{number} = leaf {shape}{', requires grad' * x.requires_grad}")
            continue
        tensors = {i: f"%{numbers[parent]}" for i, parent, _ in x.parents}
        arguments = [tensors.get(i) or _constant(value) for i, value in enumerate(x.operands)]
        arguments += [f"{name}={value!r}" for name, value in x.options.items() if value is not None]
        rule = f" ~ {_rule(x)}" if _rule(x) else ""
        lines.append(f"%{number} = {x.primitive.name}({', '.join(arguments)}) {shape}{rule}")
    return "\n".join(lines)


def _constant(value):
    return f"array{value.shape}" if getattr(value, "ndim", 0) else repr(value)


def _dot(numbers):
    lines = ["digraph {", "  rankdir=BT; node [shape=box, fontname=Helvetica];"]
    for x, number in numbers.items():
        label, style = [x.primitive.name if x.primitive else "leaf", str(x.shape)], ""
        if x.primitive is None:
            style = ", shape=ellipse" + ", style=bold" * x.requires_grad
        elif x.primitive.stochastic:
            label.append(_rule(x))
            style = ', style="filled,rounded", fillcolor="#f0e442"'
        text = r"\n".join(label).replace('"', r"\"")
        lines.append(f'  {number} [label="{text}"{style}];')
        lines += [f"  {numbers[parent]} -> {number};" for _, parent, _ in x.parents]
    return "\n".join([*lines, "}"])
