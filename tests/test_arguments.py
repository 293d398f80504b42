"""Wrong arguments of public functions: each message says what was expected, what was passed and what to do."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.arguments import described

NUMPY = np.random.default_rng(0)
HYPERPARAMETERS = {
    "temperature": np.float64(0.5), "c": np.float64(0.1), "scale": np.float64(0.5), "baseline": np.float64(0.5),
    "rate": np.float64(0.01), "decay": np.float64(0.9), "samples": np.int64(2), "slope": np.float64(1.0),
}


def x():
    return mg.tensor(np.ones((2, 3)), requires_grad=True)


def loss(rng=None):
    return mg.expected(mg.bernoulli(x(), mg.estimators.Reinforce(), rng=rng).sum(axis=1))


@pytest.mark.parametrize(("rng", "got"), [
    (NUMPY, "a numpy.random.Generator"), (0, "0"), ([1], "a list"), (mg.Generator, "the class Generator"),
    (np.random, "a module"),
], ids=str)
@pytest.mark.parametrize("make", [
    lambda rng: mg.nn.Linear(3, 2, rng), lambda rng: mg.nn.GatedLinear(3, 2, rng),
    lambda rng: mg.nn.ConditionalNetwork(rng, inputs=3, hidden=2, units=4, outputs=2),
    lambda rng: mg.bernoulli(x(), mg.estimators.ARM(), rng=rng),
    lambda rng: mg.neurons.noisy_rectifier(x(), rng=rng), lambda rng: mg.neurons.noisy_sigmoid(x(), rng=rng),
    lambda rng: mg.neurons.stochastic_times_smooth(x(), rng=rng),
    lambda rng: mg.neurons.stochastic_binary(x(), rng=rng), lambda rng: mg.neurons.straight_through(x(), rng=rng),
    lambda rng: mg.neurons.multiplicative_noise(x(), rng=rng),
])
def test_a_generator_is_ours(make, rng, got):
    with pytest.raises(TypeError, match=rf"expected a Generator of minigrad as rng, got {got}\. Use mg.Generator\("):
        make(rng)


@pytest.mark.parametrize("fn", [loss(), 3.0, None, [loss]], ids=["Tensor", "float", "None", "list"])
@pytest.mark.parametrize("check", [
    mg.testing.exact_expectation, lambda fn: mg.testing.exact_gradient(fn, x()),
    lambda fn: mg.testing.check_estimator(fn, x()), lambda fn: mg.testing.assert_unbiased(fn, x()),
    lambda fn: mg.testing.assert_mean(fn, x(), loss), lambda fn: mg.testing.assert_variance(fn, x(), loss),
])
def test_a_loss_is_computed_by_a_function(check, fn):
    with pytest.raises(TypeError, match=rf"expected fn to be a function .* got {described(fn)}".replace("(", r"\(")
                       .replace(")", r"\)") + r"\. .* into def fn\(rng\)"):
        check(fn)


def test_a_function_returns_its_loss():
    with pytest.raises(TypeError, match=r"expected fn to return the loss, a Tensor, got None\. Add a return"):
        mg.testing.check_estimator(lambda rng: None, x())


def test_exact_functions_take_what_the_others_take():
    """A function of rng, which may have a default, and one without arguments."""
    leaf = mg.tensor([[0.5]], requires_grad=True)

    def fn(rng, factor=2.0):
        return mg.expected((mg.bernoulli(leaf, mg.estimators.ARM(), rng=rng) * factor).sum(axis=1))

    p = 1 / (1 + np.exp(-0.5))
    assert mg.testing.exact_expectation(fn) == pytest.approx(2 * p)
    assert mg.testing.exact_expectation(lambda: fn(None)) == pytest.approx(2 * p)
    assert mg.testing.exact_gradient(lambda factor=3.0: fn(None, factor), leaf) == pytest.approx(3 * p * (1 - p))


def generated():
    yield 1


class Generated:
    def __call__(self):
        yield 1


@pytest.mark.parametrize(("call", "kind", "text"), [
    (lambda: mg.nn.Linear("3", 2, mg.Generator(0)), TypeError, "expected ints of at least 0 as inputs .*'3' and 2"),
    (lambda: mg.nn.Linear(3, 2, mg.Generator(0), dtype="float46"), TypeError, "float32 or float64, got 'float46'"),
    (lambda: mg.nn.Linear(3, 2, mg.Generator(0), dtype=int), TypeError, "float32 or float64, got the class int"),
    (lambda: mg.nn.Linear(3, 2, mg.Generator(0), gain=None), TypeError, "expected a number as gain, got None"),
    (lambda: mg.nn.GatedLinear(3, 4, mg.Generator(0), block=None), ValueError, "divides 4 units, got None"),
    (lambda: mg.nn.Linear(3, 2, mg.Generator(0)).load_state_dict(None), TypeError, "a dict, got None. Pass what state"),
    (lambda: mg.Generator(0).uniform(3), TypeError, r"expected a shape, .* got 3\. Use \(rows, units\)"),
    (lambda: mg.Generator(0).normal((2, 3), "single"), None, None),
    (lambda: mg.Generator(0).normal((2, 3), "float16"), TypeError, "float32 or float64, got 'float16'"),
    (lambda: mg.Generator(0).integers("4", (2, 3)), ValueError, "high from 1 to 2.*32, got '4'"),
    (lambda: mg.Generator(0).load_state_dict([1]), ValueError, "got a list. Pass what state_dict"),
    (lambda: mg.bernoulli(x(), mg.estimators.ARM(), event_ndim="1"), ValueError, "event_ndim = '1' of them"),
    (lambda: mg.optim.SGD([x()], lr="0.1"), ValueError, "learning rate above 0, got lr=0.1"),
    (lambda: mg.optim.SGD([x()], lr=0.1, momentum=None), ValueError, r"momentum in \[0, 1\), got None"),
    (lambda: mg.optim.Adam([x()], betas=0.9), ValueError, r"betas in \[0, 1\), got 0.9"),
    (lambda: mg.optim.Adam([x()]).load_state_dict(None), ValueError, "Adam: expected a state .* got None"),
    (lambda: mg.estimators.GumbelSigmoid(None), ValueError, "expected a temperature > 0, got None"),
    (lambda: mg.estimators.ARMS(samples=2.5), ValueError, "expected samples >= 2.* got 2.5"),
    (lambda: mg.estimators.Reinforce(baseline=[1]), ValueError, "a finite number or an object .* got a list"),
    (lambda: mg.neurons.noisy_sigmoid(x(), scale="1"), ValueError, "a scale of 0 or more, got '1'|of 0 or more, got 1"),
    (lambda: mg.neurons.noisy_rectifier(mg.tensor([1, 2])), TypeError, "expected floats, got dtype int64. Use .astype"),
    (lambda: mg.data.synthetic_digits(2.0, 0), ValueError, "expected samples >= 0, got 2.0"),
    (lambda: mg.data.synthetic_digits(2, NUMPY), ValueError, "as seed, got a numpy.random.Generator"),
    (lambda: mg.data.minibatches(10, "4", seed=0, epoch=0), ValueError, "batch='4'"),
    (lambda: mg.draw([x()]), TypeError, r"expected Tensors, got a list\. Pass each output as an argument"),
    (lambda: mg.draw(x(), names=["x"]), TypeError, 'expected names as a dict .*names={"x": x}'),
    (lambda: mg.replay([x()], [1]), TypeError, r"a dict from Tensors to arrays, got a list. Write replay\(\[output"),
    (lambda: mg.expected([1.0, 2.0]), TypeError, "an array of costs, one per sample, got a list. Use mg.tensor"),
    (lambda: mg.expected(x(), over="1"), ValueError, "over to be the last axis .* got over='1'"),
    (lambda: x().prod(axis=1.0), TypeError, "axis: expected an int, a tuple of ints or None, got 1.0"),
    (lambda: x().prod(axis=np.int64(1)), None, None),
    (lambda: x().astype("float46"), TypeError, "expected float64, float32, .* got 'float46'"),
    (lambda: mg.tensor([1.0], dtype="float46"), TypeError, "expected dtype float64, float32, .* got 'float46'"),
    (lambda: mg.tensor({"a": 1}), TypeError, "boolean data, got a dict. Pass dtype"),
    (lambda: mg.concatenate(3), TypeError, r"a list of Tensors or arrays, got 3. Use concatenate\(\[x, y\]\)"),
    (lambda: mg.stack([x(), None]), TypeError, "a list of Tensors or arrays, got None"),
    (lambda: mg.stack([[1.0, 2.0], [3.0, 4.0]]), None, None),
    (lambda: mg.softmax(None), TypeError, "softmax: expected Tensors or arrays, got None"),
    (lambda: x() + None, TypeError, "add: expected Tensors or arrays, got None"),
    (lambda: x() * np.array(["a"]), TypeError, "multiply: expected numbers, got an array of dtype <U1"),
    (lambda: mg.exp(len), TypeError, "exp: expected Tensors, arrays and numbers, got a builtin_function"),
    (lambda: mg.testing.check_estimator(loss, [1.0]), TypeError, "Tensors with requires_grad=True, .* got 1.0. Use mg"),
    (lambda: mg.testing.check_estimator(loss, x(), samples="9"), ValueError, "samples to be an int .* got '9'"),
    (lambda: mg.testing.exact_gradient(loss, None), TypeError, "exact_gradient: expected params that are Tensors"),
    (lambda: mg.testing.gradcheck(x(), [x()]), TypeError, r"expected a function of the inputs, got a .* of shape"),
    (lambda: mg.testing.gradcheck(lambda x: x, "x"), TypeError, r"expected a list of inputs, got .* Use \[x\]"),
    (lambda: mg.Generator(0, device=np.ones(2)), ValueError, "device: expected one of 'cpu', 'cuda'"),
    (lambda: mg.sort(x(), axis=None), TypeError, r"sort: expected axis as an int, got None. .* call x.reshape\(-1\)"),
    (lambda: mg.sort(mg.tensor(1.0)), ValueError, "sort: expected at least one axis, got a scalar"),
    (lambda: mg.cumprod(x(), axis=None), TypeError, "cumprod: expected axis as an int, got None"),
    (lambda: x().cumsum(axis=None), TypeError, "cumsum: expected axis as an int, got None"),
    (lambda: mg.topk(x(), mg.tensor(1)), ValueError, "topk: expected k as an int from 0 to 3, .* got a minigrad"),
    (lambda: mg.repeat(x(), np.array([1, 2]), axis=0), TypeError, "repeat: expected repeats as an int .* numpy"),
    (lambda: x().reshape(), TypeError, "reshape: expected a shape, got none"),
    (lambda: x().std(unbiased=True), TypeError, "std: expected ddof, got unbiased, .* Write ddof=1"),
    (lambda: mg.var(x(), correction=0), TypeError, "var: expected ddof, got correction, .* Write ddof=0"),
    (lambda: mg.clip(x(), a_min=0.0), TypeError, "clip: expected min, got a_min, .* Write min=0.0"),
    (lambda: mg.grad(3.0, [x()]), TypeError, "grad: expected Tensors as outputs and inputs, .* got 3.0"),
    (lambda: mg.nn.Dropout("a"), ValueError, r"expected a rate in \[0, 1\), got 'a'"),
    (lambda: mg.nn.Dropout(0.5)(np.arange(3), mg.Generator(0)), TypeError, "Dropout: expected floats, got dtype int64"),
    (lambda: mg.nn.LayerNorm(0), ValueError, "features as an int of at least 1, got 0"),
    (lambda: mg.nn.LayerNorm(3)(np.ones((2, 3), np.uint8)), None, None),
    (lambda: mg.optim.AdamW([x()], weight_decay="a"), ValueError, "weight_decay of at least 0, got 'a'"),
    (lambda: mg.optim.AdamW([x()], weight_decay=np.inf), ValueError, "weight_decay of at least 0, got inf"),
    (lambda: mg.optim.SGD([x()], lr=np.inf), ValueError, "learning rate above 0, got lr=inf"),
    (lambda: mg.optim.SGD((leaf for leaf in [x()]), lr=0.1).step, None, None),
    (lambda: mg.bernoulli(x(), mg.estimators.ARM(), name=3), TypeError, "expected a string as name, got 3"),
    (lambda: mg.bernoulli(0.5, mg.estimators.ARM()), ValueError, r"event_ndim = 1 .* of shape \(\)"),
    (lambda: mg.binary_cross_entropy(np.ones((4, 1)), np.ones(4)), ValueError, "targets of the shape of the logits"),
    (lambda: mg.binary_cross_entropy(np.ones((2, 3)), np.ones(3)), None, None),
    (lambda: mg.tensor([[np.ma.array([1.0], mask=[True])]]), TypeError, "tensor: .* got a masked array"),
    (lambda: mg.one_hot(np.ma.array([1], mask=[True]), 3), TypeError, "one_hot: .* got a masked array"),
    (lambda: mg.pad(x(), 1, constant_values=np.ma.array(1.0)), TypeError, "pad: expected a number as constant_values"),
    (lambda: mg.gated_linear(np.ones((1, 2)), np.ones((2, 2)), None, np.ma.array([[1.0, 1.0]], mask=[[0, 1]])),
     TypeError, "gated_linear: expected an ordinary array, got a masked"),
    (lambda: mg.no_grad()(staticmethod(generated)), TypeError, "no_grad: expected an ordinary function"),
    (lambda: mg.no_grad()(Generated()), TypeError, "no_grad: expected an ordinary function"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_messages(call, kind, text):
    if kind is None:
        call()
        return
    with pytest.raises(kind, match=text):
        call()


def test_labels_that_are_one_hot():
    scores, labels = x(), np.eye(3)[:2]
    with pytest.raises(TypeError, match=r"labels as an array of integers, got float64. Use labels.argmax\(axis=-1\)"):
        mg.cross_entropy(scores, labels)
    with pytest.raises(ValueError, match=r"one label for each example, .* Use labels.argmax\(axis=-1\) if they are"):
        mg.cross_entropy(scores, labels.astype(int))
    mg.cross_entropy(scores, labels.argmax(axis=-1))


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("call", [
    lambda there: x() * there, lambda there: there * x(), lambda there: x() - there, lambda there: there - x(),
    lambda there: x() @ there.T, lambda there: mg.softmax(there), lambda there: mg.linear(there, x(), None),
    lambda there: mg.maximum(x(), there), lambda there: mg.where(x() > 0, there, x()), lambda there: x() > there,
    lambda there: mg.concatenate([x(), there]), lambda there: mg.exp(there), lambda there: mg.sum(there, axis=0),
    lambda there: mg.one_hot(there, 3), lambda there: mg.tensor(there.requires_grad_()),
    lambda there: mg.bernoulli(there.requires_grad_(), mg.estimators.ARM()),
    lambda there: mg.gated_linear(np.ones((2, 2)), np.ones((3, 2)), None, there),
    lambda there: mg.cross_entropy(there, np.array([0, 1])),
])
def test_tensors_of_pytorch(torch, call):
    """On either side of an operator and in functions; nothing of PyTorch's ever gets into a graph."""
    with pytest.raises(TypeError, match=r"got a torch.Tensor of shape .* Use x.detach\(\).cpu\(\).numpy\(\)"):
        call(torch.ones(2, 3, dtype=torch.float64))


