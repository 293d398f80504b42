"""The examples in the docstrings of minigrad and its kernels run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import minigrad.kernels

# In a checkout the kernels lie beside the package, so its own path does not lead to them.
MODULES = sorted(
    {"minigrad", "minigrad.kernels"}
    | {
        module.name
        for package in (minigrad, minigrad.kernels)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    }
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
