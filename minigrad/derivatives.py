"""Derivatives of functions: the value with its gradient, Jacobians, and Hessians.

``mg.grad`` differentiates a graph that is there.  These call a function first, with fresh leaves in place of its
arguments, so they leave the ``.grad`` of every Tensor alone.
"""

import numpy as np

from minigrad import devices, graph, ops
from minigrad.kernels.device import arrays
from minigrad.tensor import Tensor, grad, tensor

__all__ = ["hessian", "jacobian", "value_and_grad"]


def value_and_grad(function, inputs):
    """The value of a function with one entry, and its gradient.

    Parameters
    ----------
    function : of Tensors, one for each input; it returns a Tensor with one entry.
    inputs : Tensor or array, floating, or a list of them, one for each argument.

    Returns
    -------
    (value, gradient) : Tensors.  The gradient has the shape of the input; for a list it is a list.

    Raises
    ------
    TypeError
        An input that is not floating, or a ``function`` that does not return a Tensor.
    ValueError
        A result with more than one entry, or one that does not depend on some input.

    >>> import minigrad as mg
    >>> value, gradient = mg.value_and_grad(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> value.item(), gradient.tolist()
    (5.0, [2.0, 4.0])
    """
    leaves, out = called("value_and_grad", function, inputs)
    if out.size != 1:
        raise ValueError(f"value_and_grad: expected a function with one entry, got shape {out.shape}. Sum or average "
                         "it, or use mg.jacobian")
    return Tensor(ops.dense(out.value)), alike(inputs, grad(out, leaves))


def jacobian(function, inputs):
    """All derivatives of a function's entries, by one backward pass for each entry.

    Parameters
    ----------
    function : of Tensors, one for each input; it returns a Tensor of any shape.
    inputs : as for ``value_and_grad``.

    Returns
    -------
    Tensor of the shape of the result followed by that of the input; for a list a list of them.

    Raises
    ------
    TypeError, ValueError
        As ``value_and_grad``, but for results of any shape.

    >>> import minigrad as mg
    >>> mg.jacobian(lambda x: x ** 2, np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    leaves, out = called("jacobian", function, inputs)
    grad(out, leaves, grad_outputs=like(out, 1))        # refuses inputs on which nothing depends
    return alike(inputs, derivatives(out, leaves))


def hessian(function, inputs):
    """All second derivatives of a function with one entry, by one backward pass for each entry of its gradient.

    Parameters
    ----------
    function, inputs : as for ``value_and_grad``.

    Returns
    -------
    Tensor of the shape of the input twice over; for a list, a list of lists: the derivative of gradient i with
    respect to input j, of the shape of input i followed by that of input j.

    Raises
    ------
    TypeError, ValueError
        As ``value_and_grad``; or there are random nodes whose rule defines no second derivative.

    >>> import minigrad as mg
    >>> mg.hessian(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0])).tolist()
    [[4.0, 2.0], [2.0, 0.0]]
    """
    leaves, out = called("hessian", function, inputs)
    if out.size != 1:
        raise ValueError(f"hessian: expected a function with one entry, got shape {out.shape}. Sum or average it, or "
                         "take one entry at a time")
    gradients = grad(out, leaves, grad_outputs=like(out, 1), create_graph=True)
    return alike(inputs, [alike(inputs, derivatives(gradient, leaves)) for gradient in gradients])


def called(name, function, inputs):
    """Fresh leaves with the values of the inputs, and what the function makes of them."""
    given = [inputs] if isinstance(inputs, Tensor) or arrays.is_array(inputs) else inputs
    if not isinstance(given, (list, tuple)) or not all(isinstance(x, Tensor) or arrays.is_array(x) for x in given):
        raise TypeError(f"{name}: expected a Tensor, an array or a list of them as inputs, got {inputs!r}. "
                        "Use np.array(...)")
    for i, x in enumerate(given):
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: expected floating inputs, got dtype {x.dtype} for input {i}. Use .astype(float)")
    leaves = [tensor(x.data if isinstance(x, Tensor) else x, requires_grad=True) for x in given]
    out = function(*leaves)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: expected a function that returns a Tensor, got {type(out).__name__}. Compute with "
                        "the Tensors that it is given")
    return leaves, out


def derivatives(out, leaves):
    """The Jacobian of ``out`` with respect to each leaf, as Tensors; 0 for leaves that it does not depend on."""
    found = [np.zeros_like(x.data, shape=(out.size, *x.shape)) for x in leaves]
    for i in range(out.size):
        seed = like(out, 0)
        seed.reshape(-1)[i] = 1
        slopes = graph.Evaluation([out], [seed]).backward(leaves)
        for x, rows in zip(leaves, found, strict=True):
            if x in slopes:
                rows[i] = ops.dense(slopes[x])
    return [Tensor(rows.reshape(*out.shape, *x.shape)) for x, rows in zip(leaves, found, strict=True)]


def like(out, value):
    """An array full of a number, of the shape, dtype and device of a Tensor."""
    return devices.put(np.full(out.shape, value, out.dtype), out.device)


def alike(inputs, results):
    """The results in a list, or the only one where the inputs were no list."""
    return results if isinstance(inputs, (list, tuple)) else results[0]
