"""minigrad: reverse-mode automatic differentiation with stochastic binary nodes.

Read on in this order: ``ops`` (each primitive beside its derivatives), ``graph`` (recording, backward,
replay), ``tensor``, ``objective`` and ``stochastic`` (binary nodes and what a rule may ask of them),
``estimators`` (the rules), ``neurons``, ``nn`` and ``optim``; ``testing`` checks all of them.
"""

__version__ = "0.2.0"


def _load_kernels():
    """Load minigrad.kernels from this package, or in a checkout from the folder kernels/ beside it.

    Installing puts the folder kernels/ into this package (package_dir in setup.cfg). Exactly that folder is
    loaded: a longer ``__path__`` would let its neighbours be imported twice. The folders are searched by Python's
    own finder, so they may also be in a zip file. Where it finds nothing, as in some frozen programs, the import
    below asks all finders.
    """
    import sys
    from importlib.machinery import PathFinder
    from importlib.util import find_spec, module_from_spec
    from os.path import dirname

    here = __spec__.submodule_search_locations
    spec = PathFinder.find_spec("minigrad.kernels", [*here, *map(dirname, here)])
    if spec is None and find_spec("minigrad.kernels") is None:
        raise ImportError(f"minigrad.kernels: expected it in or beside {', '.join(here)}, found it nowhere. Install "
                          "the package, also before you freeze a program (python -m pip install .); do not copy it")
    if spec is not None and spec.loader is not None:
        sys.modules["minigrad.kernels"] = globals()["kernels"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["minigrad.kernels"])


_load_kernels()

from typing import TYPE_CHECKING  # noqa: E402

from minigrad import devices, kernels, ops, random  # noqa: E402
from minigrad.creation import arange, eye, ones, zeros  # noqa: E402
from minigrad.functional import grad, hessian, jacobian, replay, value_and_grad  # noqa: E402
from minigrad.kernels import get_num_threads, set_num_threads, warmup  # noqa: E402
from minigrad.objective import expected  # noqa: E402
from minigrad.ops import *  # noqa: E402, F403
from minigrad.random import Generator, manual_seed  # noqa: E402
from minigrad.recording import no_grad  # noqa: E402
from minigrad.rule import Estimator  # noqa: E402
from minigrad.stochastic import bernoulli  # noqa: E402
from minigrad.tensor import Tensor, tensor  # noqa: E402

if TYPE_CHECKING:
    from minigrad import checkpoint, data, estimators, neurons, nn, optim, study, testing
    from minigrad.compiled import compile_one
    from minigrad.diagrams import draw

__all__ = [
    "Estimator", "Generator", "Tensor", "arange", "bernoulli", "checkpoint", "compile_one", "data", "devices", "draw",
    "estimators", "expected", "eye", "get_num_threads", "grad", "hessian", "jacobian", "kernels", "manual_seed",
    "neurons", "nn", "no_grad", "ones", "ops", "optim", "random", "replay", "set_num_threads", "study", "tensor",
    "testing", "value_and_grad", "warmup", "zeros", *ops.__all__,
]

# What is loaded when it is first used, so that importing minigrad takes little longer than importing NumPy.
_MODULES = "checkpoint", "data", "estimators", "neurons", "nn", "optim", "study", "testing"
_FUNCTIONS = {"compile_one": "minigrad.compiled", "draw": "minigrad.diagrams"}


def __getattr__(name):
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"minigrad.{name}")
    if name in _FUNCTIONS:
        value = globals()[name] = getattr(import_module(_FUNCTIONS[name]), name)
        return value
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