def test_labels_of_pytorch(torch):
    with pytest.raises(TypeError, match=r"cross_entropy: .* got a torch.Tensor of shape \(2,\). Use x.detach"):
        mg.cross_entropy(x(), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match=r"cross_entropy: .* got a torch.Tensor of shape \(2,\). Use x.detach"):
        mg.cross_entropy(x().data, torch.tensor([0, 1]))


@pytest.mark.parametrize("name", mg.estimators.__all__)
def test_numbers_of_numpy_do_not_widen_a_float32_graph(name):
    """Whatever floats settings are, values and gradients stay in single precision."""
    rule = getattr(mg.estimators, name)
    accepted = rule.__init__.__code__.co_varnames if hasattr(rule.__init__, "__code__") else ()
    settings = {key: value for key, value in HYPERPARAMETERS.items() if key in accepted}
    logits = mg.tensor([[0.5, -1.0]], requires_grad=True, dtype="float32")
    bits = mg.bernoulli(logits, rule(**settings), rng=mg.Generator(1))
    mg.expected(mg.exp(bits).sum(axis=1)).backward()
    assert bits.dtype == logits.grad.dtype == np.float32


def test_numbers_of_numpy_do_not_widen_noise():
    h = mg.tensor([[0.5, -1.0]], requires_grad=True, dtype="float32")
    half = np.float64(0.5)
    for unit in (mg.neurons.noisy_rectifier(h, scale=half), mg.neurons.noisy_sigmoid(h, half),
                 mg.neurons.multiplicative_noise(h, half), mg.neurons.multiplicative_noise(h, half, "gaussian")):
        assert unit.dtype == np.float32
