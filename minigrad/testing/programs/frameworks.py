"""Find the framework of a program from its parameters."""

from importlib import import_module

from minigrad.arguments import described

#: The package of the class of an array, and the module that checks programs with such arrays.
MODULES = {"torch": "pytorch", "jax": "jax", "jaxlib": "jax", "numpy": "numpy"}


def leaves(params):
    """The arrays in lists, tuples and dicts of them."""
    if isinstance(params, dict):
        params = list(params.values())
    if isinstance(params, (list, tuple)):
        return [x for part in params for x in leaves(part)]
    return [params]


def module_for(params):
    """The module of ``minigrad.testing.programs`` for these parameters, and the parameters.

    If the parameters are a Python generator, they are returned as a list.

    Raises
    ------
    TypeError
        The parameters belong to no framework, or to several.

    >>> import numpy as np
    >>> module, _ = module_for({"logits": np.zeros(2)})
    >>> module.__name__
    'minigrad.testing.programs.numpy'
    """
    if hasattr(params, "__next__"):
        params = list(params)
    found = leaves(params)
    names = {MODULES.get(base.__module__.partition(".")[0]) for x in found for base in type(x).__mro__} - {None}
    if len(names) != 1:
        raise TypeError("expected params to be arrays of one framework (PyTorch, JAX or NumPy), got "
                        f"{', '.join(map(described, found)) or 'none'}")
    return import_module(f"minigrad.testing.programs.{names.pop()}"), params


def check(cost, params, estimate=None, **options):
    """The report of ``check_estimator`` of the framework of ``params``, with the same arguments."""
    module, params = module_for(params)
    return module.check_estimator(cost, params, *([] if estimate is None else [estimate]), **options)


def check_returned(what, returned, **options):
    """The report on what a function returned: cost, params and estimate, as a tuple or as a dict of arguments."""
    if isinstance(returned, dict) and {"cost", "params"} <= returned.keys():
        return check(**{**returned, **options})
    if isinstance(returned, tuple) and len(returned) in (2, 3):
        return check(*returned, **options)
    raise TypeError(f"expected {what} to return (cost, params) or (cost, params, estimate), or a dict of the arguments "
                    f"of check_estimator, got {described(returned)}")
