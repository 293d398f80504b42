"""README and docs/rules.md: commands as .ci/run takes them, examples that run, complete tables of rules, links."""

import re
from pathlib import Path

import minigrad as mg

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


def test_the_examples_run(capsys):
    for example in blocks("python"):
        exec(example, {})
    assert capsys.readouterr().out


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


def test_links_to_files_lead_somewhere():
    for folder, text in ((ROOT, README), (ROOT / "docs", RULES)):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (folder / target).exists(), target
