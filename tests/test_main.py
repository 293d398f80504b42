"""The report of `python -m minigrad`."""

import re

import pytest
from interpreter import printed

import minigrad as mg


def test_the_report_prints_on_any_stream():
    assert printed("-OO", "-m", "minigrad", PYTHONIOENCODING="ascii").startswith(f"minigrad  {mg.__version__}")


@pytest.mark.parametrize(("how", "words"), [
    ("NUMBA_DISABLE_JIT", "kernels .* plain loops in Python: NUMBA_DISABLE_JIT is set"),
    ("without Numba", "kernels .* NumPy alone, which skips no closed blocks: .* install numba"),
])
def test_the_report_says_what_serves(how, words):
    code = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:])); from minigrad.__main__ import main; main([])"
    if how == "without Numba":
        text = printed("-c", code, "numba", "llvmlite")
    else:
        text = printed("-c", code, NUMBA_DISABLE_JIT="1")
    assert re.search(words, text)
