"""What the graph remembers of a value: the call of a primitive that computed it."""

from typing import Any


class Node:
    """A value and, unless it is a leaf, the call that computed it.  ``Tensor`` adds what users see.

    The graph works on these attributes alone.
    """

    requires_grad = False
    gradient: Any = None         # what .grad shows; that of a gated weight stays factored until it is read
    retains_grad = False
    # Whose memory the value lies in (``sharing``).
    changes: Any = (0,)          # how often that memory was changed: a list which a leaf and its views share
    born = 0                # how often it had been changed when the value was made
    is_view = False
    hidden = 0              # for a value computed without recording: 1 + the order of the newest node in it
    # The call.  A leaf has none.
    primitive: Any = None
    operands: Any = ()           # the arguments as the primitive saw them: arrays, numbers, ...
    parents: Any = ()            # (argnum, Node, product) for each argument that is a Node
    options: Any = {}
    order = 0               # the number of the call
    changes_before = 0      # the sum of the parents' changes at the call
    watched: Any = ()            # large NumPy operands, with some of their entries

    #: The function that computes and records a call with such arguments; ``recording`` sets it.
    record: Any = None

    def __init__(self, value: Any, requires_grad: bool = False) -> None:
        self.value = value
        self.requires_grad = requires_grad
