"""JAX's samplers are replaced inside all transformations of a program, and they are restored at the end."""

import signal
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed")

import jax.numpy as jnp  # noqa: E402
from jax.random import bernoulli  # noqa: E402

from minigrad.testing.programs import jax as programs  # noqa: E402
from minigrad.testing.programs.jax_samplers import HOME  # noqa: E402
from tests.interrupted import interrupt  # noqa: E402

LOGITS = jnp.array([0.4, -0.9])


def curved(bits):
    return jnp.exp(0.7 * bits[0]) + (bits[1] - 0.3) ** 2 * (1 + bits[0])


def in_a_scan(key, p):
    def step(key, q):
        key, now = jax.random.split(key)
        return key, jax.random.bernoulli(now, q)
    return jax.lax.scan(step, key, p)[1]


def in_a_condition(key, p):
    first, second = jax.random.split(key)
    one = jax.random.bernoulli(first, p[0])
    other = jax.lax.cond(one, lambda: jax.random.bernoulli(second, p[1]), lambda: jax.random.bernoulli(second, p[1]))
    return jnp.stack([one, other])


TWO_BITS = {
    "bernoulli": jax.random.bernoulli,
    "imported by name": bernoulli,
    "with a shape": lambda key, p: jax.random.bernoulli(key, p, (2,)),
    "mode high": lambda key, p: jax.random.bernoulli(key, p, mode="high"),
    "jitted": jax.jit(jax.random.bernoulli),
    "jitted twice": jax.jit(lambda key, p: jax.jit(jax.random.bernoulli)(key, p)),
    "vmap": lambda key, p: jax.vmap(jax.random.bernoulli)(jax.random.split(key), p),
    "vmap of keys": lambda key, p: jnp.diagonal(jax.vmap(jax.random.bernoulli, (0, None))(jax.random.split(key), p)),
    "scan": in_a_scan,
    "cond": in_a_condition,
    "checkpoint": jax.checkpoint(jax.random.bernoulli),
    "map": lambda key, p: jax.lax.map(lambda a: jax.random.bernoulli(*a), (jax.random.split(key), p)),
    "categorical": lambda key, p: jax.random.categorical(key, jnp.log(jnp.stack([1 - p, p], 1))),
    "categorical, first axis": lambda key, p: jax.random.categorical(key, jnp.log(jnp.stack([1 - p, p])), axis=0),
    "categorical with a shape": lambda key, p: jax.random.categorical(
        key, jnp.log(jnp.stack([1 - p, p], 1)), shape=(2,)),
    "categorical, vmap": lambda key, p: jax.vmap(jax.random.categorical)(
        jax.random.split(key), jnp.log(jnp.stack([1 - p, p], 1))),
}


@pytest.mark.parametrize("name", TWO_BITS)
def test_a_sampler_is_answered(name):
    def cost(logits, key):
        return curved(jax.lax.stop_gradient(TWO_BITS[name](key, jax.nn.sigmoid(logits)).astype(float)))

    def surrogate(logits, key):
        p = jax.nn.sigmoid(logits)
        bits = TWO_BITS[name](key, p).astype(float)
        return jax.lax.stop_gradient(curved(bits)) * (bits * jnp.log(p) + (1 - bits) * jnp.log1p(-p)).sum()

    report = programs.assert_unbiased(cost, LOGITS, jax.grad(surrogate))
    assert report.exact
    assert report.runs == (16 if name == "vmap of keys" else 4)
    p = 1 / (1 + np.exp(-np.array(LOGITS, float)))
    f = {(i, j): float(curved(np.array([i, j], float))) for i in (0, 1) for j in (0, 1)}
    truth = p * (1 - p) * [(1 - p[1]) * (f[1, 0] - f[0, 0]) + p[1] * (f[1, 1] - f[0, 1]),
                           (1 - p[0]) * (f[0, 1] - f[0, 0]) + p[0] * (f[1, 1] - f[1, 0])]
    np.testing.assert_allclose(report.gradient, truth, rtol=1e-6)


