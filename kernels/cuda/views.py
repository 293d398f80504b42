"""Arrays of the device in the form of numba.cuda, so that a launch does not convert them again."""

import weakref

from numba import config, cuda

_views = {}


def contiguous(array):
    """The array itself if it is contiguous, as kernels expect it, else a copy."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def view(array):
    """The view of `array` for numba.cuda. It is made once and kept until the array is freed."""
    key = id(array)
    known = _views.get(key)
    if known is not None and known[0]() is array:
        return known[1]

    def forget(reference, views=_views):    # an argument: at exit, this module's globals may go before the arrays
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
        # owner=None: the view does not keep its array alive. This is safe. If the array is freed while a kernel still
        # uses it, its memory goes back to CuPy's pool, and the pool gives it only to later work of the same stream.
        # sync=False: for the same reason nothing has to wait.
        return cuda.from_cuda_array_interface(array.__cuda_array_interface__, owner=None, sync=False)
