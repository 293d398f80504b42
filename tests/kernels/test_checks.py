"""Wrong arguments of layers, and their error messages."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.kernels import checks, specification


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"block": 3}, ValueError, "divisor"),
    ({"block": 0}, ValueError, "at least 1"),
    ({"gates": np.ones((4, 3))}, ValueError, "one gate per example"),
    ({"gates": np.ones(4)}, ValueError, "examples, blocks"),
    ({"gates": np.ones((4, 2), int)}, TypeError, "float32, float64 or bool"),
    ({"gates": np.full((4, 2), 0.5, np.float32)}, TypeError, "as the input"),
    ({"gates": np.array([[1.0, np.nan]] * 4)}, ValueError, "finite"),
    ({"gates": np.array([[1.0, -np.inf]] * 4)}, ValueError, "finite"),
    ({"x": np.ones((4, 6))}, ValueError, "units, 6"),
    ({"x": np.ones((4, 5), np.float32)}, TypeError, "as the input"),
    ({"x": np.ones((4, 5), np.int64)}, TypeError, "float32 or float64"),
    ({"x": np.ones(5)}, ValueError, "examples, inputs"),
    ({"x": [[1.0]]}, TypeError, "asarray"),
    ({"weight": [[1.0]]}, TypeError, "asarray"),
    ({"bias": np.ones(3)}, ValueError, "bias"),
    ({"blocks": kernels.OpenBlocks((4, 1), *specification.open_blocks(np.ones((4, 1))), True)}, ValueError,
     "open_blocks"),
])
def test_bad_input(change, error, words):
    arguments = {"x": np.ones((4, 5)), "weight": np.ones((8, 5)), "bias": None, "gates": np.ones((4, 2)),
                 "block": 4}
    with pytest.raises(error, match=words):
        kernels.gated_linear(**{**arguments, **change})


@pytest.mark.parametrize("block", [True, 2.0, 0, -1, "2"])
def test_a_block_is_a_whole_number_of_units(block):
    with pytest.raises(ValueError, match="at least 1"):
        checks.check_block(4, block)


def test_what_is_right_passes():
    checks.check_block(6, np.int64(3))
    checks.check_gates(np.zeros((0, 3), bool))
    checks.check_finite_gates(np.ones((2, 2)))
    checks.check_writeable("bias", None)


def test_gates_are_checked_once_per_product(monkeypatch):
    calls = []
    right = checks.check_gates
    monkeypatch.setattr(checks, "check_gates", lambda gates: calls.append(1) or right(gates))
    for examples in (1, 3):
        kernels.gated_linear(np.ones((examples, 2)), np.ones((4, 2)), None, np.ones((examples, 2)), 2)
    assert len(calls) == 2
