"""Many alternatives in one replay give the results of single replays, for graphs of every kind."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.estimators import BitFlip, Enumerate, LeaveOneOut, LocalExpectation, PrunedFlip, Stop
from minigrad.ops import alternatives
from minigrad.ops.primitives import table

ROWS, UNITS = 5, 4
numbers = np.random.default_rng(0)
X = numbers.normal(size=(ROWS, UNITS))
WEIGHT = numbers.normal(size=(3, UNITS))
STACKS = numbers.normal(size=(ROWS, UNITS, 2))
LABELS = np.array([0, 2, 1, 1, 0])


class Ask(mg.Estimator):
    """Runs a function on the node, keeps its result, and estimates 0."""

    needs = {"cost_at"}

    def __init__(self, look):
        self.look = look

    def backward(self, node):
        self.seen = self.look(node)
        return np.zeros_like(node.value)


def asked(look, loss, dtype=float, shape=(ROWS, UNITS), event_ndim=1):
    """What a rule sees at a node of this shape below which ``loss`` lies, and the node."""
    a = mg.tensor(np.zeros(shape), requires_grad=True, dtype=dtype)
    rule = Ask(look)
    b = mg.bernoulli(a, rule, rng=mg.Generator(3), event_ndim=event_ndim)
    loss(b).backward()
    return rule.seen, b


def per_row(cost):
    return lambda b: mg.expected(cost(b))


def linear(b):
    return mg.linear(b, mg.tensor(WEIGHT), mg.tensor(WEIGHT[:, 0]))


def gated(b):
    gates = mg.tensor(numbers.integers(0, 2, (ROWS, 3)).astype(float))
    hidden = mg.gated_linear(b, mg.tensor(WEIGHT), None, gates)
    return mg.linear(mg.relu(hidden), mg.tensor(WEIGHT.T)).sum(axis=1)


def gates(b):
    return mg.gated_linear(mg.tensor(X), mg.tensor(X[:4]), None, b).to_dense().sum(axis=1)


def below(rule):
    """A second stochastic layer, which has its own uniforms."""
    def cost(b):
        top = mg.bernoulli(linear(b), rule, rng=mg.Generator(4))
        return (top.sum(axis=1) + b[:, 0] - 1.5) ** 2
    return cost


COSTS = {
    "elementwise": lambda b: (mg.tanh(b * X - 2 / (1 + b)) * mg.where(b > 0.5, X, b)).sum(axis=1),
    "elementwise, more axes than the sample": lambda b: (b * numbers_like(2, ROWS, UNITS)).sum(axis=(0, 2)),
    "one entry of the sample at a time": lambda b: (b.reshape(ROWS, UNITS, 1) * STACKS).mean(axis=(1, 2)),
    "a number by name": lambda b: (mg.clip(b, 0.2, 0.7) ** 2 + b.astype("float64")).sum(axis=-1),
    "an array by name": lambda b: mg.multiply(b, y=X).sum(axis=1),
    "truth": lambda b: ((b > 0) @ WEIGHT.T).sum(axis=1),
    "sum": lambda b: b.sum(axis=-1, keepdims=True)[:, 0],
    "var and max": lambda b: (b * X).var(axis=1) + (b * X).max(axis=(-1,)) - (b + X).min(axis=1),
    "softmax": lambda b: mg.log_softmax(b * X)[:, 1] + mg.softmax(b * X, axis=1)[:, 2],
    "lengths of one": lambda b: mg.squeeze(mg.expand_dims(b * X, (0, -1))).sum(axis=1),
    "logsumexp and cumsum": lambda b: mg.logsumexp((b * X).cumsum(1), axis=1),
    "shapes": lambda b: mg.flip(b.reshape(-1, 2, 2), axis=-1).sum(axis=2)[:, 0] * mg.expand_dims(b, 1)[:, 0, 1],
    "einsum": lambda b: mg.einsum("bi,ki,bj,kj->b", b, WEIGHT, mg.tanh(b), WEIGHT) + mg.einsum("bi->b", b * X),
    "matrices, and their parts": lambda b: (mg.tril(b.reshape(-1, 2, 2)) @ mg.triu(STACKS[:, :2], 1)).sum(axis=(1, 2)),
    "diagonals": lambda b: mg.trace(b.reshape(-1, 2, 2), axis1=1, axis2=2) ** 2 + mg.ones_like(b)[:, 0],
    "std, norm, any and all": lambda b: ((b + X).std(axis=1) + (b * X).norm(axis=1) + (b > 0.9).any(axis=1)
                                         - (b < 0.9).all(axis=1)),
    "order": lambda b: (mg.sort(b * X) * WEIGHT[0]).sum(axis=1) + mg.topk(b * X, 2, axis=1)[0].prod(axis=1),
    "rounding": lambda b: (mg.floor(3 * b * X) + (b * X) % 0.3 + mg.round(b * X)).sum(axis=1),
    "more activations": lambda b: (mg.gelu(b * X) + mg.silu(b) + mg.elu(-b) + mg.leaky_relu(-b)
                                   + mg.logaddexp(b, X)).sum(axis=1),
    "products so far": lambda b: mg.cumprod(b + X, axis=1).sum(axis=1) + mg.pad(b, ((0, 0), (1, 2)))[:, 1],
    "angles": lambda b: (mg.arctan2(b, X) + mg.hypot(b, X) + mg.arcsinh(b)).sum(axis=1),
    "bits": lambda b: ((b > 0.5) & (X > 0) | ~(b > 0.5) ^ (X < 1)).sum(axis=1),
    "transposed": lambda b: (b.T * X.T).sum(axis=0),
    "matmul": lambda b: mg.tanh(b @ WEIGHT.T).sum(axis=1),
    "a vector": lambda b: mg.exp(b @ WEIGHT[0]),
    "elementwise before the matrix": lambda b: mg.tanh((2 * b - 1) * X * b @ WEIGHT.T).sum(axis=1),
    "stacks of matrices": lambda b: (b.reshape(ROWS, 1, UNITS) @ STACKS).sum(axis=(1, 2)) ** 2,
    "the sample on the right": lambda b: (STACKS.swapaxes(1, 2) @ b.reshape(ROWS, UNITS, 1)).sum(axis=(1, 2)) ** 2,
    "linear": lambda b: mg.square(linear(b)).sum(axis=1),
    "linear without bias": lambda b: mg.square(mg.linear(b, mg.tensor(WEIGHT))).sum(axis=1),
    "the sample as weight": lambda b: mg.linear(mg.tensor(X), b)[np.arange(ROWS), np.arange(ROWS)],
    "two layers": lambda b: mg.binary_cross_entropy(mg.linear(mg.relu(linear(b)), mg.tensor(WEIGHT.T)),
                                                    (X > 0).astype(float)).sum(axis=1),
    "cross entropy": lambda b: mg.cross_entropy(linear(b), LABELS),
    "cross entropy, labels by name": lambda b: mg.cross_entropy(linear(b), labels=LABELS),
    "indices": lambda b: b[:, 0] * b[LABELS * 0 + np.arange(ROWS), LABELS] + b[:, 1:].sum(axis=1),
    "joined": lambda b: mg.concatenate([b, mg.tensor(X), b * X], axis=1).sum(axis=1) ** 2,
    "special functions": lambda b: mg.xlogy(b, 1 + X**2).sum(axis=1) + mg.gammaln(b + 1.5).mean(axis=1),
    "gated": gated,
    "gates": gates,
    "stochastic nodes below": below(Stop()),
}


def numbers_like(*shape):
    return np.random.default_rng(1).normal(size=shape)


LOSSES = {name: per_row(cost) for name, cost in COSTS.items()} | {
    "terms": lambda b: 0.5 * mg.expected(linear(b).sum(axis=1)) - 2 * mg.expected((b * X).sum(axis=1) ** 2),
    "one of two terms": lambda b: mg.expected(mg.tensor(X).sum(axis=1)) + mg.expected(b.prod(axis=1)),
    "coupled": lambda b: (b * X).sum() ** 2,
    "coupled, all axes one by one": lambda b: (linear(b).mean(axis=(0, 1), keepdims=True) ** 2).sum(),
    "a term and the rest": lambda b: mg.expected(linear(b).sum(axis=1)) + mg.exp((b * X).mean()),
    "an array of weights": lambda b: (mg.expected(b.sum(axis=1)) ** 2).reshape(1).sum() + b.max(),
}


def flips(node):
    """All alternatives with one unit changed, (units, rows, units)."""
    return np.abs(node.value - np.eye(node.shape[1], dtype=node.value.dtype)[:, None])


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("rows", ["together", "one by one"])
def test_alternatives_at_once_cost_what_they_cost_one_after_the_other(loss, rows):
    def look(node):
        values = np.concatenate([flips(node), 1 - node.value[None], 0.3 + 0 * node.value[None]])
        return node.cost_at(values, rows), np.stack([node.cost_at(value, rows) for value in values])

    (at_once, singly), _ = asked(look, loss)
    assert at_once.shape == (UNITS + 2, ROWS, 1)
    np.testing.assert_allclose(at_once, singly, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_flips_cost_what_the_flipped_samples_cost(loss):
    def look(node):
        units = np.stack([LABELS, 3 - LABELS])
        every, some = node.cost_flipped(np.arange(UNITS)[:, None]), node.cost_flipped(units)
        singly = np.stack([node.cost_at(value, "one by one") for value in flips(node)])
        return (every, singly), (some, singly[units, np.arange(ROWS)])

    for found, expected in asked(look, loss)[0]:
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("shape", "event_ndim"), [((5, 2, 2), 2), ((5, 2, 4), 1), ((4,), 1), ((5,), 0), ((), 0)])
def test_samples_of_any_axes(shape, event_ndim):
    weights = numbers_like(*shape)

    def loss(b):
        return mg.expected(mg.exp(b * weights).sum(axis=tuple(range(len(shape) - event_ndim, len(shape)))))

    assert_alternatives_agree(loss, shape, event_ndim)


def test_bounds_of_several_samples():
    assert_alternatives_agree(lambda b: mg.expected((b * numbers_like(5, 3, 4)).sum(axis=2), over=1), (5, 3, 4), 1)


def assert_alternatives_agree(loss, shape, event_ndim):
    """Flips, alternatives at once and one after the other have the same costs."""

    def look(node):
        every = node.cost_flipped(np.arange(node.shape[1])[:, None])
        return every, node.cost_at(flips(node), "one by one"), [node.cost_at(x, "one by one") for x in flips(node)]

    (flipped, at_once, singly), _ = asked(look, loss, shape=shape, event_ndim=event_ndim)
    np.testing.assert_allclose(flipped, singly, rtol=1e-12)
    np.testing.assert_allclose(at_once, singly, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 350])
def test_chunks_change_nothing(monkeypatch, size):
    def look(node):
        return node.cost_flipped(np.arange(UNITS)[:, None])

    whole, _ = asked(look, LOSSES["two layers"])
    monkeypatch.setattr(mg.graph, "MOST_BYTES", size)
    np.testing.assert_allclose(asked(look, LOSSES["two layers"])[0], whole, rtol=1e-12)


def test_single_precision_stays_single():
    weight = mg.tensor(WEIGHT, dtype="float32")

    def loss(b):
        return mg.expected(mg.softplus(mg.linear(mg.tanh(b), weight)).sum(axis=1))

    (flipped, singly), _ = asked(lambda node: (node.cost_flipped(np.arange(UNITS)[:, None]), node.cost_at(flips(node))),
                                 loss, "float32")
    assert flipped.dtype == singly.dtype == np.float32
    np.testing.assert_allclose(flipped, singly, rtol=1e-5)


def test_every_alternative_counts_as_one_evaluation():
    loss = LOSSES["linear"]
    for look, made in ((lambda node: node.cost_at(flips(node)), UNITS),
                       (lambda node: node.cost_flipped(np.array([LABELS, LABELS])), 2)):
        assert asked(look, loss)[1].primitive.replays == made
    for rule, loss, made in ((LocalExpectation(), "linear", UNITS), (BitFlip(), "linear", 1),
                             (PrunedFlip(), "linear", 1), (Enumerate(), "linear", 2**UNITS),
                             (LeaveOneOut(7), "linear", 6), (LocalExpectation(), "coupled", UNITS * ROWS),
                             (BitFlip(), "coupled", ROWS)):
        b = mg.bernoulli(mg.tensor(X, requires_grad=True), rule)
        LOSSES[loss](b).backward()
        assert b.primitive.replays == made


def test_alternatives_within_a_replay_differ_from_the_replay():
    """A relaxed replay above runs the rule below again, where it flips the bits of that replay."""
    seen = []

    class Relaxed(mg.Estimator):
        needs = {"cost_and_grad_at"}

        def backward(self, node):
            return node.cost_and_grad_at(node.probs)[1]

    def look(node):
        seen.append((node.cost_flipped(np.arange(3)[:, None]), np.stack([node.cost_at(x) for x in flips(node)])))

    a, offset = mg.tensor(X, requires_grad=True), mg.tensor(np.zeros(3), requires_grad=True)
    top = mg.bernoulli(a, Relaxed(), rng=mg.Generator(0))
    bottom = mg.bernoulli(linear(top) + offset, Ask(look), rng=mg.Generator(1))
    mg.expected((mg.linear(bottom, mg.tensor(WEIGHT.T)) * top * X).sum(axis=1) ** 2).backward()
    assert len(seen) == 2
    for flipped, singly in seen:
        np.testing.assert_allclose(flipped, singly, rtol=1e-12)
    assert np.abs(seen[0][0] - seen[1][0]).max() > 0.1


def test_a_graph_changed_in_place_is_refused():
    weight = mg.tensor(WEIGHT)

    def loss(b):
        cost = mg.expected(mg.linear(b, weight).sum(axis=1))
        weight.data = weight.data + 1
        return cost

    with pytest.raises(ValueError, match="changed in place"):
        asked(lambda node: node.cost_flipped(np.zeros((1, 1), int)), loss)


def test_one_unit_changed_reaches_the_next_layer_as_a_change_of_rank_one(monkeypatch):
    """The linear layer multiplies no matrices, and what lies before it knows single units alone."""
    flips = alternatives.Flips(X, np.ones((UNITS, ROWS)), np.arange(UNITS)[:, None])

    def never(*arguments):
        raise AssertionError("evaluated in full")

    shifted = alternatives.elementwise(np.add, X + 1, [X, 1], {0: flips}, {})
    assert isinstance(shifted, alternatives.Flips)
    changed = alternatives.linear_layer(never, (X + 1) @ WEIGHT.T, [X + 1, WEIGHT], {0: shifted}, {})
    np.testing.assert_allclose(changed, (alternatives.stack(flips) + 1) @ WEIGHT.T, rtol=1e-12)


def test_whoever_carries_alternatives_is_in_the_table():
    carried = {name for name, primitive in table.items() if primitive.batching}
    assert {"add", "sum", "linear", "matmul", "cross_entropy", "reshape"} <= carried
    assert not {"getitem", "gated_linear"} & carried


def test_the_benchmark_runs_and_its_ways_agree(capsys):
    pytest.importorskip("threadpoolctl")
    from demos.benchmarks import flips

    table = flips.main(["--batch", "2", "--units", "3", "--rounds", "1", "--burst", "0"])
    assert [name for name, *_ in table] == ["LocalExpectation", "BitFlip", "PrunedFlip"]
    assert "rank one" in capsys.readouterr().out
