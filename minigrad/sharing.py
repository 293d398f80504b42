"""Detecting changes of arrays that a graph uses.

A graph refers to arrays that other code may change.  There are three kinds:

Leaves.  An optimiser changes them in place.  Each leaf counts its changes, and each node stores the counts of its
inputs.  If a leaf has changed since a graph was recorded, backward and replay of the graph raise an error.

Views of leaves, such as ``w.T``, ``w[0]`` or ``w.reshape(-1)``.  They use the memory of the leaf, and share its count.
A view stores the count at the time when it was made.  If the leaf has changed since then, every use of the view raises
an error.

NumPy arrays that are passed to a primitive.  Small arrays are copied.  For large arrays, some entries are compared at
backward and at replay, because a copy would take as long as the primitive itself.  So a buffer that was filled with
other data is detected.  A change of a single entry may be missed.  Large arrays on a GPU are copied.
"""

import functools
from typing import Any

import numpy as np

from minigrad.kernels import Packed
from minigrad.kernels.device import arrays

#: NumPy operands of at most this number of bytes are copied.
COPIED = 1024

#: The number of entries of a larger operand that are compared.
COMPARED = 32


def plain(x: Any, caller: str) -> Any:
    """x, but an array of a subclass of ``np.ndarray``, such as a memmap, as an ordinary array.

    Raises
    ------
    TypeError
        x is a masked array or a matrix, or a list that contains one.

    >>> type(plain(np.recarray(2, [("x", float)]), "multiply"))
    <class 'numpy.ndarray'>
    """
    for part in x if isinstance(x, (list, tuple)) else (x,):
        if isinstance(part, (list, tuple)):
            plain(part, caller)
        if isinstance(part, np.ma.MaskedArray):
            raise TypeError(f"{caller}: expected an ordinary array, got a masked array. Its mask would be lost. "
                            "Use x.filled(0), and apply the mask with mg.where, or multiply by mg.tensor(~x.mask)")
        if isinstance(part, np.matrix):
            raise TypeError(f"{caller}: expected an ordinary array, got a matrix, for which * is the matrix product. "
                            "Use np.asarray(x)")
    return x.view(np.ndarray) if isinstance(x, np.ndarray) and type(x) is not np.ndarray else x


def read_only(x: Any) -> Any:
    """A read-only view of a NumPy array; any other object unchanged."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


def overlap(value, x):
    """Whether two arrays may share memory.

    >>> x = np.zeros((2, 3))
    >>> overlap(x[0], x), overlap(x + 1, x)
    (True, False)
    """
    return value is x or (type(value) is type(x) and np.may_share_memory(value, x))


def link(out, owner):
    """Make ``out`` a view of ``owner``, which owns the memory of its value.  They share one count of changes."""
    if owner.primitive is None and type(owner.changes) is tuple:
        owner.changes = [0]
    out.changes, out.changes_at_creation, out.is_view = owner.changes, owner.changes_at_creation, True


def check_fresh(x):
    """Raise a ValueError for a view of a leaf that has changed since the view was made."""
    if x.changes[0] != x.changes_at_creation:
        raise ValueError(
            f"{x.primitive.name if x.primitive else 'view'}: expected a view of an unchanged leaf, but the leaf was "
            "changed in place after the view was made. Make the view again after the change, or make a copy before the "
            "change, with .detach()")


def watch(operands, keys):
    """Store some entries of large NumPy arrays among ``operands``, so that changes can be detected.

    ``operands`` is a list of arguments or a dict of options, and ``keys`` are those to watch.  Arrays on a GPU are
    replaced by copies.  Returns a tuple of (key, array, entries) for ``first_changed``.
    """
    watched = ()
    for key in keys:
        x = operands[key]
        if type(x) is np.ndarray:
            watched += ((key, x, compared_entries(x)),)
        elif type(x) is Packed and not x.on_device:
            watched += ((key, x.values, compared_entries(x.values)),)
        elif arrays.is_device(x):
            operands[key] = np.copy(x)
    return watched


def first_changed(watched):
    """The key of the first watched array that has changed.  None if no change is found."""
    for key, memory, before in watched:
        if compared_entries(memory) != before:
            return key
    return None


def compared_entries(x):
    """Some entries of x, as bytes.  The time does not depend on the size of x."""
    return x.flat[compared_positions(x.size)].tobytes()


@functools.lru_cache(256)
def compared_positions(size):
    """The positions of the entries that are compared, for an array of this size.  They are random but fixed."""
    return np.random.RandomState(size % 2**32).randint(0, max(size, 1), COMPARED if size else 0)


# -- errors for values that a backward pass or a replay cannot use -----------------------------------

def changed_error(node):
    """The error for a node with an argument that has changed since the node was recorded."""
    key = first_changed(node.watched)
    what = ("one was changed in place" if key is None else
            f"the array of argument {key} was changed. If you fill a buffer again, pass a copy of it")
    return ValueError(f"{node.primitive.name}: expected arguments that are unchanged since the recording, but {what}. "
                      "Run the forward pass again before backward or replay")


class Freed:
    """Replaces the inputs of a node that ``backward(free=True)`` has freed.  Any use of them raises an error."""

    def __init__(self, name):
        self.name = name

    def __iter__(self):
        raise ValueError(f"{self.name}: expected a whole graph, but backward(free=True) has freed it. Use free=True "
                         "in the last pass only, or run the forward pass again")

    __len__ = __getitem__ = lambda self, *index: iter(self)


def unrecorded_error(x, where):
    """The error for a replay that needs an unrecorded value, which may depend on a replaced value."""
    return ValueError(
        f"replay: {where} uses a value of shape {x.shape} that was computed under no_grad. It may depend on a "
        "replaced value, and cannot be computed again. Compute it with recording on, and use .detach() to stop its "
        "gradient")
