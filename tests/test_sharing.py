"""Values that are shared or changed: views, detach, .numpy(), operands, in-place operators, no_grad, replay."""

import asyncio
import operator
import warnings
from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad import sharing
from minigrad.kernels import Packed, open_blocks
from minigrad.ops.primitives import Primitive


def leaf(value, **options):
    return mg.tensor(value, requires_grad=True, **options)


CHANGES = {
    "assignment": lambda w: setattr(w, "data", w.data + 1),
    "augmented assignment of .data": lambda w: setattr(w, "data", operator.isub(w.data, 1)),
    "in-place operator": lambda w: under_no_grad(operator.isub, w, 1.0),
    "SGD": lambda w: stepped(mg.optim.SGD([w], lr=0.1), w),
    "SGD with momentum": lambda w: stepped(mg.optim.SGD([w], lr=0.1, momentum=0.5), w),
    "Adam": lambda w: stepped(mg.optim.Adam([w], lr=0.1), w),
    "largest norm": lambda w: stepped(mg.optim.SGD([w], lr=1e-9, max_norm=0.1), w),
    "loading": lambda w: module_of(w).load_state_dict({"w": w.data + 1}),
}


def under_no_grad(function, *args):
    with mg.no_grad():
        return function(*args)


def stepped(optimiser, w):
    w.grad = np.ones(w.shape)
    optimiser.step()


def module_of(w):
    module = mg.nn.Module()
    module.w = w
    return module


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_graph_is_stale_after_any_change_of_a_leaf(change):
    w, x = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([1.0, 1.0])
    product = w @ x
    loss = product.sum()
    change(w)
    with pytest.raises(ValueError, match=r"matmul: .* changed in place"):
        loss.backward()
    with pytest.raises(ValueError, match=r"matmul: .* changed in place"):
        mg.replay([loss], {x: np.ones(2)})
    (w @ x).sum().backward()            # a new graph is as good as any
    np.testing.assert_array_equal(x.grad, w.data.sum(axis=0))


@pytest.mark.parametrize("factored", [True, False])
def test_a_graph_is_stale_after_sgd_on_a_gated_weight(factored):
    """A step that uses the factors of the gradient without multiplying them makes the graph stale, too."""
    layer = mg.nn.GatedLinear(3, 4, mg.Generator(1), block=2, dtype="float64")
    x, gates = leaf(np.ones((2, 3))), mg.tensor(np.eye(2))
    loss = layer(x, gates).to_dense().sum()
    loss.backward()
    assert isinstance(layer.weight.gradient, mg.ops.Factored)
    if not factored:
        assert layer.weight.grad.shape == (4, 3)        # looking at it multiplies it out
    mg.optim.SGD([layer.weight], lr=0.1).step()
    with pytest.raises(ValueError, match=r"gated_linear: .* changed in place"):
        loss.backward()


def test_moving_a_module_counts_as_a_change():
    module = module_of(leaf([1.0]))
    before = module.w.changes[0]
    module.to("cpu")                    # nothing is moved, so nothing is changed
    assert module.w.changes[0] == before
    module.w.changed()
    assert module.w.changes[0] == before + 1


VIEWS = {
    "w.T": lambda w: w.T, "w[0]": lambda w: w[0], "w[:, ::-1]": lambda w: w[:, ::-1],
    "reshape": lambda w: w.reshape(-1), "ravel": lambda w: w.ravel(), "squeeze": lambda w: w.squeeze(),
    "swapaxes": lambda w: w.swapaxes(0, 1), "moveaxis": lambda w: mg.moveaxis(w, 0, 1),
    "flip": lambda w: mg.flip(w), "expand_dims": lambda w: mg.expand_dims(w, 0),
    "broadcast_to": lambda w: mg.broadcast_to(w, (3, 2, 2)), "view of a view": lambda w: w.T[1],
    "squeeze of a view": lambda w: w.T.squeeze(), "row by row": lambda w: list(w)[1],
}


VIEWS["windows"] = Primitive(lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0))
VIEWS["windows"].vjps(None)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_is_refused_once_its_leaf_has_changed(view, recorded):
    w, u = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf(2.0)
    made = view(w) if recorded else under_no_grad(view, w)
    loss = (made * u).sum()
    expected = made.numpy().copy()
    w.data -= 1.0
    for use in (lambda: made * 2, lambda: made.data, made.numpy, lambda: mg.replay([made], {u: np.array(1.0)}),
                lambda: mg.grad(loss, u), lambda: mg.replay([loss], {u: np.array(1.0)})):
        with pytest.raises(ValueError, match=r"changed in place|computed under no_grad"):
            use()
    assert "has changed" in repr(made)
    fresh = view(w) if recorded else under_no_grad(view, w)
    np.testing.assert_array_equal(fresh.numpy(), expected - 1)


