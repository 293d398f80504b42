"""The machine that runs a network for one example, step by step."""

import numpy as np
import pytest

from minigrad.kernels.cpu import program


def run(steps, space, weights=(), lists=4, x=()):
    """The space after the steps, each an operation and its arguments by name."""
    table = np.zeros((len(steps), program.WIDTH), np.int64)
    for row, (operation, arguments) in zip(table, steps, strict=True):
        assert set(arguments) == set(program.OPERATIONS[operation])
        row[0] = program.CODES[operation]
        row[1:1 + len(arguments)] = [arguments[name] for name in program.OPERATIONS[operation]]
    space = np.array(space, float)
    found = np.full(lists, -1, np.int32)
    program.run(table, np.array(weights, float), space, found, np.empty(9, np.int32), np.array(x, float), 0)
    return space, found


def test_the_input_is_copied_to_the_start():
    space, _ = run([], [7, 7, 7], x=[1, 2])
    np.testing.assert_array_equal(space, [1, 2, 7])


@pytest.mark.parametrize("n", range(10))
def test_a_dense_layer_adds_rows_of_inputs_that_are_not_zero(n):
    rng = np.random.default_rng(n)
    x, weight, bias = rng.standard_normal(9), rng.standard_normal((9, 3)), rng.standard_normal(3)
    x[rng.permutation(9)[n:]] = 0
    weight[x == 0] = np.nan
    arguments = {"out": 9, "units": 3, "x": 0, "n": 9, "weight": 0, "bias": 27, "x_list": -1, "x_block": 0}
    space, _ = run([("linear", arguments)], [*x, 9, 9, 9], [*weight.ravel(), *bias])
    np.testing.assert_allclose(space[9:], x[x != 0] @ weight[x != 0] + bias)
    space, _ = run([("linear", arguments | {"bias": -1})], [*x, 9, 9, 9], weight.ravel())
    np.testing.assert_allclose(space[9:], x[x != 0] @ weight[x != 0])


def test_gates_are_listed_and_closed_blocks_left_alone():
    gated = {"out": 5, "list": 0, "x": 0, "n": 2, "weight": 0, "bias": -1, "gates": 2, "count": 3, "block": 1,
             "x_list": -1, "x_block": 0}
    space, lists = run([("gated_linear", gated)], [1, 2, 0, .5, 2, 7, 7, 7], [1, 0, 0, 1, 1, 1], lists=5)
    np.testing.assert_array_equal(space[5:], [7, 1, 6])
    np.testing.assert_array_equal(lists[:3], [2, 1, 2])
    dense = {"out": 8, "n": 3, "x": 5, "x_list": 0, "x_block": 1}
    space, _ = run([("gated_linear", gated), ("to_dense", dense)], [1, 2, 0, .5, 2, 7, 7, 7, 9, 9, 9],
                   [1, 0, 0, 1, 1, 1], lists=5)
    np.testing.assert_array_equal(space[8:], [0, 1, 6])


def test_functions_of_packed_units_run_at_open_blocks_alone():
    gated = {"out": 1, "list": 0, "x": 0, "n": 1, "weight": 0, "bias": -1, "gates": 5, "count": 2, "block": 2,
             "x_list": -1, "x_block": 0}
    negative = {"out": 7, "n": 4, "x": 1, "function": program.OF_ONE.index("negative"), "list": 0, "block": 2}
    added = {"out": 11, "n": 4, "x": 1, "y": 7, "function": program.OF_TWO.index("subtract"), "list": 0, "block": 2}
    space, _ = run([("gated_linear", gated), ("unary", negative), ("binary", added)],
                   [1, 8, 8, 8, 8, 0, 1, *[9] * 8], [1, 2, 3, 4])
    np.testing.assert_array_equal(space[7:], [9, 9, -3, -4, 9, 9, 6, 8])


def test_fill_where_and_reductions():
    space, _ = run([("fill", {"out": 3, "n": 3, "x": 1}), ("where", {"out": 0, "n": 3, "x": 6, "y": 3, "z": 0}),
                    ("reduce", {"out": 6, "x": 0, "n": 3, "function": program.REDUCTIONS.index("mean")})],
                   [1, 2, 6, 0, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(space, [1, 2, 6, 2, 2, 2, 3, 1, 0])


def test_numbers_of_functions_are_those_of_the_names():
    """A function that is added in the middle of a list would change the numbers of those after it."""
    x, y = np.array([-1.5, 0, 0.5, 2]), np.array([0.5, 0, 0.5, -1])
    ones = {"relu": np.maximum(x, 0), "sign": np.sign(x), "square": x * x, "tanh": np.tanh(x), "logical_not": x == 0,
            "softplus": np.log1p(np.exp(x)), "negative": -x, "absolute": abs(x), "exp": np.exp(x)}
    for name, expected in ones.items():
        arguments = {"out": 4, "n": 4, "x": 0, "function": program.OF_ONE.index(name), "list": -1, "block": 0}
        np.testing.assert_allclose(run([("unary", arguments)], [*x, 0, 0, 0, 0])[0][4:], expected, err_msg=name)
    twos = {"multiply": x * y, "add": x + y, "subtract": x - y, "maximum": np.maximum(x, y), "greater": x > y,
            "less_equal": x <= y, "not_equal": x != y, "mask": np.where(y != 0, x, 0),
            "logical_or": np.logical_or(x, y)}
    for name, expected in twos.items():
        arguments = {"out": 8, "n": 4, "x": 0, "y": 4, "function": program.OF_TWO.index(name), "list": -1, "block": 0}
        np.testing.assert_allclose(run([("binary", arguments)], [*x, *y, 0, 0, 0, 0])[0][8:], expected, err_msg=name)
