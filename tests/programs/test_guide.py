"""The code of docs/test_your_estimator.md runs, and prints what the guide shows.

The blocks of a section run in order.  If a text follows a block, the block must produce this text: its last function is
a test that fails with it, or the block prints it.
"""

import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "test_your_estimator.md"
SECTIONS = {part.partition("\n")[0]: part for part in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]}
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:(?:\n[^`\n#][^`#]*)?\n```text\n(.*?)^```)?", re.MULTILINE | re.DOTALL)


def missing(section):
    return [name for name in ("torch", "jax") if f"import {name}" in section and find_spec(name) is None]


def same(said, text):
    """Whether two texts agree: the words are the same, and numbers are, up to rounding."""
    number = re.compile(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|-?inf")
    if number.sub("#", said).split() != number.sub("#", text).split():
        return False
    return all(math.isclose(float(a), float(b), rel_tol=2e-3, abs_tol=1e-9)
               for a, b in zip(number.findall(said), number.findall(text), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, text in SECTIONS.items() if "```python" in text])
def test_a_section(name, capsys):
    if missing(SECTIONS[name]):
        pytest.skip(f"{' and '.join(missing(SECTIONS[name]))} not installed")
    namespace = {"__name__": "guide"}
    for code, text in BLOCK.findall(SECTIONS[name]):
        before = set(namespace)
        capsys.readouterr()
        exec(compile(code.replace("@pytest.mark.unbiased(seed=0)", ""), str(GUIDE), "exec"), namespace)
        tests = [namespace[new] for new in namespace if new not in before and new.startswith("test_")]
        for test in tests:
            run(test, text)
        if not tests and text:
            said = capsys.readouterr().out
            assert same(said, text), said


def run(test, text):
    """Run a test, which fails with a text, if there is one."""
    marks = getattr(test, "pytestmark", [])
    if marks:       # parametrize_with_checks
        for parameters in marks[0].args[1]:
            test(*parameters.values)
    elif text:
        with pytest.raises((AssertionError, ValueError)) as caught:
            test()
        assert same(str(caught.value), text), caught.value
    else:
        returned = test()
        if returned is not None:
            from minigrad.testing.programs.frameworks import check_returned

            assert check_returned("the guide", returned, samples=5000, seed=0).unbiased


def test_it_begins_with_a_test_that_fails():
    assert next(iter(SECTIONS)) == "A test that fails"
    assert "biased at" in SECTIONS["A test that fails"]
