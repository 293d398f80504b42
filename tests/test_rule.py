"""The declarations of a rule, the values that its node gives it, and the errors for a wrong rule."""

import pydoc

import numpy as np
import pytest

import minigrad as mg
from minigrad.rule import NEEDS
from minigrad.stochastic import BinaryNode


def backward(rule, rng=None):
    a = mg.tensor(np.zeros((2, 3)), requires_grad=True)
    mg.expected(mg.bernoulli(a, rule, rng=rng or mg.Generator(1)).sum(axis=1)).backward()
    return a.grad


def rule_of(function, **attributes):
    return type("Mine", (mg.Estimator,), {"backward": lambda self, node: function(node), **attributes})()


# -- needs ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("needs", "error", "words"), [
    ({"cost", "gradient"}, ValueError,
     "Mine: expected needs from grad, cost, cost_at, cost_and_grad_at, inner, got gradient"),
    ({3}, ValueError, "got 3"),
    ("cost", TypeError, r"Mine: expected needs to be a set of names, such as \{'cost'\}, got 'cost'"),
    (None, TypeError, "got None"),
    ({"cost": 1}, TypeError, "a set of names"),
    (property(lambda self: {"cost"}), TypeError, "a set of names"),
])
def test_needs_are_checked_when_the_class_is_made(needs, error, words):
    with pytest.raises(error, match=words):
        type("Mine", (mg.Estimator,), {"needs": needs})


@pytest.mark.parametrize("needs", [set(), {"cost"}, ["cost", "grad"], ("inner",), frozenset(NEEDS)])
def test_needs_are_a_frozenset_afterwards(needs):
    made = type("Mine", (mg.Estimator,), {"needs": needs})
    assert made.needs == frozenset(needs)
    assert type(made.needs) is frozenset
    assert type("Heir", (made,), {}).needs is made.needs


def test_needs_of_an_instance_are_checked_when_it_is_used():
    rule = rule_of(lambda node: node.grad)
    rule.needs = {"grad"}
    np.testing.assert_array_equal(backward(rule), 0.5)
    rule.needs = {"gradient"}
    with pytest.raises(ValueError, match="expected needs from grad"):
        backward(rule)
    rule.needs = "grad"
    with pytest.raises(TypeError, match="a set of names"):
        backward(rule)


# -- the node ------------------------------------------------------------------------------------------

def names_of_a_node():
    seen = []
    backward(rule_of(lambda node: seen.extend((*dir(BinaryNode), *vars(node))) or node.value))
    return {name for name in seen if not name.startswith("_")}


def test_help_lists_what_a_node_has():
    text = pydoc.render_doc(mg.Estimator, renderer=pydoc.plaintext)
    section = text[text.index("``backward`` gets a ``node``"):text.index("Examples")]
    for name in names_of_a_node():
        assert name in section, name
    for need in NEEDS:
        assert need in section


def test_a_wrong_name_is_told_which_there_are():
    with pytest.raises(AttributeError, match=r"the node of a rule has no 'vlaue'\. It has ") as raised:
        backward(rule_of(lambda node: node.vlaue))
    for name in names_of_a_node():
        assert name in str(raised.value)
    assert "help(mg.Estimator)" in str(raised.value)


def test_an_attribute_error_inside_a_property_is_not_hidden():
    class Broken(mg.Generator):
        def fork(self, *path):
            return self.missing

    with pytest.raises(AttributeError, match="'Broken' object has no attribute 'missing'"):
        backward(rule_of(lambda node: node.rng), rng=Broken(1))


# -- what is returned, and what is given ---------------------------------------------------------------

def test_a_rule_that_returns_a_tensor_is_told_to_return_its_value():
    with pytest.raises(TypeError, match=r"Mine\(\) at node 'bernoulli'.*got a Tensor. Return its value, estimate.data"):
        backward(rule_of(lambda node: mg.tensor(node.value)))
    with pytest.raises(ValueError, match=r"expected an estimate of .* got NoneType"):
        backward(rule_of(lambda node: None))


def test_a_class_in_place_of_an_instance():
    kind = mg.estimators.DisARM
    words = r"expected an estimator, got the class DisARM. Make an instance of it: DisARM\(\)"
    with pytest.raises(TypeError, match="bernoulli: " + words):
        backward(kind)
    with pytest.raises(TypeError, match="parametrize_with_checks: " + words):
        mg.testing.parametrize_with_checks([kind(), kind])
    with pytest.raises(TypeError, match="examine: " + words):
        mg.testing.examine(kind)
    with pytest.raises(TypeError, match=r"expected a list of rules, got the rule DisARM\(\). Write \[DisARM\(\)\]"):
        mg.testing.parametrize_with_checks(kind())
    with pytest.raises(TypeError, match="expected an estimator, a rule such as"):
        mg.testing.parametrize_with_checks([None])
