"""An array of the device in the form that a launch takes without converting it."""

import weakref

from numba import config, cuda

_views = {}


def contiguous(array):
    """The array itself if its rows lie one after another, as kernels expect, else a copy."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def view(array):
    """The view of `array` for numba.cuda, made once and forgotten with the array."""
    key = id(array)
    known = _views.get(key)
    if known is not None and known[0]() is array:
        return known[1]

    def forget(reference, views=_views):    # an argument, since at exit arrays may outlive this module's globals
        if views.get(key, (None,))[0] is reference:
            del views[key]

    converted = _convert(array)
    _views[key] = weakref.ref(array, forget), converted
    return converted


if config.ENABLE_CUDASIM:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    def _convert(array):
        return FakeCUDAArray(array.memory)
else:
    def _convert(array):
        # No owner, since the view must not keep its array alive. Memory that is freed while a kernel still uses it
        # goes back to CuPy's pool. The pool hands it out again to later work of the same stream only, so there is
        # nothing to wait for either (sync).
        return cuda.from_cuda_array_interface(array.__cuda_array_interface__, owner=None, sync=False)