def network(params, key):
    """Two layers of bits, and the log-probability of both."""
    first, second = jax.random.split(key)
    p = jax.nn.sigmoid(params["first"])
    a = jax.random.bernoulli(first, p).astype(float)
    q = jax.nn.sigmoid(a @ params["second"])
    b = jax.random.bernoulli(second, q).astype(float)
    log_prob = sum((x * jnp.log(r) + (1 - x) * jnp.log1p(-r)).sum() for x, r in ((a, p), (b, q)))
    return jnp.exp(0.5 * b[0] + b[1] * a[0]) + (b[1] - 0.3) ** 2, log_prob


PARAMS = {"first": jnp.array([0.3, -0.7]), "second": jnp.array([[0.5, -1.0], [1.5, 0.2]])}


def estimator(weight):
    def surrogate(params, key):
        cost, log_prob = network(params, key)
        return jax.lax.stop_gradient(weight(cost)) * log_prob
    return jax.grad(surrogate)


@pytest.mark.slow
def test_through_two_layers():
    def cost(params, key):
        return network(params, key)[0]
    report = programs.assert_unbiased(cost, PARAMS, estimator(lambda cost: cost - 1.5))
    assert (report.exact, report.runs) == (True, 16)
    assert report.bias["second"].shape == (2, 2)
    assert np.max(report.uncertainty) < 1e-8       # the differences are in float64, the estimate is in float32
    with pytest.raises(AssertionError, match=r"biased at params\['\w+'\]\[.*the mean is 0\.5 times the gradient"):
        programs.assert_unbiased(cost, PARAMS, estimator(lambda cost: cost - 0.5 * cost))


def straight_through(logits, key):
    p = jax.nn.sigmoid(logits)
    bits = jax.random.bernoulli(key, p) + p - jax.lax.stop_gradient(p)
    return (bits.sum() - 0.3) ** 2


def test_the_default_estimate_is_the_gradient_of_the_cost():
    report = programs.check_estimator(straight_through, LOGITS)
    p = 1 / (1 + np.exp(-np.array(LOGITS, float)))
    assert not report.unbiased
    np.testing.assert_allclose(report.mean, 2 * p * (1 - p) * (p.sum() - 0.3), rtol=1e-5)
    np.testing.assert_allclose(report.gradient, p * (1 - p) * (1 - 0.6 + 2 * p[::-1]), rtol=1e-6)


@pytest.mark.slow
def test_groups_of_samples_in_one_vmap():
    """Leave-one-out over three samples is unbiased.  A baseline with the sample's own cost is biased by a third."""
    def terms(logits, key):
        def one(key):
            p = jax.nn.sigmoid(logits)
            b = jax.random.bernoulli(key, p).astype(float)
            return curved(b), (b * jnp.log(p) + (1 - b) * jnp.log1p(-p)).sum()
        return jax.vmap(one)(jax.random.split(key, 3))

    def leave_one_out(logits, key):
        cost, log_prob = terms(logits, key)
        cost = jax.lax.stop_gradient(cost)
        return ((cost - (cost.sum() - cost) / 2) * log_prob).mean()

    def own_mean(logits, key):
        cost, log_prob = terms(logits, key)
        cost = jax.lax.stop_gradient(cost)
        return ((cost - cost.mean()) * log_prob).mean()

    def cost(logits, key):
        return curved(jax.random.bernoulli(key, jax.nn.sigmoid(logits)).astype(float))
    assert programs.assert_unbiased(cost, LOGITS, jax.jit(jax.grad(leave_one_out))).runs == 64
    report = programs.check_estimator(cost, LOGITS, jax.grad(own_mean))
    np.testing.assert_allclose(report.bias, -report.gradient / 3, rtol=1e-4)


