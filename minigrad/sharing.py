"""Whose memory a value lies in, and whether that memory is still as it was.

A graph computes with arrays that somebody else may write to.  Three kinds of them need care:

Leaves.  An optimiser changes them in place.  A leaf counts its changes, and a node remembers the counts of its
inputs, so backward and replay of a graph that is older than a change raise an error.

Views of leaves, such as ``w.T``, ``w[0]`` or ``w.reshape(-1)``.  They have no memory of their own.  A leaf and its
views share one count.  A view remembers the count at which it was made; if the leaf was changed since, every use
of the view raises an error.

NumPy arrays that are passed to a primitive.  Small ones are copied.  Of large ones a few entries are compared at
backward and at replay, because copying all of them would cost as much as the primitive itself.  So a batch buffer
that was filled again is noticed, and a single changed entry of a large array is not.  Large arrays on a GPU are
copied there.
"""

import functools
from typing import Any

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

#: NumPy operands of at most so many bytes are copied.
COPIED = 1024

#: Of larger ones so many entries are compared.
COMPARED = 32


def plain(x: Any, caller: str) -> Any:
    """x as it is; an array of a subclass of NumPy's, such as a memmap, as an ordinary array.

    Raises
    ------
    TypeError
        A masked array or a matrix, or a list of them.

    >>> type(plain(np.recarray(2, [("x", float)]), "multiply"))
    <class 'numpy.ndarray'>
    """
    for part in x if isinstance(x, (list, tuple)) else (x,):
        if isinstance(part, (list, tuple)):
            plain(part, caller)
        if isinstance(part, np.ma.MaskedArray):
            raise TypeError(f"{caller}: expected an ordinary array, got a masked one, whose mask would get lost. "
                            "Use x.filled(0), and multiply by mg.tensor(~x.mask) or choose with mg.where")
        if isinstance(part, np.matrix):
            raise TypeError(f"{caller}: expected an ordinary array, got a matrix, whose * is a matrix product. "
                            "Use np.asarray(x)")
    return x.view(np.ndarray) if isinstance(x, np.ndarray) and type(x) is not np.ndarray else x


def read_only(x: Any) -> Any:
    """A NumPy array as a view that cannot be written to; anything else as it is."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


def overlap(value, x):
    """Whether two arrays may lie in the same memory.

    >>> x = np.zeros((2, 3))
    >>> overlap(x[0], x), overlap(x + 1, x)
    (True, False)
    """
    return value is x or (type(value) is type(x) and np.may_share_memory(value, x))


def link(out, owner):
    """Make ``out`` a view of ``owner``, in whose memory its value lies: they share one count of changes."""
    if owner.primitive is None and type(owner.changes) is tuple:
        owner.changes = [0]
    out.changes, out.changes_at_creation, out.is_view = owner.changes, owner.changes_at_creation, True


def check_fresh(x):
    """Refuse a view of a leaf that was changed since."""
    if x.changes[0] != x.changes_at_creation:
        raise ValueError(
            f"{x.primitive.name if x.primitive else 'view'}: expected the leaf of which this is a view as it was when "
            "the view was made, but it was changed in place since. Make the view again after the change, or "
            "make a copy before it, with .detach()")


def watch(operands, places):
    """Watch the NumPy arrays among ``operands`` (a list, or a dict of options) at ``places``; copy those on a GPU.

    Returns what ``first_changed`` needs: a tuple of (place, array, some of its entries).
    """
    watched = ()
    for place in places:
        x = operands[place]
        if type(x) is np.ndarray:
            watched += ((place, x, compared_entries(x)),)
        elif type(x) is Packed and not x.on_device:
            watched += ((place, x.values, compared_entries(x.values)),)
        elif arrays.is_device(x):
            operands[place] = np.copy(x)
    return watched


def first_changed(watched):
    """The place of the first watched array with a changed entry among those compared; None if there is none."""
    for place, memory, before in watched:
        if compared_entries(memory) != before:
            return place
    return None


def compared_entries(x):
    """Some entries of x, as bytes.  It takes as long for a large array as for a small one."""
    return x.flat[compared_positions(x.size)].tobytes()


@functools.lru_cache(256)
def compared_positions(size):
    """Which entries of an array of ``size`` are compared: scattered, so that no axis escapes."""
    return np.random.RandomState(size % 2**32).randint(0, max(size, 1), COMPARED if size else 0)


# -- what is said of values that a pass or a replay cannot use ---------------------------------------

def changed_error(node):
    """The error for a node one of whose arguments was changed since the node was recorded."""
    place = first_changed(node.watched)
    what = ("one was changed in place since" if place is None else
            f"the array given as argument {place} was changed since. Pass a copy of a buffer that is filled again")
    return ValueError(f"{node.primitive.name}: expected its arguments as they were when it was recorded, but {what}. "
                      "Run the forward computation again before backward or replay")


class Freed:
    """What a node has in place of its inputs when ``backward(free=True)`` has dropped them: any use raises."""

    def __init__(self, name):
        self.name = name

    def __iter__(self):
        raise ValueError(f"{self.name}: expected a whole graph, but backward(free=True) has freed it. Leave free=True "
                         "away for all passes but the last, or run the forward computation again")

    __len__ = __getitem__ = lambda self, *index: iter(self)


def unrecorded_error(x, where):
    """The error for a replay that meets a value that may depend on a replaced one, unrecorded."""
    return ValueError(
        f"replay: {where} uses a value of shape {x.shape} that was computed under no_grad, perhaps from what is "
        "replaced, so it cannot be computed again. Compute it with recording on, and use .detach() to stop "
        "its gradient")
