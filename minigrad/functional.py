"""Functions of whole graphs: gradients, replays, and derivatives of functions of Tensors.

``grad`` and ``replay`` take a recorded graph.  ``value_and_grad``, ``jacobian`` and ``hessian`` call a function of
Tensors, with new leaves as its arguments.  None of them changes the ``.grad`` of a Tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minigrad import devices, ops, sharing
from minigrad.arguments import described
from minigrad.graph import Evaluation
from minigrad.kernels.device import arrays
from minigrad.tensor import Tensor, cotangent_of, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from minigrad.aliases import Array, TensorLike

__all__ = ["grad", "hessian", "jacobian", "replay", "value_and_grad"]


@overload
def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor,
         grad_outputs: TensorLike | Sequence[TensorLike] | None = None, create_graph: bool = False) -> Tensor: ...
@overload
def grad(outputs: Tensor | Sequence[Tensor], inputs: Sequence[Tensor],
         grad_outputs: TensorLike | Sequence[TensorLike] | None = None, create_graph: bool = False) -> list[Tensor]: ...
def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, create_graph: bool = False) -> Tensor | list[Tensor]:
    """Gradients of the sum of ``outputs`` with respect to ``inputs``, as Tensors.  ``.grad`` is not changed.

    Parameters
    ----------
    outputs : Tensor or list of Tensors.
    inputs : Tensor or list of Tensors, leaves or nodes.
    grad_outputs : cotangents of the outputs, arrays or Tensors; by default 1 for outputs with one entry.
    create_graph : record the computation of the gradients, so that they can be differentiated.

    Returns
    -------
    Tensor of the shape of the input; for a list of inputs, a list of Tensors.

    Raises
    ------
    TypeError
        An output or an input is not a Tensor, or a cotangent is not an array.
    ValueError
        An output has several entries and no cotangent, a cotangent has another shape, dtype or device than its
        output, or the outputs do not depend on one of the inputs.

    >>> import minigrad as mg
    >>> x = mg.tensor(2.0, requires_grad=True)
    >>> slope = mg.grad(x ** 3, x, create_graph=True)
    >>> mg.grad(slope, x)
    tensor(12., dtype=float64)
    """
    single = isinstance(inputs, Tensor)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    cotangents = grad_outputs if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(outputs)
    if len(cotangents) != len(outputs):
        raise ValueError(f"grad: expected a cotangent for each of {len(outputs)} outputs, got {len(cotangents)}")
    for x in (*outputs, *inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected Tensors as outputs and inputs, or lists of them, got {described(x)}")
    seeds = [cotangent_of(output, g, "grad") for output, g in zip(outputs, cotangents, strict=True)]
    if create_graph:
        seeds = [g if isinstance(g, Tensor) else Tensor(g) for g in seeds]
    else:
        seeds = [g.value if isinstance(g, Tensor) else g for g in seeds]
    grads = Evaluation(outputs, seeds).backward(inputs, create_graph)
    for i, x in enumerate(inputs):
        if x not in grads:
            raise ValueError(f"grad: the outputs do not depend differentiably on input {i} of shape {x.shape}. "
                             "Check requires_grad, detach() and no_grad(), or leave that input out")
    gradients = [g if isinstance(g, Tensor) else Tensor(np.copy(ops.dense(g)))
                 for g in (grads[x] for x in inputs)]
    return gradients[0] if single else gradients


def replay(outputs: Sequence[Tensor], replaced: Mapping[Tensor, Array]) -> list[Array]:
    """The values that ``outputs`` would have with other values of some nodes or leaves.  Nothing is recorded.

    Everything that depends on them is evaluated again.  Random nodes are sampled again with the same uniforms.

    Parameters
    ----------
    outputs : list of Tensors.
    replaced : dict from Tensor to array of its shape and dtype.

    Returns
    -------
    list of arrays

    Raises
    ------
    TypeError
        ``outputs`` is not a list of Tensors, or ``replaced`` is not a dict from Tensors to arrays.
    ValueError
        A value has another shape, dtype or device than its Tensor.  Or an input has changed since the graph was
        recorded.  Or a replaced leaf does not require a gradient, so the nodes computed from it may not be recorded.
        Or a value that was computed under ``no_grad`` may depend on a replaced value.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * x
    >>> z = y.sum() + x.sum()
    >>> mg.replay([z], {y: np.array([10.0, 20.0])})
    [np.float64(33.0)]
    """
    if not isinstance(replaced, dict):
        raise TypeError(f"replay: expected a dict from Tensors to arrays, got {described(replaced)}. "
                        "Write replay([output], {x: value})")
    for x in (outputs, *replaced.values()):
        if isinstance(x, Tensor):
            raise TypeError("replay: expected a list of outputs, and arrays as values, got a Tensor. "
                            "Write [output], or use .numpy()")
    if not isinstance(outputs, (list, tuple)) or not all(isinstance(x, Tensor) for x in (*outputs, *replaced)):
        raise TypeError("replay: expected a list of Tensors as outputs, and Tensors as keys of the dict, got "
                        f"{described(outputs)} and {', '.join(map(described, replaced)) or 'none'}")
    for x in outputs:
        sharing.check_fresh(x)
    for node, value in replaced.items():
        if not arrays.is_array(sharing.plain(value, "replay")) and not isinstance(value, np.generic):
            raise TypeError(f"replay: expected arrays as values, got {described(value)}. Use np.array(x)")
        if node.primitive is None and not node.requires_grad:
            raise ValueError("replay: expected nodes, or leaves that require a gradient, got a leaf that does not. "
                             "A computation from such leaves alone is not recorded, so its result would not change. "
                             "Make a floating leaf with requires_grad=True, and compute the outputs again")
        if value.shape != node.shape or value.dtype != node.dtype or devices.of(value) != node.device:
            raise ValueError(
                f"replay: expected a value of shape {node.shape} and dtype {node.dtype} on {node.device!r}, "
                f"got {value.shape} and {value.dtype} on {devices.of(value)!r}")
    evaluation = Evaluation(outputs).replay(replaced)
    oldest = min((x.order for x in replaced), default=np.inf)
    for x in outputs:
        if x.unrecorded_order > oldest:
            raise sharing.unrecorded_error(x, "the list of outputs")
    return [evaluation.value(x).copy() if x.primitive is None or x.is_view else evaluation.value(x) for x in outputs]


def value_and_grad(function: Callable[..., Tensor], inputs: TensorLike | Sequence[TensorLike]) -> tuple[Tensor, Any]:
    """The value of a function with one entry, and its gradient.

    Parameters
    ----------
    function : takes a Tensor for each input and returns a Tensor with one entry.
    inputs : Tensor or array, floating, or a list of them, one for each argument.

    Returns
    -------
    (value, gradient) : Tensors.  The gradient has the shape of the input.  For a list of inputs it is a list.

    Raises
    ------
    TypeError
        An input is not floating, or ``function`` does not return a Tensor.
    ValueError
        The result has several entries, or does not depend on one of the inputs.

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