@pytest.mark.slow
def test_other_noise_is_sampled():
    def cost(x, key):
        return ((x + jax.random.normal(key, (2,))) ** 2).sum()
    report = programs.check_estimator(cost, LOGITS, samples=700, seed=0)
    assert (report.exact, report.unbiased, report.noise) == (False, True, ("other noise of jax.random",))
    assert not programs.check_estimator(cost, LOGITS, lambda x, key: 1.1 * jax.grad(cost)(x, key), samples=700,
                                        seed=0).unbiased


def test_keys_of_the_older_kind():
    def cost(logits, key):
        assert key.shape == (2,)
        return straight_through(logits, key)
    assert programs.check_estimator(cost, LOGITS, key=jax.random.PRNGKey).exact


def test_float64():
    with jax.enable_x64(True):
        report = programs.check_estimator(straight_through, jnp.array([0.4, -0.9]))
        assert np.max(report.detectable) < 1e-8
    assert not jax.config.jax_enable_x64


def test_a_part_that_insists_on_float32_gets_coarser_differences():
    def cost(logits, key):
        assert logits.dtype == jnp.float32
        return straight_through(logits, key)
    report = programs.check_estimator(cost, LOGITS)
    assert 1e-7 < np.max(report.uncertainty) < 1e-2


# ---- keys ----------------------------------------------------------------------------------------------------


def test_one_key_gives_one_sample():
    """A key that is used twice gives the same bits twice, so the two samples are not independent."""
    def twice(logits, key):
        p = jax.nn.sigmoid(logits)
        first, second = jax.random.bernoulli(key, p), jax.random.bernoulli(key, p)
        return (first.astype(float) * second.astype(float)).sum()
    def cost(logits, key):
        return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).sum().astype(float)

    def reinforce(logits, key):
        p = jax.nn.sigmoid(logits)
        return twice(logits, key) * (jax.random.bernoulli(key, p) - p)
    assert programs.assert_unbiased(cost, LOGITS, reinforce).runs == 4


def test_one_key_for_two_probabilities_compares_one_number():
    def cost(logits, key):
        p = jax.nn.sigmoid(logits)
        return (jax.random.bernoulli(key, p) ^ jax.random.bernoulli(key, p / 2)).astype(float).sum()
    report = programs.check_estimator(cost, LOGITS, lambda logits, key: jnp.zeros(2))
    p = 1 / (1 + np.exp(-np.array(LOGITS, float)))
    np.testing.assert_allclose(report.gradient, p * (1 - p) / 2, rtol=1e-6)


@pytest.mark.parametrize("second", [lambda key: jax.random.bernoulli(key, 0.3, (3,)),
                                    lambda key: jax.random.categorical(key, jnp.zeros(2))])
def test_one_key_for_different_samples_is_refused(second):
    def cost(logits, key):
        return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).sum() + second(key).sum() * 1.0
    with pytest.raises(ValueError, match=r"got one key for two calls .*Use jax\.random\.split"):
        programs.check_estimator(cost, LOGITS)


# ---- bad input -----------------------------------------------------------------------------------------------


def test_a_compiled_part_is_refused_by_name():
    from jax.sharding import Mesh, PartitionSpec

    mesh = Mesh(np.array(jax.devices()[:1]), "x")

    def cost(logits, key):
        sample = jax.shard_map(lambda p: jax.random.bernoulli(key, p), mesh=mesh, in_specs=PartitionSpec(),
                               out_specs=PartitionSpec(), check_vma=False)
        return sample(jax.nn.sigmoid(logits)).sum() * 1.0
    with pytest.raises(TypeError, match=r"jax.random.bernoulli: expected a function that can run uncompiled"):
        programs.check_estimator(cost, LOGITS, lambda logits, key: jnp.zeros(2))


