"""A node of the graph: a value, and the call of a primitive that computed it."""

from typing import Any


class Node:
    """A value and the call that computed it.  A leaf has no call.  ``Tensor`` adds methods for users.

    The graph uses only these attributes.
    """

    requires_grad = False
    gradient: Any = None        # the gradient behind .grad; for a gated weight it is ``Factored`` until it is read
    retains_grad = False
    # The memory of the value (``sharing``).
    changes: Any = (0,)         # the number of changes of this memory; a list that a leaf and its views share
    changes_at_creation = 0     # this number when the value was made
    is_view = False
    unrecorded_order = 0        # for a value computed without recording: 1 + the largest order of its inputs
    # The call.
    primitive: Any = None       # None for a leaf
    operands: Any = ()          # the arguments as the primitive got them: arrays, numbers, ...
    parents: Any = ()           # (argnum, Node, product) for each argument that is a Node
    options: Any = {}
    order = 0                   # the number of the call, in order of time
    changes_before = 0          # the sum of the parents' changes at the time of the call
    watched: Any = ()           # large NumPy operands, each with a sample of its entries

    #: The function that computes and records a call with Nodes as arguments.  ``recording`` sets it.
    record: Any = None

    def __init__(self, value: Any, requires_grad: bool = False) -> None:
        self.value = value
        self.requires_grad = requires_grad
