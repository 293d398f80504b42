"""Every module has a test file with its name, so a reader of one finds the other."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Where the tests of a folder are, and how their names begin.
FOLDERS = {
    "minigrad": ("tests", "test_"),
    "minigrad/estimators": ("tests/estimators", "test_"),
    "kernels": ("tests/kernels", "test_"),
    "kernels/cpu": ("tests/kernels", "test_cpu_"),
    "kernels/device": ("tests/kernels", "test_device_"),
    "kernels/cuda": ("tests/cuda", "test_cuda_"),
}
#: Tests that must be elsewhere, with the reason.
ELSEWHERE = {
    "minigrad/torch.py": "tests/programs/test_minigrad_torch.py",       # with the other tests that need PyTorch
    "minigrad/__main__.py": "tests/test_main.py",
    "kernels/interrupts.py": "tests/test_interrupts.py",                # it also interrupts optimisers and modules
    "kernels/cuda/wide.py": "tests/test_cuda_wide.py",                  # runs compiled, not in the simulator
}


def file_for(module):
    """The file with the tests of a module."""
    folder, prefix = FOLDERS[module.parent.as_posix()]
    return ELSEWHERE.get(module.as_posix(), f"{folder}/{prefix}{module.name}")


MODULES = [path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))
           if path.name != "__init__.py"]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_a_test_file_of_its_name(module):
    assert (ROOT / file_for(module)).is_file(), f"{module}: expected its tests in {file_for(module)}"


@pytest.mark.parametrize("folder", ["tests/estimators", "tests/kernels", "tests/cuda"])
def test_test_files_of_modules_that_are_gone_are_gone(folder):
    """Every test file belongs to a module, or to a subject that several modules share."""
    shared = {"tests/estimators": {"every_rule", "graphs"}, "tests/kernels": {"cuda_simulator", "memory"},
              "tests/cuda": {"cuda_demos", "cuda_engine", "cuda_gated", "cuda_layers", "cuda_layers_of_nn",
                             "cuda_training", "gpu_benchmark"}}[folder]
    wanted = {file_for(module) for module in MODULES} | {f"{folder}/test_{name}.py" for name in shared}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob("test_*.py")} <= wanted