@pytest.mark.parametrize("params", ["logits", jnp.array([1, 2]), {"a": 3}])
def test_params_that_are_no_floating_arrays(params):
    with pytest.raises(TypeError, match="expected params to be a tree of arrays of float32 or float64"):
        programs.check_estimator(straight_through, params, straight_through)


def test_functions_that_are_none():
    with pytest.raises(TypeError, match=r"expected cost as a function \(params, key\)"):
        programs.check_estimator(1.0, LOGITS)


def test_an_estimate_of_another_form():
    with pytest.raises(ValueError, match=r"expected estimate\(params, key\) to return a tree like params"):
        programs.check_estimator(straight_through, LOGITS, lambda logits, key: [logits])


def test_a_cost_for_every_sample():
    with pytest.raises(ValueError, match=r"cost\(params, key\) to return a scalar, got a .* of shape \(2,\)"):
        programs.check_estimator(lambda logits, key: logits, LOGITS, lambda logits, key: logits)


def test_state_from_run_to_run():
    runs = []

    def estimate(logits, key):
        runs.append(1)
        return jnp.full(2, float(len(runs)))
    with pytest.raises(ValueError, match="expected the estimate to give the same for the same samples"):
        programs.check_estimator(straight_through, LOGITS, estimate)


def test_logits_in_place_of_probabilities():
    with pytest.raises(ValueError, match=r"jax.random.bernoulli: expected probabilities from 0 to 1, got \[0.4"):
        programs.check_estimator(lambda logits, key: jax.random.bernoulli(key, logits).sum(), LOGITS)


# ---- what is left behind -------------------------------------------------------------------------------------


@pytest.fixture
def ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


PLAIN = {name: HOME[name] for name in ("_bernoulli", "_categorical")}


def as_before():
    assert all(HOME[name] is function for name, function in PLAIN.items())
    assert not jax.config.jax_disable_jit
    assert not jax.config.jax_enable_x64
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_errors_leave_nothing_behind(ctrl_c):
    runs = []

    def cost(logits, key):
        runs.append(1)
        if len(runs) > 30:
            raise ZeroDivisionError
        return straight_through(logits, key)
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        programs.check_estimator(cost, LOGITS, lambda logits, key: logits)
    as_before()


def test_ctrl_c_at_many_lines_leaves_nothing_behind(ctrl_c):
    lines, stop = [0], [0]

    def trace(frame, event, argument):
        name = frame.f_code.co_filename
        if "testing/programs" not in name and "contextlib" not in name:
            return None
        if event == "line" and frame.f_code.co_name != "within":
            lines[0] += 1
            if lines[0] == stop[0]:
                signal.raise_signal(signal.SIGINT)
        return trace

    def cost(logits, key):
        return jax.random.bernoulli(key, jax.nn.sigmoid(logits)) * 1.0

    def interrupted(at):
        lines[0], stop[0] = 0, at
        sys.settrace(trace)
        try:
            programs.check_estimator(cost, jnp.array(0.4), lambda logits, key: logits, seed=0)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    assert not interrupted(-1)
    total, count = lines[0], 0
    for at in [*range(1, 100, 3), *range(100, total - 40, 61), *range(total - 40, total + 1)]:
        count += interrupted(at)
        as_before()
    assert count > 60


@pytest.mark.slow
def test_30_interrupts():
    status, said = interrupt("""
import jax, jax.numpy as jnp
from minigrad.testing.programs import jax as programs
from minigrad.testing.programs.jax_samplers import HOME
plain = HOME["_bernoulli"]
logits = jnp.array([0.3])

def cost(logits, key):
    return jax.random.bernoulli(key, jax.nn.sigmoid(logits)).sum() * 1.0

def check():
    assert HOME["_bernoulli"] is plain and not jax.config.jax_disable_jit and not jax.config.jax_enable_x64

work = lambda: programs.check_estimator(cost, logits, lambda logits, key: logits)
work()
interrupted(30, work, check)
print("right")
""", 0.05)
    assert (status, said) == (0, "right\n")
