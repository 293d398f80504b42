"""Copies between the host and the device. Each copy is counted.

A copy to the host waits until the device has done its work. So the conditions in ``deferred`` are tested after it.
"""

from . import arrays, work
from .deferred import settle


def to_device(array):
    """A copy of a NumPy array on the device, in the same memory order."""
    library = arrays.device_library()
    if not arrays.simulated():     # the simulator counts its own transfers
        work.transferred()
    return library.array(array, order="K")


def to_host(array):
    """A copy of an array of the device as a NumPy array, in the same memory order.

    Raises the error of a condition in ``deferred`` that does not hold.
    """
    if not arrays.simulated():
        work.transferred()
    copied = array.get(order="A")
    settle()
    return copied
