"""What ``draw`` returns: text that a notebook shows as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minigrad.diagrams.svg import as_svg

if TYPE_CHECKING:
    from minigrad.diagrams.item import Item


class Drawing(str):
    """A drawing as a string.  The Python prompt shows it without quotes, and a notebook as the picture of its graph.

    Attributes
    ----------
    graph : the Items of the graph.
    """

    graph: Sequence[Item]

    def __new__(cls, text: str, graph: Sequence[Item]) -> Drawing:
        drawing = super().__new__(cls, text)
        drawing.graph = graph
        return drawing

    def __getnewargs__(self) -> tuple[str, Sequence[Item]]:
        return str(self), self.graph

    def __repr__(self) -> str:
        return str(self)

    def _repr_svg_(self) -> str:
        return as_svg(self.graph)
