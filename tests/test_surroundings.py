"""Unusual environments: where the package is imported from, Numba, its cache, and Python's options."""

import json
import re
import shutil
import sys
import zipfile

import numpy as np
import pytest
from interpreter import ROOT, printed, python

from demos import __main__ as course

QUIET = {"OPENBLAS_THREAD_TIMEOUT": "4", "OMP_WAIT_POLICY": "PASSIVE"}     # what demos with timings start again with


# ---- where it is imported from -------------------------------------------------------------------------------

USE = """
import sys, minigrad as mg
bits = mg.bernoulli([[-80.0, 80.0]], mg.estimators.Stop())
assert mg.kernels is sys.modules["minigrad.kernels"]
print(mg.kernels.__file__, bits.numpy().tolist())
"""


@pytest.mark.parametrize("kernels", ["minigrad/kernels", "kernels"], ids=["installed", "checkout"])
def test_the_package_works_from_a_zip(kernels, tmp_path):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for folder, name in (("minigrad", "minigrad"), ("kernels", kernels)):
            for path in (ROOT / folder).rglob("*.py"):
                file.write(path, f"{name}/{path.relative_to(ROOT / folder)}")
    found = printed("-c", USE, folder=tmp_path, PYTHONPATH=str(packed))
    assert found == f"{packed / kernels / '__init__.py'} [[0.0, 1.0]]"


def test_the_package_works_under_an_importer_that_knows_no_folders(tmp_path):
    """As in programs frozen by tools whose modules are in no folder."""
    code = f"""
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

class Frozen:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != "minigrad":
            return None
        file = Path({str(ROOT)!r}, *name.removeprefix("minigrad.kernels").split("."))
        if name.startswith("minigrad.kernels"):
            file = Path({str(ROOT)!r}, "kernels", *name.split(".")[2:])
        places = ["no folder"] if file.is_dir() else None
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        return spec_from_file_location(name, file, submodule_search_locations=places) if file.exists() else None

sys.meta_path.insert(0, Frozen)
{USE}"""
    found = printed("-c", code, folder=tmp_path, PYTHONPATH=None)
    assert found == f"{ROOT / 'kernels' / '__init__.py'} [[0.0, 1.0]]"


