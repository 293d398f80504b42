"""Text for terminals that are not UTF-8."""

import sys

from interpreter import ROOT, python

from minigrad import output


def test_every_character_of_the_project_has_an_ascii_form():
    files = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("kernels/**/*.py"), *ROOT.glob("demos/**/*.py")]
    for character in sorted(set("".join(path.read_text(encoding="utf-8") for path in files))):
        text = output.in_ascii(character)
        assert text.isascii()
        assert "?" not in text or character == "?", f"write {character!r} into minigrad/output.py"


def test_what_the_stream_cannot_encode_is_written_in_ascii():
    code = r"""
import sys, minigrad as mg
from minigrad import output
x = mg.tensor([1.0] * 99, requires_grad=True)
print(mg.draw(x * 2.0, values=True))
a = mg.tensor([[0.3, -0.2]], requires_grad=True)
try:
    def loss(rng):
        return mg.expected((mg.bernoulli(a, mg.estimators.GumbelStraightThrough(), rng=rng).sum(axis=1) - 0.3) ** 2)
    mg.testing.assert_unbiased(loss, a, samples=300, seed=1)
except AssertionError as error:
    print(output.shown(str(error)))
output.adapt()
print("σ = ½ ± 10⁻⁶ → ✓ │█", "\udc80")
print("µ ∂", file=sys.stderr)
"""
    process = python("-c", code, PYTHONIOENCODING="ascii")
    assert process.returncode == 0, process.stderr
    assert "value 2 ... 2" in process.stdout
    assert "+/-" in process.stdout
    assert process.stdout.endswith("sigma = 1/2 +/- 10^-^6 -> ? |# ?\n")
    assert process.stderr.splitlines()[-1] == "u d"
    assert output.shown("σ ± …") == "σ ± …" or (sys.stdout.encoding or "").lower() != "utf-8"