@pytest.mark.parametrize("copied", [
    lambda w: w.detach(), lambda w: w.T.detach(), lambda w: under_no_grad(w.detach), lambda w: mg.stop_gradient(w),
    lambda w: w * 1, lambda w: w[[0, 1]], lambda w: w.astype("float64"), lambda w: mg.concatenate([w]),
])
def test_a_copy_keeps_its_value_when_the_leaf_changes(copied):
    w, u = leaf([[1.0, 2.0], [2.0, 4.0]]), leaf(2.0)
    made = copied(w)
    assert not np.shares_memory(made.value, w.value)
    w.data -= 1.0
    np.testing.assert_array_equal(made.numpy(), [[1.0, 2.0], [2.0, 4.0]])
    (made.detach() * u).sum().backward()
    assert u.grad == 9.0


def test_detach_of_a_node_copies_nothing():
    x = leaf([1.0, 2.0]) * 2
    assert x.detach().value is x.value


def test_a_view_is_no_way_to_change_what_it_looks_at():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    node = w * 1
    for owner in (w, node):
        view = under_no_grad(operator.getitem, owner, 0)
        with pytest.raises(ValueError, match=r"data: expected a leaf, got a view"):
            view.data -= 1.0
        with pytest.raises(ValueError, match=r"-=: expected a leaf, got a view"):
            under_no_grad(operator.isub, view, 1.0)
        with pytest.raises(ValueError, match=r"Assign to \.data of that tensor"), mg.no_grad():
            owner[0] += 1.0
        np.testing.assert_array_equal(owner.data, [[1.0, 2.0], [3.0, 4.0]])


# -- NumPy arrays ------------------------------------------------------------------------------------

def test_numpy_cannot_be_written_to_and_stays_as_it_is():
    w = leaf([1.0, 2.0])
    node, view = w * 2, w[:1]
    best = w.numpy()
    for x in (w, node, view, mg.tensor([1, 2])):
        with pytest.raises(ValueError, match="read-only"):
            x.numpy()[0] = 5
    assert np.shares_memory(node.numpy(), node.value)
    node.value[0] = 2.0                 # the array itself stays as writable as it was
    w.data -= 1.0
    np.testing.assert_array_equal(best, [1.0, 2.0])
    np.array(w.numpy())[0] = 5          # a copy is the user's own