def test_a_clone_called_minigrad_works_from_the_folder_above(tmp_path):
    clone = tmp_path / "minigrad"
    for name in ("minigrad", "kernels"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    # What `pip install -e` leaves behind: this folder in Python's path (setup.cfg, editable_wheel).
    found = printed("-c", USE, folder=tmp_path, PYTHONPATH=str(clone))
    assert found == f"{clone / 'kernels' / '__init__.py'} [[0.0, 1.0]]"
    assert re.search(r"^\[editable_wheel\]\nmode = compat$", (ROOT / "setup.cfg").read_text(encoding="utf-8"),
                     re.MULTILINE)


def test_a_package_without_its_kernels_says_how_to_install_it(tmp_path):
    shutil.copytree(ROOT / "minigrad", tmp_path / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    process = python("-c", "import minigrad", folder=tmp_path, PYTHONPATH=None)
    assert re.fullmatch(r"ImportError: minigrad\.kernels: expected it in or beside .*minigrad, found it nowhere\. "
                        r"Install the package, .*python -m pip install .*", process.stderr.splitlines()[-1])


def hiding():
    """The files that hide a module of Python's own from a Python started in their folder."""
    files = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("kernels/**/*.py"), *ROOT.glob("demos/**/*.py")]
    return [path for path in files if path.stem in sys.stdlib_module_names and not path.stem.startswith("__")]


def test_a_file_that_hides_a_module_of_pythons_says_so():
    assert {path.stem for path in hiding()} == {"random", "statistics"}
    for path in hiding():
        process = python("-c", f"import {path.stem}", folder=path.parent, PYTHONPATH=None)
        place = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert process.stderr.splitlines()[-1].startswith(f"ImportError: this file is {place}, but Python was started")


# ---- demos ---------------------------------------------------------------------------------------------------

RUN_FILES = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv, sys.path[0] = [path, "--help"], path.rpartition("/")[0]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        assert not end.code, (path, end)
"""


def test_every_demo_runs_as_a_file_without_docstrings_and_in_ascii():
    pytest.importorskip("matplotlib", reason="the demos need matplotlib")
    files = [ROOT / "demos" / name for name in course.COURSE + course.LONGER]
    files = [file / "__main__.py" if file.is_dir() else file.with_suffix(".py") for file in files]
    text = printed("-OO", "-c", RUN_FILES, *files, PYTHONIOENCODING="ascii", **QUIET)
    for name in course.COURSE + course.LONGER:
        assert f"usage: python -m demos.{name}" in text


def test_a_demo_runs_by_its_name(tmp_path):
    pytest.importorskip("matplotlib", reason="the demos need matplotlib")
    picture = tmp_path / "picture.png"
    text = printed("-m", "demos", "score_function", "--samples", "50", "--out", picture, PYTHONIOENCODING="cp1252")
    assert text.startswith("theta   E[cost]     slope")
    assert picture.exists()
    wrong = python("-m", "demos", "score")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("demos: expected the name of a demo, got 'score'. The demos are reverse_mode, ")
    assert "reverse_mode" in printed("-OO", "-m", "demos", PYTHONIOENCODING="ascii")


# ---- Numba ---------------------------------------------------------------------------------------------------

TRAIN = """
import hashlib, json, sys
for name in sys.argv[1:]:
    sys.modules[name] = None            # it cannot be imported then

import numpy as np
import minigrad as mg

found = {}
for dtype, block in (("float32", 1), ("float64", 4)):
    for optimiser in (mg.optim.Adam, mg.optim.SGD):
        rng = mg.Generator(3)
        first = mg.nn.GatedLinear(12, 20, rng, block=5, dtype=dtype)
        net = mg.nn.ConditionalNetwork(rng, inputs=20, hidden=8, units=32, outputs=5, block=block, dtype=dtype)
        steps, losses = optimiser([net, first], lr=0.05), []
        for rule in (mg.estimators.StraightThrough(), mg.estimators.DisARM(), mg.estimators.Reinforce()):
            bits = lambda logits: mg.bernoulli(logits, rule, rng=rng)
            x = mg.tensor(rng.uniform((16, 12)).astype(dtype))
            h = first(x, mg.tensor(np.tile([0, 1], (16, 2)).astype(dtype)))
            scores = [net.scores(h, gate(net.logits(h.to_dense()))) for gate in (bits, mg.sigmoid)]
            loss = sum(mg.expected(mg.cross_entropy(s, np.arange(16) % 5)) for s in scores)
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(loss.item())
        one = net(h.to_dense()[:1], lambda logits: (logits > 0).astype(dtype)).numpy()
        found[f"{dtype} {optimiser.__name__}"] = [*losses, *one[0].tolist()]

rng = mg.Generator(9)
x = mg.tensor(np.ones(5000, "float32"), requires_grad=True)
steps = mg.optim.Adam([x])
for _ in range(3):
    steps.zero_grad()
    (x * x * rng.uniform((5000,), np.float32)).sum().backward()
    steps.step()
bits = mg.bernoulli(rng.normal((90, 90)), mg.estimators.Stop(), rng=rng)
found["bits"] = [hashlib.sha256(a.tobytes()).hexdigest() for a in (bits.numpy(), x.numpy())]
mg.warmup()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def compiled():
    return json.loads(printed("-c", TRAIN))


@pytest.mark.parametrize("how", ["NUMBA_DISABLE_JIT", "without Numba"])
def test_training_without_compiled_kernels_gives_the_same(how, compiled):
    if how == "without Numba":
        process = python("-c", TRAIN, "numba", "llvmlite")
        assert process.stderr.count("\n") == 1, process.stderr
        assert process.stderr.startswith("minigrad: Numba cannot be imported (")
        assert "python -m pip install --upgrade numba" in process.stderr
    else:
        process = python("-c", TRAIN, NUMBA_DISABLE_JIT="1")
        assert process.stderr == ""
    found = json.loads(process.stdout)
    assert found.pop("bits") == compiled["bits"]
    for name, numbers in found.items():
        np.testing.assert_allclose(numbers, compiled[name], rtol=1e-4 if "32" in name else 1e-12, err_msg=name)
