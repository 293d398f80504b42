"""Test an installed wheel from an empty folder: everything is there and can be used.

This is not a test of pytest, because pytest would import the checkout. `.ci/run` calls it.
"""

import importlib
import importlib.metadata
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import minigrad
import minigrad as mg
import minigrad.kernels

installed = Path(minigrad.__file__).parent
assert "site-packages" in installed.parts, f"expected the installed package, got the one in {installed}"
assert Path(minigrad.kernels.__file__) == installed / "kernels" / "__init__.py"
assert importlib.metadata.version("minigrad-neurons") == minigrad.__version__

# Without the extras: these say what is missing.
NEED = {"minigrad.torch": "torch", "minigrad.testing.plugin": "pytest", "minigrad.testing.programs.pytorch": "torch",
        "minigrad.testing.programs.torch_samplers": "torch", "minigrad.testing.programs.jax": "jax",
        "minigrad.testing.programs.jax_samplers": "jax"}
modules = [module.name for module in pkgutil.walk_packages(minigrad.__path__, "minigrad.")]
for name in modules:
    try:
        importlib.import_module(name)
    except ImportError as error:
        if name not in NEED or find_spec(NEED[name]) is not None:
            raise
        print(f"{name}: {error}")

print(f"minigrad {minigrad.__version__} in {installed}: {len(modules)} modules imported")

# One step of training through everything: a random gate, a layer that skips, its kernels, an optimiser.
rng = mg.Generator(1)
network = mg.nn.ConditionalNetwork(rng, inputs=16, hidden=8, units=64, outputs=3, block=16)
optimiser = mg.optim.SGD(network, lr=0.1)
x, labels = rng.uniform((5, 16), np.float32), np.array([0, 1, 2, 0, 1])
before = network.experts.weight.numpy().copy()
scores = network(x, lambda logits: mg.bernoulli(logits, mg.estimators.StraightThrough(), rng=rng))
mg.expected(mg.cross_entropy(scores, labels)).backward()
optimiser.step()
assert not np.array_equal(before, network.experts.weight.numpy()), "a training step left the weight as it was"
print("one training step: done")
