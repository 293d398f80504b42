"""A graph in the language of Graphviz."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minigrad.diagrams.item import Item

STYLES = {
    "constant": "shape=ellipse",
    "parameter": "shape=ellipse, style=bold",
    "primitive": "shape=box",
    "stochastic": 'shape=hexagon, style=filled, fillcolor="#fdf0d2", color="#e69f00"',
}


def as_dot(graph: Sequence[Item]) -> str:
    """The Items of a graph as a DOT document."""
    lines = ["digraph {", "  node [fontname=Helvetica];"]
    for number, x in enumerate(graph):
        label = r"\n".join(line.replace("\\", r"\\").replace('"', r"\"") for line in x.lines())
        lines.append(f'  {number} [label="{label}", {STYLES[x.kind]}];')
        lines += [f"  {parent} -> {number};" for parent in x.parents]
    return "\n".join([*lines, "}"])
