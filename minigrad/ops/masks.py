"""Which entries of the cotangent of a gate are read: a gate may be written in any way, and closed blocks are skipped.

A gated layer can skip a closed gate in the backward pass only if nothing reads its cotangent there.  The levels of
``packed`` do not show this for a gate such as ``bit * p``.  The cotangent of p is g · bit, so g is read only where the
bit is not 0.  A *mask* shows it.  It is a boolean array that is true where the entry is read.  It broadcasts to the
shape of the cotangent.  None means that all entries are read.

The mask of a node follows from the masks of its arguments.  A primitive computes it with ``reads(masks, out, args,
move)``, where ``masks`` is a dict from the number of an argument to its mask, for the arguments whose cotangent is
wanted, and ``move`` is the function of the primitive, which moves the entries of a mask as it moves those of its
arguments.  Masks are computed only when a gated layer asks for them.
"""

from functools import partial

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops.packed import ALL, OPEN

#: A longer chain of primitives is not followed: all entries then count as read.
LONGEST = 64


class Masks:
    """The masks of one backward pass.

    Parameters
    ----------
    run : the ``graph.Evaluation`` that has the values of the nodes.
    wanted : dict from node to the level wanted of its cotangent (``packed``).
    targets : the nodes whose cotangent is returned.
    """

    def __init__(self, run, wanted, targets):
        self.run, self.wanted, self.targets = run, wanted, frozenset(targets)
        self.known = {}

    def only_open(self, x):
        """Whether the cotangent of x is read only where its value is not 0.

        False on a device, where looking would take a transfer.
        """
        value = self.run.value(x)
        if self.wanted[x] != ALL:
            return True
        if isinstance(value, Packed) or arrays.is_device(value):
            return False
        mask = self.of(x)
        return mask is not None and not np.any(mask & np.equal(value, 0))

    def of(self, x, depth=0):
        """The mask of the cotangent of x."""
        if x not in self.known:
            self.known[x] = self.computed(x, depth)
        return self.known[x]

    def computed(self, x, depth):
        value = self.run.value(x)
        if isinstance(value, Packed):
            return None
        if self.wanted[x] == OPEN:
            return np.not_equal(value, 0)
        if x.primitive is None or x.primitive.reads is None or x in self.targets or depth == LONGEST:
            return None
        masks = {i: self.of(parent, depth + 1) for i, parent, product in x.parents
                 if product is not None and parent in self.wanted}
        return x.primitive.reads(masks, value, self.run.operands(x), partial(x.primitive.forward, **x.options))


def union(masks, out=None, args=None, move=None):
    """Entries that are read for any of the arguments: ``reads`` of an elementwise function."""
    result = False
    for mask in masks.values():
        if mask is None:
            return None
        result = result | mask
    return result


def where_true(condition, mask):
    """The entries of a mask at which a condition holds."""
    return condition if mask is None else condition & mask


def moved(masks, out, args, move):
    """``reads`` of a function that moves the entries of its first argument."""
    mask = masks.get(0, False)
    return None if mask is None else move(np.broadcast_to(mask, args[0].shape), *args[1:])


def moved_together(masks, out, args, move):
    """``reads`` of a function that moves the entries of all its arguments."""
    parts = [masks.get(i, False) for i in range(len(args))]
    return move(*(np.broadcast_to(part is None or part, x.shape) for part, x in zip(parts, args, strict=True)))
