"""The special functions of CuPy (``cupyx.scipy.special``), for arrays of the module ``cupy`` in this folder."""

from .cupy import to_array, to_memory

NAMES = ("betaln", "digamma", "erf", "erfc", "erfcx", "gammaln", "log_ndtr", "logit", "ndtr", "ndtri", "polygamma",
         "xlog1py", "xlogy")


def __getattr__(name):
    if name not in NAMES:
        raise AttributeError(f"cupyx.scipy.special has no {name}")
    from scipy import special

    def of_arrays(*arguments):
        return to_array(getattr(special, name)(*map(to_memory, arguments)))

    return of_arrays
