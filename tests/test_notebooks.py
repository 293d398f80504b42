"""Notebooks and prompts show pictures, tables and the parts of modules, not addresses in memory."""

import importlib
import importlib.util
import inspect
import pickle
import pkgutil
import sys
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad as mg

PUBLIC = [mg.nn, mg.optim, mg.estimators, mg.testing, mg.random, mg.study, mg.stochastic, mg.kernels, mg.draw]


def graph():
    x = mg.tensor([[0.0, 1.0]], requires_grad=True)
    return mg.expected(mg.bernoulli(x, mg.estimators.ARM(), rng=mg.Generator(0)).sum(axis=1))


@pytest.mark.parametrize("format", ["text", "svg", "dot"])
def test_a_drawing_shows_as_a_picture_and_is_a_string(format):
    loss = graph()
    drawn = mg.draw(loss, format=format)
    assert isinstance(drawn, str)
    assert repr(drawn) == drawn
    assert drawn._repr_svg_() == mg.draw(loss, format="svg")
    assert ElementTree.fromstring(drawn._repr_svg_()).tag.endswith("svg")
    again = pickle.loads(pickle.dumps(drawn))
    assert (again, again._repr_svg_()) == (drawn, drawn._repr_svg_())


def test_a_module_lists_its_parts():
    class Net(mg.nn.Module):
        def __init__(self):
            rng = mg.Generator(1)
            self.rate = 0.5
            self.width = self.depth = 3
            self.layers = [mg.nn.Linear(2, 3, rng), mg.nn.GatedLinear(3, 4, rng, block=2)]
            self.scale = mg.tensor(1.0)
            self.rule = mg.estimators.ARM()
            self.itself = self

    assert repr(Net()) == """Net(
    scale (), rule=ARM(), rate=0.5, width=3, depth=3
    layers.0: Linear(weight (3, 2), bias (3,))
    layers.1: GatedLinear(weight (4, 3), bias (4,), block=2)
    itself: ...
)"""


def test_an_optimiser_says_what_it_does_to_how_much():
    weight, bias = (mg.tensor(np.zeros(shape), requires_grad=True) for shape in ((2, 3), 3))
    assert repr(mg.optim.SGD([weight], lr=0.1, momentum=0.9)) == (
        "SGD(lr=0.1, momentum=0.9, steps=0; 1 parameter, 6 numbers)")

    def falling(step):
        return 1 / (1 + step)

    groups = [{"parameters": [weight], "lr": falling}, {"parameters": [bias]}]
    assert repr(mg.optim.Adam(groups, max_norm=2.0)) == (
        "Adam(lr=falling, 0.001, betas=(0.9, 0.999), epsilon=1e-08, max_norm=2.0, steps=0; 2 parameters, 9 numbers)")


def test_a_report_is_a_table():
    x = mg.tensor([0.0, -1.0], requires_grad=True)
    report = mg.testing.check_estimator(
        lambda rng: mg.expected(mg.bernoulli(x, mg.estimators.Reinforce(), rng=rng).sum(keepdims=True)), {"<x>": x})
    page = ElementTree.fromstring(f"<div>{report._repr_html_()}</div>")
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    assert rows[0] == ["", "gradient", "mean", "bias", "stderr", "z", "variance"]
    assert [row[0] for row in rows[1:]] == ["<x>[0]", "<x>[1]"]
    said = [line.split() for line in repr(report).splitlines()]
    assert said[2:4] == rows[1:]
    assert ["".join(p.itertext()).split() for p in page.iter("p")] == [said[0], said[-1]]


def test_the_node_that_a_rule_sees_says_what_it_is():
    class Shows(mg.Estimator):
        def backward(self, node):
            self.seen = repr(node)
            return 0 * node.value

    rule = Shows()
    x = mg.tensor(np.zeros((3, 2)), requires_grad=True)
    mg.expected(mg.bernoulli(x, rule, name="gate").sum(axis=1)).backward()
    assert rule.seen == "<node 'gate' of 3 rows and 2 units, for Shows()>"


def test_no_public_object_shows_its_address():
    packages = [*PUBLIC, *(importlib.import_module(f"minigrad.{info.name}") for info in pkgutil.iter_modules(
        mg.__path__) if not info.name.startswith("_") and (info.name != "torch" or importlib.util.find_spec("torch")))]
    classes = {x for module in packages for name in getattr(module, "__all__", []) if inspect.isclass(
        x := getattr(module, name))}
    assert len(classes) > 30
    assert not [c for c in classes if c.__repr__ is object.__repr__ and c.__module__.startswith("minigrad")]


def test_a_lesson_shows_its_figure_in_a_notebook(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="the demos need matplotlib")
    from demos import lesson

    display, shown = ModuleType("IPython.display"), []
    display.Image, display.display = bytes, shown.append
    notebook = {"ipykernel": ModuleType("ipykernel"), "IPython": ModuleType("IPython"), "IPython.display": display}

    def run():
        lesson.close(lesson.figure()[0], tmp_path / "new" / "lesson.png", "nothing")

    run()
    assert not shown
    for name, module in notebook.items():
        monkeypatch.setitem(sys.modules, name, module)
    run()
    assert [image[:4] for image in shown] == [b"\x89PNG"]
    assert (tmp_path / "new" / "lesson.png").exists()
    monkeypatch.setattr(sys, "argv", ["/lib/ipykernel_launcher.py", "-f", "kernel.json"])
    assert lesson.parser("lesson.py", "", seed=3).parse_args().seed == 3
    monkeypatch.setattr(sys, "argv", ["lesson.py", "--seed", "4"])
    assert lesson.parser("lesson.py", "", seed=3).parse_args().seed == 4
