"""The result of the demo: the gradient that trains a Boltzmann machine is the bias that centring would remove."""

import numpy as np
import pytest

from demos import boltzmann_machine as demo


def test_the_correlation_learns_and_the_centred_score_does_not():
    curves, gradients = demo.measure(steps=500, samples=200)
    assert curves["exact gradient"][-1] > -2.6
    assert curves["correlation  h R"][-1] > -2.6
    assert np.all(curves["centred  (h − p) R"] < -5.5)
    slopes = {name: demo.slope(*pair) for name, pair in gradients.items()}
    assert slopes["correlation  h R"] == pytest.approx(1, abs=0.1)
    assert slopes["centred  (h − p) R"] == pytest.approx(0, abs=0.1)


def test_it_prints_a_table_and_saves_a_picture(tmp_path, capsys):
    picture = tmp_path / "boltzmann.png"
    demo.main(["--steps", "3", "--out", str(picture)])
    printed = capsys.readouterr().out
    for name in ("exact gradient", *demo.RULES):
        assert name in printed
    assert str(picture) in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit):
        demo.main(["--steps", "0"])