@pytest.mark.parametrize("size", [3, 200, 100_000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_buffer_that_is_filled_again_gives_the_right_gradient_or_an_error(size, order):
    w, total = leaf(1.0), mg.tensor(0.0)
    buffer = np.empty((size, 1), order=order)
    for value in (1.0, 2.0, 3.0):
        buffer[:] = value
        total = total + (w * buffer).mean()
    if buffer.nbytes <= sharing.COPIED:
        total.backward()
        np.testing.assert_allclose(w.grad, 6.0, rtol=1e-14)
        np.testing.assert_allclose(mg.replay([total], {w: np.array(2.0)}), 12.0, rtol=1e-14)
    else:
        for use in (total.backward, lambda: mg.replay([total], {w: np.array(2.0)})):
            with pytest.raises(ValueError, match=r"multiply: .* argument 1 was changed.*pass a copy"):
                use()


@pytest.mark.parametrize("operand", [
    lambda x: x, lambda x: x.T, lambda x: x[::2, ::3], lambda x: x.astype("float32"), lambda x: x > 0.5,
    lambda x: (x * 10).astype(int),
])
def test_pictures_that_are_replaced_by_others_are_noticed_in_any_layout(operand):
    """Black borders and equal strides do not hide a change, since the compared entries are scattered."""
    rng = np.random.default_rng(1)
    for shape in ((64, 784), (256, 28, 28)):
        pictures = np.zeros((2, *shape))
        inner = pictures.reshape(2, -1, 28, 28)[..., 6:22, 6:22]
        inner[...] = rng.random(inner.shape)
        buffer = operand(pictures[0].reshape(-1, 784)).copy(order="K")
        before = sharing.compared_entries(buffer)
        assert sharing.compared_entries(buffer) == before
        buffer[...] = operand(pictures[1].reshape(-1, 784))
        assert sharing.compared_entries(buffer) != before


def test_nan_is_equal_to_itself():
    w, x = leaf(1.0), np.full(1000, np.nan)
    (w * x).sum().backward()


def test_arrays_given_by_name_and_packed_ones_are_watched_too():
    @Primitive
    def scaled(x, *, table):
        return x * table

    scaled.vjps(lambda g, out, x, *, table: g * table)
    w, table = leaf(np.ones(1000)), np.ones(1000)
    loss = scaled(w, table=table).sum()
    table[:] = 2
    with pytest.raises(ValueError, match=r"argument table was changed"):
        loss.backward()

    blocks = open_blocks(np.ones((2, 3)))
    units, weight = Packed(np.ones((6, 2)), blocks, 2), leaf(np.ones((1, 6)))
    loss = mg.linear(units, weight).sum()
    units.values[:] = 2
    with pytest.raises(ValueError, match=r"linear: .* argument 0 was changed"):
        loss.backward()


def test_a_result_in_the_memory_of_an_operand_is_copied():
    @Primitive
    def second(x, y):
        return y[:500]

    second.vjps(None, None)
    w, array = leaf(1.0), np.zeros(1000)
    for made in (second(w, array), under_no_grad(second, w, array)):
        assert not np.shares_memory(made.value, array)


def test_logits_and_contexts_are_copied():
    logits, context = np.zeros((200, 1)), np.zeros((200, 1))
    gate = mg.bernoulli(logits, mg.estimators.Reinforce(), context=context)
    for _, x, _ in gate.parents:
        assert not np.shares_memory(x.value, logits)
        assert not np.shares_memory(x.value, context)


pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")


def matrix(numbers):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(numbers)


@pytest.mark.parametrize("array", [np.ma.array([1.0, 2.0], mask=[0, 1]), matrix([1.0, 2.0]), np.ma.masked])
@pytest.mark.parametrize("use", [
    mg.tensor, lambda x: mg.tensor([x]), lambda x: leaf([1.0, 2.0]) * x, lambda x: mg.add(x, leaf([1.0, 2.0])),
    lambda x: mg.add(leaf([1.0, 2.0]), [x]), lambda x: setattr(leaf([1.0, 2.0]), "data", x),
    lambda x: setattr(leaf([1.0, 2.0]), "grad", x), lambda x: leaf([1.0, 2.0]).backward(x),
    lambda x: mg.bernoulli(x, mg.estimators.Reinforce()),
    lambda x: (lambda w: mg.replay([w * 2], {w: x}))(leaf([1.0, 2.0])),
    lambda x: mg.grad(leaf([1.0, 2.0]) * 2, leaf([1.0, 2.0]), x),
])
def test_masked_arrays_and_matrices_are_refused(use, array):
    with pytest.raises(TypeError, match=r"expected an ordinary array, got a (masked array|matrix)"):
        use(array)


def test_masked_arrays_and_matrices_on_the_left_are_refused():
    for array in (np.ma.array([1.0, 2.0], mask=[0, 1]), matrix([1.0, 2.0])):
        with pytest.raises(TypeError):
            array * leaf([1.0, 2.0])


def test_a_memmap_is_an_ordinary_array(tmp_path):
    array = np.memmap(tmp_path / "x", dtype=float, mode="w+", shape=(1000,))
    w = leaf(1.0)
    loss = (w * array).sum()
    assert type(loss.parents[0][1].value) is np.ndarray
    loss.backward()
    array[:] = 1
    with pytest.raises(ValueError, match="was changed"):
        loss.backward()


def test_gradients_are_nobody_elses():
    """Without the copy at the end of backward, both gradients would be one array."""
    a, b, seed = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.ones(2)
    total = (a + b).retain_grad()
    total.backward(seed)
    a.backward(seed)
    a.grad[0] = 7.0
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])
    np.testing.assert_array_equal(total.grad, [1.0, 1.0])
    np.testing.assert_array_equal(seed, [1.0, 1.0])

    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).sum().backward()
    assert not np.shares_memory(a.grad, b.grad)
    a.grad += 1.0
    np.testing.assert_array_equal(b.grad, [1.0, 1.0])

    weight = mg.tensor([5.0, 6.0])
    for way in (lambda: setattr(a, "grad", weight), lambda: setattr(a, "grad", weight.value)):
        way()
        assert not np.shares_memory(a.grad, weight.value)


