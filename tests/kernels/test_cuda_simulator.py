"""The simulated CuPy: it raises CuPy's errors, and has no function that CuPy does not have."""

import inspect

import numpy as np
import pytest

from minigrad.kernels import count_work
from minigrad.kernels.cuda.simulator import cupy as simulated_cupy
from minigrad.kernels.cuda.simulator import cupyx as simulated_cupyx
from minigrad.kernels.cuda.simulator.cupy import FUNCTIONS, UFUNCS

PLUMBING = {"memory"}       # of the simulator's kernels


@pytest.fixture
def x():
    return simulated_cupy.array(np.arange(6.0).reshape(2, 3))


def test_names_and_parameters_are_cupys():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed, so its names are not compared")
    from cupyx.scipy import special

    assert [name for name in UFUNCS if not isinstance(getattr(cupy, name, None), (cupy.ufunc, type(cupy.matmul)))] == []
    for name, parameters in FUNCTIONS.items():
        if parameters:
            theirs = [p.name for p in inspect.signature(getattr(cupy, name)).parameters.values()]
            assert theirs[:len(parameters)] == list(parameters), name
        else:
            assert callable(getattr(cupy, name))
    assert [name for name in vars(simulated_cupy.ndarray)
            if not hasattr(cupy.ndarray, name) and name not in PLUMBING | {"__weakref__", "__slots__"}] == []
    assert [name for name in simulated_cupyx.NAMES if not hasattr(special, name)] == []


def test_results_are_numpys_and_stay_on_the_device(x):
    y = x.memory.copy()
    for function in (lambda x: x + 1, lambda x: 2 / (x + 1), lambda x: np.exp(x) @ x.T, lambda x: x.sum(axis=0),
                     lambda x: np.mean(x, axis=1, keepdims=True), lambda x: x[:, 1], lambda x: x[1, 2],
                     lambda x: x.max(),
                     lambda x: np.where(x > 2, x, 0), lambda x: np.concatenate([x, x]), lambda x: np.vdot(x, x),
                     lambda x: np.isfinite(x).all(), lambda x: np.arange(3, like=x), lambda x: x[x > 3],
                     lambda x: x.reshape(3, 2), lambda x: x.reshape((3, -1)), lambda x: x.astype("float32"),
                     lambda x: np.einsum("ij,ij->i", x, x), lambda x: np.zeros_like(x, shape=(2,))):
        there, here = function(x), function(y)
        assert type(there) is simulated_cupy.ndarray
        assert (there.shape, there.dtype) == (np.shape(here), here.dtype)
        np.testing.assert_array_equal(there.get(), here)
    x += 1
    np.add.at(x, simulated_cupy.array([0, 0]), 1.0)
    np.testing.assert_array_equal(x.get(), y + np.array([[3], [1]]))
    x[:, 0] = 7
    np.testing.assert_array_equal(x.get()[:, 0], 7)


@pytest.mark.parametrize(("call", "message"), [
    (np.array, "Implicit conversion"), (np.asarray, "Implicit conversion"), (np.ascontiguousarray, "Implicit"),
    (np.require, "Implicit conversion"), (np.float32, "Implicit conversion"),
    (lambda x: np.ones((2, 3))[x], "Implicit conversion"),
    (lambda x: x + np.ones(3), "Unsupported type"), (lambda x: np.ones(3) * x, "Unsupported type"),
    (lambda x: x + np.ones(()), "Unsupported type"), (lambda x: np.where(x > 0, x, np.zeros(3)), "Unsupported type"),
    (lambda x: np.concatenate([x, np.ones((1, 3))]), "Unsupported type"),
    (lambda x: np.add(x[0], 1, out=np.ones(3)), "Unsupported type"),
    (lambda x: x.__setitem__(0, np.ones(3)), "Unsupported type"),
    (lambda x: x.__setitem__(0, [1, 2, 3]), "Unsupported type"),
    (lambda x: np.where(True, x, 0), "Unsupported type"),
    (lambda x: np.max(x, initial=0), "unexpected keyword argument 'initial'"),
    (lambda x: x.sum(where=x > 0), "unexpected keyword argument 'where'"),
    (lambda x: np.eye(3, like=x), "no implementation|unexpected keyword"),
    (lambda x: np.ones(3, like=x), "unexpected keyword argument 'device'"),
    (np.linalg.norm, "no implementation"), (np.cbrt, "NotImplemented"), (np.maximum.reduce, "NotImplemented"),
    (lambda x: [1, 2][simulated_cupy.array(0)], "list indices"),
    (hash, "unhashable"),
])
def test_what_cupy_refuses(x, call, message):
    with pytest.raises(TypeError, match=message):
        call(x)


def test_flags_are_the_three_that_cupy_has(x):
    assert x.flags.c_contiguous
    assert x.T.flags.f_contiguous
    assert not hasattr(x.flags, "writeable")


def test_an_index_out_of_range_wraps_round(x):
    assert x[simulated_cupy.array([5])].tolist() == [[3, 4, 5]]
    assert x[..., simulated_cupy.array([-4])].tolist() == [[2], [5]]
    assert np.take_along_axis(x, simulated_cupy.array([[4], [3]]), axis=1).tolist() == [[1], [3]]


@pytest.mark.parametrize(("call", "transfers"), [
    (lambda x: simulated_cupy.array(np.ones(3)), 1), (lambda x: x.get(), 1), (lambda x: x.set(np.ones((2, 3))), 1),
    (lambda x: x[0, 0].item(), 1), (lambda x: float(x[0, 0]), 1), (lambda x: int(x[0, 0]), 1),
    (lambda x: bool(x[0, 0]), 1),
    (repr, 1), (str, 1), (lambda x: f"{x}", 1), (lambda x: x.tolist(), 1), (lambda x: x[[0, 1]], 1),
    (lambda x: x[np.array([0, 1])], 1), (lambda x: [*x, *x.T, len(x)], 0), (lambda x: (x * 2)[:, ::-1].sum(), 0),
    (lambda x: simulated_cupy.zeros(3) + simulated_cupy.arange(3), 0), (lambda x: simulated_cupy.array(x), 0),
])
def test_what_crosses_is_counted(x, call, transfers):
    with count_work() as work:
        call(x)
    assert work.transfers == transfers


def test_special_functions(x):
    assert simulated_cupyx.erf(x).shape == (2, 3)
    with pytest.raises(AttributeError, match=r"cupyx.scipy.special has no jv"):
        simulated_cupyx.jv  # noqa: B018 (asking for it is the test)
