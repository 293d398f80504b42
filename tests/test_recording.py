"""What a call of a primitive stores, what it does not store, and its messages for errors of NumPy."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minigrad as mg


def leaf(value, **options):
    return mg.tensor(value, requires_grad=True, **options)


def test_no_grad_records_nothing():
    x = leaf(1.0)
    with mg.no_grad():
        y = x * 2
    assert y.primitive is None
    assert not y.requires_grad


def test_constants_are_not_recorded():
    assert (mg.tensor(1.0) * 2).primitive is None


def test_no_grad_in_one_thread_leaves_the_others_recording():
    with mg.no_grad(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (leaf(1.0) * 2).requires_grad).result()
    assert (leaf(1.0) * 2).requires_grad


def test_complex_results_are_refused():
    with pytest.raises(TypeError, match="multiply: expected real numbers"):
        leaf(1.0) * 1j


def test_numpys_own_errors_name_the_primitive():
    with pytest.raises(ValueError, match=r"sum: axis 5 is out of bounds"):
        mg.tensor([1.0]).sum(axis=5)


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ValueError, match=r"add: expected shapes that broadcast together, got \(2,\), \(3,\)"):
        mg.tensor(np.ones(2)) + mg.tensor(np.ones(3))


def test_lists_are_operands_like_arrays():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * [3.0, 4.0]).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])


def test_tensors_by_keyword_are_arguments_like_any_other():
    x, weight, bias = (mg.tensor(np.ones(shape), requires_grad=True) for shape in ((2, 3), (4, 3), (4,)))
    mg.linear(x, weight, bias=bias).sum().backward()
    np.testing.assert_array_equal(bias.grad, np.full(4, 2.0))
    gates = mg.tensor(np.ones((2, 4)), requires_grad=True)
    mg.gated_linear(x, weight=weight, gates=gates, bias=None).to_dense().sum().backward()
    np.testing.assert_array_equal(gates.grad, np.full((2, 4), 3.0))
    with pytest.raises(TypeError, match="sum: expected a number or an array as axis"):
        mg.sum(x, axis=mg.tensor(1))
