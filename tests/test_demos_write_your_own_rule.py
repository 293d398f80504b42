"""The demo of a new rule: the right rule passes, and the tests find each wrong version."""

import pytest

from demos import write_your_own_rule as demo


@pytest.mark.slow
def test_the_rule_passes_and_its_mistakes_are_found(tmp_path, capsys):
    picture = tmp_path / "made" / "picture.png"
    assert demo.main(["--out", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert demo.__doc__.splitlines()[0].endswith("?")
    assert f"picture: {picture}\n\nTry:\n  " in printed
    assert "LikelyFlip: passes all checks" in printed
    for complaint in ("biased at logits", "Wrong only where the batch has one row", "not deterministic under a seed"):
        assert complaint in printed
    assert picture.stat().st_size > 10_000
