"""The demo of a rule of one's own: the right rule passes, and each planted mistake is found."""

from demos import write_your_own_rule as demo


def test_the_rule_passes_and_its_mistakes_are_found(tmp_path, capsys):
    demo.main(["--out", str(tmp_path / "picture.png")])
    printed = capsys.readouterr().out
    assert "LikelyFlip: passes all checks" in printed
    for complaint in ("biased at logits", "biased at weight", "not deterministic under a seed"):
        assert complaint in printed
    assert (tmp_path / "picture.png").stat().st_size > 10_000