def test_packed_arrays_of_other_blocks_do_not_mix():
    """Each example has the same number of open blocks, but different ones."""
    one, other = (open_blocks(np.array(gates)) for gates in ([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]))
    assert one.same_as(open_blocks(np.array([[2.0, 0.0], [0.0, 1.0]])))
    assert not one.same_as(other)
    values = np.ones((2, 3))
    with pytest.raises(TypeError, match="same open blocks"):
        Packed(values, one, 3) + Packed(values, other, 3)


# -- changing a leaf in place --------------------------------------------------------------------------

SYMBOLS = {
    "+=": operator.iadd, "-=": operator.isub, "*=": operator.imul, "/=": operator.itruediv,
    "//=": operator.ifloordiv, "%=": operator.imod, "**=": operator.ipow, "@=": operator.imatmul,
    "&=": operator.iand, "|=": operator.ior, "^=": operator.ixor, "<<=": operator.ilshift, ">>=": operator.irshift,
}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_in_place_operators_are_refused_where_recording_is_on(symbol):
    for x in (leaf(np.eye(2)), mg.tensor(np.eye(2)), leaf(np.eye(2)) * 2):
        before = x.numpy().copy()
        with pytest.raises(TypeError, match=r"x = x .* y.*x\.data.*no_grad"):
            SYMBOLS[symbol](x, np.eye(2))
        np.testing.assert_array_equal(x.data, before)


@pytest.mark.parametrize("symbol", ["+=", "-=", "*=", "/=", "**=", "@="])
@pytest.mark.parametrize("order", ["C", "F"])
def test_in_place_operators_change_a_leaf_under_no_grad(symbol, order):
    start, other = np.array([[1.0, 2.0], [3.0, 4.0]], order=order), np.array([[2.0, 1.0], [0.5, 3.0]])
    w = leaf(start)
    stale, memory = (w * 2).sum(), w.value
    found = under_no_grad(SYMBOLS[symbol], w, other)
    assert found is w
    assert w.value is memory            # in place, in the same physical order
    np.testing.assert_allclose(w.data, getattr(operator, SYMBOLS[symbol].__name__[1:])(start, other))
    with pytest.raises(ValueError, match="changed in place"):
        stale.backward()
    (w * 2).sum().backward()


def test_pytorchs_training_step_trains():
    w = leaf([1.0, -2.0])
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        with mg.no_grad():
            w -= 0.25 * w.grad
    np.testing.assert_array_equal(w.data, [0.125, -0.25])


def test_an_interrupt_in_an_in_place_operator_leaves_no_change_uncounted(monkeypatch):
    w = leaf([1.0, 2.0])
    graph = (w * w).sum()

    def interrupted(self):
        raise KeyboardInterrupt
    monkeypatch.setattr(mg.Tensor, "changed", interrupted)
    for change in (lambda: under_no_grad(operator.iadd, w, 1.0), lambda: setattr(w, "data", np.zeros(2))):
        with pytest.raises(KeyboardInterrupt):
            change()
        np.testing.assert_array_equal(w.data, [1, 2])
    graph.backward()
    np.testing.assert_array_equal(w.grad, [2, 4])


def test_a_rule_cannot_write_into_the_graph():
    tried = []

    class Writes(mg.Estimator):
        needs = frozenset({"cost"})

        def __init__(self):
            self.state = {"mean": np.zeros(1)}

        def backward(self, node):
            for array in (node.logits, node.value, node.noise, node.context, node.memory["mean"]):
                with pytest.raises(ValueError, match="read-only"):
                    array[...] = 99
                tried.append(array)
            return np.zeros(node.shape)

    logits = leaf([[0.5, -0.5]])
    mg.expected(mg.bernoulli(logits, Writes(), context=np.ones((1, 3)), rng=mg.Generator(1)).sum(axis=1)).backward()
    assert len(tried) == 5


