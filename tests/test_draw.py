"""Drawings of a graph have every node once, in order, and show the rules of stochastic nodes."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import minigrad as mg
from minigrad.diagrams.layers import GAP, Layers

SVG = "{http://www.w3.org/2000/svg}"


class Antithetic(mg.Estimator):
    """ARM: two replays for each estimate."""

    needs = {"cost_at"}

    def backward(self, node):
        other = (1 - node.noise < node.probs).astype(node.logits.dtype)
        return (node.cost_at(other) - node.cost_at(node.value)) * (node.noise - 0.5)


@pytest.fixture
def loss():
    weight = mg.tensor(np.ones((2, 3)), requires_grad=True)
    first = mg.bernoulli(weight * 2, Antithetic(), name="first", rng=mg.Generator(1))
    second = mg.bernoulli(first - 0.5, mg.estimators.StraightThrough(), name='the "second"', rng=mg.Generator(2))
    return mg.expected(second.sum(axis=1))


def test_text(loss):
    loss.backward()
    assert mg.draw(loss).splitlines() == [
        "%0 = leaf (2, 3) float64, requires grad",
        "%1 = multiply(%0, 2) (2, 3) float64",
        "%2 = first(%1) (2, 3) float64 ~ Antithetic() needs cost_at, 2 replays",
        "%3 = subtract(%2, 0.5) (2, 3) float64",
        '%4 = the "second"(%3) (2, 3) float64 ~ StraightThrough() needs grad, 0 replays',
        "%5 = sum(%4, axis=1) (2,) float64",
        "%6 = expected(%5) () float64",
    ]


def test_text_with_names_values_and_cotangents():
    x, w = mg.tensor(1.5, requires_grad=True), mg.tensor([-2.0, 4.0], requires_grad=True)
    y = mg.exp(x - 1.5) * w
    assert mg.draw(y, values=True, names={"x": x, "w": w, "y": y}).splitlines() == [
        "%0 = x () float64, requires grad, value 1.5, cotangent 2",
        "%1 = subtract(%0, 1.5) () float64, value 0, cotangent 2",
        "%2 = exp(%1) () float64, value 1, cotangent 2",
        "%3 = w (2,) float64, requires grad, value [-2 4], cotangent [1 1]",
        "%4 = y = multiply(%2, %3) (2,) float64, value [-2 4], cotangent [1 1]",
    ]


def test_large_arrays_are_shown_by_their_range():
    assert mg.draw(mg.tensor(np.linspace(-1, 2, 1000)), values=True) == "%0 = leaf (1000,) float64, value -1 … 2"


def test_values_of_other_kinds():
    """Packed units, integers, bools, an empty array, and −0."""
    x, weight, bias = mg.tensor([[1.0]]), mg.tensor([[0.0], [1.0], [2.0], [3.0]]), mg.tensor([1.0, 1.0, 1.0, 1.0])
    packed = mg.gated_linear(x, weight, bias, mg.tensor([[1.0, 0.0]]), block=2)
    for x, shown in [(packed, "[[1 2 0 0]]"), (mg.tensor([3, -4]), "[3 -4]"), (mg.tensor([True]), "[True]"),
                     (mg.tensor(np.zeros((0, 2))), "[]"), (mg.tensor(-0.0), "0")]:
        assert mg.draw(x, values=True).endswith(f", value {shown}")


def test_cotangents_are_those_of_backward():
    """Also above a rule that draws its own noise.  If backward computes no cotangent, the drawing has none."""
    a = mg.tensor([[0.3, -0.2]], requires_grad=True)
    b = mg.bernoulli(a * 2, mg.estimators.LeaveOneOut(), rng=mg.Generator(3))
    loss = mg.expected((b @ mg.tensor([1.0, -3.0])) ** 2)
    drawn = mg.draw(loss, values=True, names={"a": a}).splitlines()
    loss.backward()
    assert drawn[0].endswith("cotangent [[{:.4g} {:.4g}]]".format(*a.grad[0]))
    assert ["cotangent" in line for line in drawn] == [True, True, False, False, False, False, False]


def test_drawing_leaves_gradients_counts_and_memories_alone(loss):
    loss.backward()
    rule = mg.estimators.Reinforce(baseline="mean")
    a = mg.tensor([[0.0]], requires_grad=True)
    remembered = mg.expected(mg.bernoulli(a, rule, rng=mg.Generator(1)).sum(axis=1))
    for graph in (loss, remembered):
        before = mg.draw(graph)
        mg.draw(graph, values=True)
        assert mg.draw(graph) == before
    assert a.grad is None
    assert rule.proposed is None


def test_dot(loss):
    dot = mg.draw(loss, format="dot")
    assert re.findall(r"(\d+) -> (\d+);", dot) == [(str(i), str(i + 1)) for i in range(6)]
    assert dot.count("shape=hexagon") == 2
    assert r'label="the \"second\"\nStraightThrough()\nneeds grad\n0 replays\n(2, 3) float64"' in dot


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz, the program that reads DOT, is not installed")
def test_graphviz_reads_dot(loss):
    subprocess.run(["dot", "-Tsvg"], input=mg.draw(loss, format="dot"), text=True, check=True, capture_output=True)


def test_svg(loss):
    loss.backward()
    root = ET.fromstring(mg.draw(loss, format="svg", values=True))
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "Graph of 7 leaves and nodes, 2 of them stochastic"
    assert root.find(f"{SVG}desc").text == mg.draw(loss, values=True)
    groups = root.findall(f".//{SVG}g[@class]")
    assert [g.get("class") for g in groups] == ["parameter", "primitive", "stochastic", "primitive", "stochastic",
                                                "primitive", "primitive"]
    words = [[line.text for line in g.findall(f"{SVG}text")] for g in groups]
    assert words[1][0] == "multiply(·, 2)"
    assert words[2][:4] == ["first", "Antithetic()", "needs cost_at", "2 replays"]
    assert words[4][:4] == ['the "second"', "StraightThrough()", "needs grad", "0 replays"]
    assert words[6] == ["expected", "() float64", f"value {loss.item():.4g}"]       # nobody above asks for gradients
    assert len(root.findall(f".//{SVG}path[@class='tip']")) == 6


def test_svg_escapes_what_users_name():
    bit = mg.bernoulli(mg.tensor([0.0]), mg.estimators.Stop(), name="<b> & </svg>")
    root = ET.fromstring(mg.draw(bit, format="svg"))
    assert "<b> & </svg>" in [line.text for line in root.iter(f"{SVG}text")]


def test_the_suffix_of_a_path_says_which_format(loss, tmp_path):
    for format in ("text", "svg", "dot"):
        path = tmp_path / f"graph.{format.replace('text', 'txt')}"
        assert mg.draw(loss, path=path) == mg.draw(loss, format=format)
        assert path.read_text(encoding="utf-8") == mg.draw(loss, format=format)


def random_graph(numbers):
    """Parents of each of up to 30 boxes, and their sizes."""
    count = numbers.integers(1, 31)
    parents = [numbers.integers(0, i, numbers.integers(0, 4)).tolist() if i else [] for i in range(count)]
    return parents, [tuple(size) for size in numbers.uniform(10, 200, (count, 2))]


@pytest.mark.parametrize("seed", range(20))
def test_boxes_lie_below_their_parents_and_apart(seed):
    parents, sizes = random_graph(np.random.default_rng(seed))
    places = Layers(parents, sizes)
    y, x, (width, height) = np.array(places.y), np.array(places.x), np.array(places.sizes).T
    for child, above in enumerate(parents):
        for parent in above:
            assert y[parent] + height[parent] / 2 < y[child] - height[child] / 2
    for i in range(len(x)):
        for j in range(i):
            aside = abs(x[i] - x[j]) - (width[i] + width[j]) / 2
            over = abs(y[i] - y[j]) - (height[i] + height[j]) / 2
            assert aside > GAP - 1e-6 or over > 0
    assert (x - width / 2).min() == pytest.approx(0)
    assert (x + width / 2).max() == pytest.approx(places.width)
    assert (y + height / 2).max() == pytest.approx(places.height)


@pytest.mark.parametrize("seed", range(5))
def test_links_lead_from_each_parent_to_each_child_through_bends(seed):
    parents, sizes = random_graph(np.random.default_rng(seed))
    places, count = Layers(parents, sizes), len(parents)
    above = {}
    for upper, lower in places.links:
        above.setdefault(lower, []).append(upper)

    def origin(end):
        return end if end < count else origin(above[end][0])
    for child in range(count):
        assert sorted(map(origin, above.get(child, []))) == sorted(set(parents[child]))


def test_what_is_joined_lies_straight():
    """A diamond is symmetrical, and a chain is a straight line."""
    places = Layers([[], [0], [0], [1, 2], [3]], [(50, 20)] * 5)
    assert places.x == pytest.approx([64, 25, 103, 64, 64])


def test_a_leaf_lies_right_above_its_first_use():
    places = Layers([[], [0], [1], [], [2, 3]], [(50, 20)] * 5)
    assert places.y[3] == places.y[2]


def test_what_draw_refuses(loss):
    with pytest.raises(ValueError, match="'text', 'svg' or 'dot'"):
        mg.draw(loss, format="png")
    with pytest.raises(ValueError, match=r"got None and 'graph\.png'"):
        mg.draw(loss, path="graph.png")
    with pytest.raises(TypeError, match=r"expected Tensors, got 1\.0\. Pass each output as an argument"):
        mg.draw(1.0)
    with pytest.raises(TypeError, match=r"expected Tensors, got .loss"):
        mg.draw(loss, names={"x": "loss"})
