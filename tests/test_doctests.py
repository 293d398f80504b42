"""The examples in the docstrings of minigrad and its kernels run and print what they show."""

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

#: Modules for other frameworks, and what they import.
FRAMEWORKS = {
    "minigrad.testing.programs.jax": "jax",
    "minigrad.testing.programs.jax_samplers": "jax",
    "minigrad.testing.programs.pytorch": "torch",
    "minigrad.testing.programs.torch_samplers": "torch",
    "minigrad.torch": "torch",
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name in FRAMEWORKS:
        pytest.importorskip(FRAMEWORKS[name], reason=f"{FRAMEWORKS[name]} is not installed")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
