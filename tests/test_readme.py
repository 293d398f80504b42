"""README and docs/rules.md: commands as .ci/run takes them, examples that run, complete tables of rules, links."""

import re
from pathlib import Path

import pytest

import minigrad as mg
from demos.__main__ import COURSE

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RULES = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_first_two_commands_run_the_experiment_and_the_tests():
    run, test = blocks("bash")[:2]
    assert "-m venv" in run
    assert "demos.conditional_mnist" in run
    assert "-m venv" in test
    assert "pytest" in test


@pytest.mark.parametrize("example", blocks("python"), ids=range(1, 1 + len(blocks("python"))))
def test_an_example_runs(example, capsys):
    if "import torch" in example:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    exec(example, {})
    said = capsys.readouterr().out
    assert said
    followed = re.search(re.escape(example) + r"```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert followed is None or said.split() == followed[1].split()


def test_the_table_has_every_rule_with_what_it_needs_and_claims():
    rows = {cells[0]: cells[1:] for line in RULES.splitlines() if line.startswith("| `")
            for cells in [[cell.strip(" `") for cell in line.strip("| ").split("|")]]}
    for name in mg.estimators.__all__:
        rule = getattr(mg.estimators, name)
        needs, unbiased = rows[name][1], rows[name][2]
        assert needs == (", ".join(sorted(rule.needs)) or "nothing"), name
        assert unbiased == ("yes" if rule.unbiased else "no"), name


def test_readme_names_every_rule_once():
    cells = [cell for line in README.splitlines() if line.startswith("| ") for cell in line.split("|")[2:3]]
    named = [name for cell in cells for name in re.findall(r"\w+", cell) if name in mg.estimators.__all__]
    assert sorted(named) == sorted(mg.estimators.__all__)


def test_readme_links_every_lesson_in_the_order_of_the_course():
    assert [name for name in re.findall(r"\]\(demos/(\w+)\.py\)", README) if name in COURSE] == list(COURSE)


def test_links_to_files_lead_somewhere():
    for folder, text in ((ROOT, README), (ROOT / "docs", RULES)):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (folder / target).exists(), target