def test_in_place_operators_refuse_what_does_not_fit_before_anything_changes():
    w, node, count = leaf([1.0, 2.0], dtype="float32"), leaf([1.0]) * 2, mg.tensor([1, 2])
    for x, other, error, message in (
        (w, np.ones((3, 2), "float32"), ValueError, r"\+=: expected an array of shape \(2,\)"),
        (w, np.ones(2), TypeError, "float32 and float64"),
        (node, 1.0, ValueError, r"\+=: expected a leaf, got the result of multiply"),
        (count, 0.5, ValueError, "dtype int64"),
    ):
        before, changes = x.numpy().copy(), x.changes[0]
        with pytest.raises(error, match=message):
            under_no_grad(operator.iadd, x, other)
        np.testing.assert_array_equal(x.data, before)
        assert x.changes[0] == changes
    under_no_grad(operator.iadd, count, 1)
    np.testing.assert_array_equal(count.data, [2, 3])


# -- no_grad -------------------------------------------------------------------------------------------

def test_no_grad_as_a_decorator_nested_and_after_an_error():
    x = leaf(2.0)

    @mg.no_grad()
    def square(y, *, fail=False):
        """Squares."""
        if fail:
            raise RuntimeError
        return y * y

    assert square.__doc__ == "Squares."
    assert not square(x).requires_grad
    with pytest.raises(RuntimeError):
        square(x, fail=True)
    block = mg.no_grad()
    with block, block:
        with block:
            assert not square(x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_refuses_what_would_run_after_it_is_over():
    def generator():
        yield 1

    async def coroutine():
        pass

    async def both():
        yield 1

    for function in (generator, coroutine, both, partial(generator)):
        with pytest.raises(TypeError, match=r"with mg\.no_grad\(\):"):
            mg.no_grad()(function)
    with pytest.raises(TypeError, match="parentheses"):
        mg.no_grad(abs)


def test_no_grad_in_one_task_leaves_the_others_recording():
    x = leaf(2.0)

    async def main():
        entered, done = asyncio.Event(), asyncio.Event()

        async def quiet():
            with mg.no_grad():
                entered.set()
                await done.wait()
                return (x * x).requires_grad

        async def loud():
            await entered.wait()
            found = (x * x).requires_grad
            done.set()
            return found
        return await asyncio.gather(quiet(), loud())

    assert asyncio.run(main()) == [False, True]


# -- replay --------------------------------------------------------------------------------------------

def test_a_leaf_is_replaced_everywhere_or_not_at_all():
    w = leaf(3.0)
    x = mg.tensor(2.0)
    with pytest.raises(ValueError, match="leaves that require a gradient"):
        mg.replay([(x * 2) * w + x * w], {x: np.array(10.0)})
    x = leaf(2.0)
    assert mg.replay([(x * 2) * w + x * w], {x: np.array(10.0)}) == [90.0]
    assert mg.replay([(x * 2).detach() * w + x * w], {x: np.array(10.0)}) == [90.0]
    with pytest.raises(TypeError, match=r"got 10\.0\. Use np\.array"):
        mg.replay([x * w], {x: 10.0})


@pytest.mark.parametrize("through", [
    lambda x: x * 2, lambda x: (x * 2) + 1, lambda x: x.reshape(1), lambda x: x.detach(),
])
def test_values_computed_without_recording_are_not_replayed_in_part(through):
    w, x = leaf(3.0), leaf(2.0)
    y = x * 1
    hidden = under_no_grad(through, y)
    further = hidden * mg.tensor(2.0)       # of constants, so it is not recorded either
    for out in (hidden * w + y, further * w + y, further):
        for replaced in (x, y):
            with pytest.raises(ValueError, match=r"computed under no_grad.*detach"):
                mg.replay([out], {replaced: np.array(10.0)})
    later = y * 5
    assert mg.replay([further.reshape(()) * later], {later: np.array(1.0)}) == [further.item()]


def test_a_rule_does_not_replay_a_graph_with_a_hidden_dependence():
    logits = leaf(np.zeros((2, 3)))
    bits = mg.bernoulli(logits, mg.estimators.DisARM(), rng=mg.Generator(1))
    hidden = under_no_grad(operator.mul, bits, 2.0)
    with pytest.raises(ValueError, match="computed under no_grad"):
        mg.expected((bits * hidden).sum(axis=1)).backward()
    before = under_no_grad(operator.mul, logits, 2.0)       # older than the bits, so it cannot depend on them
    mg.expected((bits * before).sum(axis=1)).backward()


def test_what_replay_returns_is_not_a_leafs_memory():
    w = leaf([1.0, 2.0])
    y = w * 2
    for x in (w, w.T):
        (found,) = mg.replay([x], {y: np.ones(2)})
        assert not np.shares_memory(found, w.value)
