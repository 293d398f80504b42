"""minigrad: reverse-mode automatic differentiation with stochastic binary nodes."""

__version__ = "0.1.0"


def _load_kernels_of_a_checkout():
    """Load ../kernels as minigrad.kernels where it is not installed under that name.

    Installing puts the folder kernels/ into this package (package_dir in setup.cfg); a checkout has it one
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
