"""The examples in the documentation of the kernels run as written."""

import doctest
import importlib
import pkgutil

import pytest

from minigrad import kernels


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(kernels.__path__)])
def test_examples(name):
    module = importlib.import_module(f"minigrad.kernels.{name}")
    assert doctest.testmod(module).failed == 0
