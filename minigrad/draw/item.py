"""What a drawing says about one node, whatever its format."""

from typing import NamedTuple


class Item(NamedTuple):
    """A leaf or node of a graph, in words.

    Attributes
    ----------
    kind : "constant" or "parameter" for leaves; "primitive"; "stochastic".
    name : of the leaf or the primitive.
    arguments : of the primitive; the number of another item, or words.
    shape : with the dtype.
    shown : value and cotangent, as far as they are shown, by these names.
    rule : of a stochastic node: the rule, what it asks for, the replays it took.
    """

    kind: str
    name: str
    arguments: tuple
    shape: str
    shown: dict
    rule: tuple = ()

    @property
    def parents(self):
        return [x for x in self.arguments if isinstance(x, int)]

    def call(self, tensor):
        """The call that made the node; ``tensor`` is the format of the number of an argument."""
        arguments = [tensor.format(x) if isinstance(x, int) else x for x in self.arguments]
        return f"{self.name}({', '.join(arguments)})" if arguments else self.name

    def lines(self):
        """The words of a picture, where arrows show the arguments: the first line is its heading."""
        plain = len(self.parents) == len(self.arguments)
        numbers = [f"{name} {number}" for name, number in self.shown.items()]
        return [self.name if plain else self.call("·"), *self.rule, self.shape, *numbers]
