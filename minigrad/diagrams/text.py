"""A graph as text: one line per node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minigrad.diagrams.item import Item


def as_text(graph: Sequence[Item]) -> str:
    """The Items of a graph, one per line, with their numbers."""
    lines = []
    for number, x in enumerate(graph):
        more = ", requires grad" * (x.kind == "parameter") + "".join(f", {name} {n}" for name, n in x.shown.items())
        rule = " ~ {} {}, {}".format(*x.rule) if x.rule else ""
        lines.append(f"%{number} = {x.call('%{}')} {x.shape}{more}{rule}")
    return "\n".join(lines)
