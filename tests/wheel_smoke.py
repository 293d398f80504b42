"""Run against an installed wheel, from an empty folder: everything is there and can be used.

Not a test of pytest's: pytest would find the checkout beside it. `.ci/run` calls it.
"""

import importlib
import importlib.metadata
import pkgutil
from pathlib import Path

import minigrad
import minigrad.kernels

installed = Path(minigrad.__file__).parent
assert "site-packages" in installed.parts, f"expected the installed package, got the one in {installed}"
assert Path(minigrad.kernels.__file__) == installed / "kernels" / "__init__.py"
assert importlib.metadata.version("minigrad-neurons") == minigrad.__version__

modules = [module.name for module in pkgutil.walk_packages(minigrad.__path__, "minigrad.")]
for name in modules:
    importlib.import_module(name)

print(f"minigrad {minigrad.__version__} in {installed}: {len(modules)} modules imported")
