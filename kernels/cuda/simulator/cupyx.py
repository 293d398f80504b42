"""The special functions that CuPy has (``cupyx.scipy.special``), for arrays of ``cupy`` beside this file."""

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
