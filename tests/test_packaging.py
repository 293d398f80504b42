"""Every way to install minigrad gives the same package: one copy of everything, and a fast import."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).resolve().parents[1]


def python(code, folder=ROOT):
    """The completed process of `code`, run in a fresh interpreter in `folder`."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def printed(code, folder=ROOT):
    process = python(code, folder)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_every_folder_with_code_is_listed_in_setup_cfg():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    files = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("kernels/**/*.py")]
    folders = {".".join(file.parent.relative_to(ROOT).parts) for file in files}
    packages = {name if name.startswith("minigrad") else f"minigrad.{name}" for name in folders}
    assert sorted(listed) == sorted(packages)


def test_every_place_that_names_the_version_names_the_same():
    def first(pattern, file):
        return re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)[1]

    # A literal: what is built reads it from the text, where NumPy may be missing.
    literal = first('^__version__ = "(.+)"$', "minigrad/__init__.py")
    assert minigrad.__version__ == literal
    assert first("^version: (.+)$", "CITATION.cff") == literal
    assert first("^## ([0-9.]+)", "CHANGELOG.md") == literal


def test_importing_the_folder_kernels_names_the_right_import():
    process = python("import kernels")
    assert process.returncode != 0
    assert "ImportError" in process.stderr
    assert "minigrad.kernels" in process.stderr


def test_a_checkout_uses_its_own_kernels_whatever_else_is_installed(tmp_path):
    for name in ("minigrad", "kernels"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    loaded = printed("import minigrad.kernels; print(minigrad.kernels.__file__)", tmp_path)
    assert Path(loaded).samefile(tmp_path / "kernels" / "__init__.py")


@pytest.mark.parametrize(
    "how",
    [
        "import minigrad.kernels as kernels",
        "from minigrad import kernels",
        "import minigrad; kernels = minigrad.kernels",
        "import importlib; kernels = importlib.import_module('minigrad.kernels')",
    ],
)
def test_every_way_to_import_the_kernels_gives_the_same(how):
    assert printed(f"{how}; import sys; print(kernels is sys.modules['minigrad.kernels'])") == "True"


def test_no_file_is_imported_twice():
    code = """
import collections, sys
import minigrad, minigrad.kernels
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
counts = collections.Counter(file for file in files if file and ("minigrad" in file or "kernels" in file))
print([file for file, count in counts.items() if count > 1])
"""
    assert printed(code) == "[]"


def test_importing_minigrad_imports_numpy_and_nothing_else_that_is_large():
    large = ["numba", "llvmlite", "scipy", "cupy", "matplotlib", "tqdm", "torch", "pytest", "hypothesis"]
    loaded = printed(f"import sys, minigrad; print([name for name in {large} if name in sys.modules])")
    assert loaded == "[]"
