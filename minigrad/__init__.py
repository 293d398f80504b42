"""minigrad: reverse-mode automatic differentiation with stochastic binary nodes.

Read on in this order: ``ops`` (each primitive beside its derivatives), ``graph`` (recording, backward,
replay), ``tensor``, ``objective`` and ``stochastic`` (binary nodes and what a rule may ask of them),
``estimators`` (the rules), ``neurons``, ``nn`` and ``optim``; ``testing`` checks all of them.
"""

__version__ = "0.1.0"


def _load_kernels_of_a_checkout():
    """Load ../kernels as minigrad.kernels where it is not installed under that name.

    Installing puts the folder kernels/ into this package (package_dir in setup.cfg); a plain checkout has it one
    level up. Exactly that folder is loaded: a longer ``__path__`` would let its neighbours be imported twice.
    """
    import sys
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    here = Path(__file__).resolve().parent
    if not (here / "kernels").is_dir():
        folder = here.parent / "kernels"
        spec = spec_from_file_location(
            "minigrad.kernels", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        sys.modules["minigrad.kernels"] = globals()["kernels"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["minigrad.kernels"])


_load_kernels_of_a_checkout()

from minigrad import (  # noqa: E402
    checkpoint,
    data,
    devices,
    estimators,
    kernels,
    neurons,
    nn,
    ops,
    optim,
    random,
    study,
    testing,
)
from minigrad.creation import arange, eye, ones, zeros  # noqa: E402
from minigrad.derivatives import hessian, jacobian, value_and_grad  # noqa: E402
from minigrad.draw import draw  # noqa: E402
from minigrad.graph import no_grad, replay  # noqa: E402
from minigrad.kernels import get_num_threads, set_num_threads, warmup  # noqa: E402
from minigrad.objective import expected  # noqa: E402
from minigrad.ops import *  # noqa: E402, F403
from minigrad.random import Generator, manual_seed  # noqa: E402
from minigrad.rule import Estimator  # noqa: E402
from minigrad.stochastic import bernoulli  # noqa: E402
from minigrad.tensor import Tensor, grad, tensor  # noqa: E402

__all__ = [
    "Estimator", "Generator", "Tensor", "arange", "bernoulli", "checkpoint", "data", "devices", "draw", "estimators",
    "expected", "eye", "get_num_threads", "grad", "hessian", "jacobian", "kernels", "manual_seed", "neurons", "nn",
    "no_grad", "ones", "ops", "optim", "random", "replay", "set_num_threads", "study", "tensor", "testing",
    "value_and_grad", "warmup", "zeros", *ops.__all__,
]
