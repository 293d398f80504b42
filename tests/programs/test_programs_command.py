"""The pytest plugin and the command, on functions in NumPy; and on PyTorch and JAX where they are installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad.testing.__main__ import main
from minigrad.testing.programs import numpy as programs
from minigrad.testing.programs.frameworks import check, module_for
from minigrad.testing.programs.plots import picture

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''
import numpy as np
import pytest

logits = np.array([0.3, -0.5])


def run(choices):
    p = 1 / (1 + np.exp(-logits))
    bits = choices.bernoulli(p)
    return (bits.sum() - 0.4) ** 2, bits - p


def cost(choices):
    return run(choices)[0]


def right(choices):
    cost, score = run(choices)
    return cost * score


def wrong(choices):
    return 0.5 * right(choices)


@pytest.mark.unbiased
def test_right():
    return cost, logits, right


@pytest.mark.unbiased(samples=1000)
def test_wrong():
    return cost, logits, wrong


@pytest.mark.unbiased
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_with_fixtures(factor, tmp_path):
    return {"cost": cost, "params": logits, "estimate": lambda choices: factor * right(choices)}


@pytest.mark.unbiased
def test_without_result():
    pass


@pytest.mark.unbiased("strict")
def test_with_a_mark_that_is_no_keyword():
    return cost, logits, right


@pytest.mark.unbiased(samples=2)
def test_too_large():
    return cost, logits, right


def test_as_a_function(assert_unbiased):
    assert assert_unbiased(cost, {"a": logits}, right, samples=2000).exact
    assert_unbiased(cost, {"a": logits}, wrong)


def test_without_the_mark():
    assert True
'''


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "test_estimators_of_mine.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def pytest_run(source, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "COLUMNS": "200"}
    process = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *options,
                              str(source)], cwd=source.parent, env=environment, capture_output=True, text=True)
    return process.returncode, process.stdout


def test_the_mark_and_the_fixture(source):
    status, said = pytest_run(source, "-p", "minigrad.testing.plugin", "-q", "-rpf", "-W", "error")
    assert status == 1
    for name in ("test_right", "test_with_fixtures[1.0]", "test_without_the_mark"):
        assert f"PASSED test_estimators_of_mine.py::{name}" in said
    for name in ("test_wrong", "test_with_fixtures[2.0]", "test_as_a_function"):
        assert f"FAILED test_estimators_of_mine.py::{name} - Failed: biased at" in said
    assert "the mean is 0.5 times the gradient throughout" in said
    assert "4 outcomes enumerated: exact" in said       # the report, printed for the tests that fail
    assert "expected test_without_result to return (cost, params) or (cost, params, estimate)" in said
    assert "expected pytest.mark.unbiased with keywords only, such as samples=1000, got ('strict',)" in said
    assert "expected at most samples = 2 outcomes" in said
    assert "3 passed, 6 failed" in said.replace("6 failed, 3 passed", "3 passed, 6 failed")


def test_the_plugin_can_be_named_in_conftest(source):
    (source.parent / "conftest.py").write_text('pytest_plugins = ["minigrad.testing.plugin"]\n', encoding="utf-8")
    status, said = pytest_run(source, "-k", "test_right")
    assert status == 0, said


def test_the_plugin_is_not_there_unless_it_is_asked_for(source):
    status, said = pytest_run(source)
    assert status != 0
    assert "'unbiased' not found in `markers` configuration option" in said


def command(source, function, *options):
    """The exit status, without the marks, which this run of pytest does not know."""
    text = re.sub("^@pytest.*\n", "", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    source.write_text(text, encoding="utf-8")
    return main(["check", f"{source}::{function}", *options])


def test_the_command(source, capsys):
    assert command(source, "test_right") == 0
    said = capsys.readouterr().out
    assert "4 outcomes enumerated: exact; cosine 1.0000" in said
    assert "| gradient   o mean of the estimate" in said
    assert command(source, "test_wrong", "--samples", "100") == 1
    assert "the mean is 0.5 times the gradient throughout" in capsys.readouterr().out


def test_the_command_is_a_program(source):
    process = subprocess.run([sys.executable, "-m", "minigrad.testing", "check", f"{source}::test_wrong"],
                             cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 1
    assert "gradient[0]" in process.stdout


@pytest.mark.parametrize(("function", "options", "said"), [
    ("test_other", (), "expected a function of .*, got test_other. It has run, cost, right, wrong, test_right"),
    ("test_without_result", (), "could not be checked: expected .*::test_without_result to return"),
    ("test_right", ("--samples", "2"), "expected at most samples = 2 outcomes"),
])
def test_what_the_command_cannot_check(source, capsys, function, options, said):
    assert command(source, function, *options) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_target_that_is_no_file(capsys, tmp_path):
    assert main(["check", "nowhere.py::f"]) == 2
    assert "There is no file nowhere.py" in capsys.readouterr().err
    assert main(["check", __file__]) == 2
    assert "expected FILE::FUNCTION" in capsys.readouterr().err
    other = tmp_path / "estimator.txt"
    other.write_text("", encoding="utf-8")
    assert main(["check", f"{other}::f"]) == 2
    assert "must end with .py" in capsys.readouterr().err


def test_a_nan_is_said(tmp_path, capsys):
    path = tmp_path / "nan.py"
    path.write_text("import numpy as np\nx = np.ones(1)\n"
                    "def f():\n    return lambda c: x.sum(), x, lambda c: x * np.nan\n", encoding="utf-8")
    assert command(path, "f") == 1
    assert "not finite: the estimate is nan at gradient[0]" in capsys.readouterr().out


def test_a_picture_puts_things_where_they_are():
    theta = np.array([0.0, 0.0])

    def cost(choices):
        return float(theta @ [1.0, 3.0])

    def estimate(choices):
        return np.array([1.0, 2.0]) + np.array([0.0, 1.0]) * (2 * choices.bernoulli(0.5) - 1)
    lines = picture(programs.check_estimator(cost, theta, estimate), width=21).splitlines()
    # From 1 to 3 in 21 columns.
    assert lines[0] == "gradient[0]  *"
    assert lines[1] == "gradient[1]  ----------o---------|"
    assert lines[2] == " " * 13 + "1" + "3".rjust(20)


def test_a_picture_of_nothing_but_one_number():
    theta = np.array([0.0])
    assert "*" in picture(programs.check_estimator(lambda c: theta.sum(), theta, lambda c: np.ones(1)))


# ---- which framework -----------------------------------------------------------------------------------------


def test_the_framework_is_that_of_the_parameters():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = torch.nn.Linear(2, 1)
    for params in (model, model.parameters(), dict(model.named_parameters()), model.weight, [torch.zeros(2)]):
        assert module_for(params)[0].__name__.endswith(".pytorch")
    assert len(module_for(model.parameters())[1]) == 2
    with pytest.raises(TypeError, match=r"JAX or NumPy\), got a numpy.ndarray of shape .*, a torch.Tensor"):
        module_for([np.zeros(2), torch.zeros(2)])

    logit = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    report = check(lambda: torch.bernoulli(torch.sigmoid(logit)).sum(), logit, lambda: 0.25 * logit.sum())
    assert report.unbiased


def test_the_framework_jax():
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    assert module_for({"a": [jax.numpy.zeros(2)]})[0].__name__.endswith(".jax")


@pytest.mark.parametrize("params", [[], 0.5, "logits", {"a": None}])
def test_parameters_of_no_framework(params):
    with pytest.raises(TypeError, match="expected params to be arrays of one framework"):
        module_for(params)
