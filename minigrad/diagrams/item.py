"""The content of a drawing for one node, in all formats."""

from __future__ import annotations

from typing import NamedTuple


class Item(NamedTuple):
    """A leaf or node of a graph, as strings.

    Attributes
    ----------
    kind : "constant" or "parameter" for leaves; "primitive" or "stochastic" for nodes.
    name : of the leaf or the primitive.
    arguments : of the primitive: for a Tensor the number of its item, for anything else a string.
    shape : shape and dtype.
    shown : dict with "value" and "cotangent", if they are shown.
    rule : for a stochastic node: the rule, what it needs, and the replays it took.
    """

    kind: str
    name: str
    arguments: tuple[int | str, ...]
    shape: str
    shown: dict[str, str]
    rule: tuple[str, ...] = ()

    @property
    def parents(self) -> list[int]:
        """The numbers of the items that are arguments."""
        return [x for x in self.arguments if isinstance(x, int)]

    def call(self, tensor: str) -> str:
        """The call that computed the node.  ``tensor`` is the format for the number of an argument, such as "%{}"."""
        arguments = [tensor.format(x) if isinstance(x, int) else x for x in self.arguments]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name

    def lines(self) -> list[str]:
        """The lines of text in a picture, where arrows show the arguments.  The first line is the heading."""
        plain = len(self.parents) == len(self.arguments)
        numbers = [f"{name} {number}" for name, number in self.shown.items()]
        return [self.name if plain else self.call("·"), *self.rule, self.shape, *numbers]
