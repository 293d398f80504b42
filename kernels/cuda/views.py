"""An array of the device in the form that a launch takes without converting it."""

import weakref

from numba import config, cuda

_views = {}


def contiguous(array):
    """The array itself where its rows lie one after another, as kernels are compiled for, else a copy."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def view(array):
    """The view of `array` for numba.cuda, made once and forgotten with the array."""
    key = id(array)
    known = _views.get(key)
    if known is not None and known[0]() is array:
        return known[1]

    def forget(reference, views=_views):    # by name: at exit, arrays may outlive this module's own names
        if views.get(key, (None,))[0] is reference:
            del views[key]

    made = _convert(array)
    _views[key] = weakref.ref(array, forget), made
    return made


if config.ENABLE_CUDASIM:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    def _convert(array):
        return FakeCUDAArray(array.memory)
else:
    def _convert(array):
        # Without an owner: the view must not keep its array alive. Memory that is freed while a kernel still
        # uses it goes back to CuPy's pool, which hands it out again in the order of the same stream. For that
        # reason, too, there is nothing to wait for (sync).
        return cuda.from_cuda_array_interface(array.__cuda_array_interface__, owner=None, sync=False)