def jacobian(function: Callable[..., Tensor], inputs: TensorLike | Sequence[TensorLike]) -> Any:
    """The derivatives of all entries of a function, by one backward pass for each entry.

    Parameters
    ----------
    function : takes a Tensor for each input and returns a Tensor of any shape.
    inputs : as for ``value_and_grad``.

    Returns
    -------
    Tensor whose shape is that of the result followed by that of the input.  For a list of inputs, a list of Tensors.

    Raises
    ------
    TypeError, ValueError
        As ``value_and_grad``, but for results of any shape.

    >>> import minigrad as mg
    >>> mg.jacobian(lambda x: x ** 2, np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    leaves, out = called("jacobian", function, inputs)
    grad(out, leaves, grad_outputs=like(out, 1))        # raises if the result does not depend on an input
    return alike(inputs, derivatives(out, leaves))


def hessian(function: Callable[..., Tensor], inputs: TensorLike | Sequence[TensorLike]) -> Any:
    """All second derivatives of a function with one entry, by one backward pass for each entry of its gradient.

    Parameters
    ----------
    function, inputs : as for ``value_and_grad``.

    Returns
    -------
    Tensor whose shape is that of the input twice.  For a list of inputs, a list of lists: entry [i][j] is the
    derivative of gradient i with respect to input j.  Its shape is that of input i followed by that of input j.

    Raises
    ------
    TypeError, ValueError
        As ``value_and_grad``.  Also if the rule of a random node defines no second derivative.

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


def called(name: str, function: Callable[..., Tensor], inputs: Any) -> tuple[list[Tensor], Tensor]:
    """New leaves with the values of the inputs, and the result of the function for them."""
    args = [inputs] if isinstance(inputs, Tensor) or arrays.is_array(inputs) else inputs
    if not isinstance(args, (list, tuple)) or not all(isinstance(x, Tensor) or arrays.is_array(x) for x in args):
        raise TypeError(f"{name}: expected a Tensor, an array or a list of them as inputs, got {inputs!r}. "
                        "Use np.array(...)")
    for i, x in enumerate(args):
        if x.dtype.kind != "f":
            raise TypeError(f"{name}: expected floating inputs, got dtype {x.dtype} for input {i}. Use .astype(float)")
    leaves = [tensor(x.data if isinstance(x, Tensor) else x, requires_grad=True) for x in args]
    out = function(*leaves)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: expected a function that returns a Tensor, got {type(out).__name__}. Compute with "
                        "the Tensors that are its arguments")
    return leaves, out


def derivatives(out: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """The Jacobian of ``out`` with respect to each leaf, as Tensors; 0 for leaves that it does not depend on."""
    jacobians = [np.zeros_like(x.data, shape=(out.size, *x.shape)) for x in leaves]
    for i in range(out.size):
        seed = like(out, 0)
        seed.reshape(-1)[i] = 1
        grads = Evaluation([out], [seed]).backward(leaves)
        for x, rows in zip(leaves, jacobians, strict=True):
            if x in grads:
                rows[i] = ops.dense(grads[x])
    return [Tensor(rows.reshape(*out.shape, *x.shape)) for x, rows in zip(leaves, jacobians, strict=True)]


def like(out: Tensor, value: float) -> Array:
    """An array of the shape, dtype and device of a Tensor, in which every entry is ``value``."""
    return devices.put(np.full(out.shape, value, out.dtype), out.device)


def alike(inputs: Any, results: list[Any]) -> Any:
    """The results as a list if ``inputs`` is a list; otherwise the only result."""
    return results if isinstance(inputs, (list, tuple)) else results[0]
