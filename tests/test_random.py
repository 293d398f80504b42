"""Generators: numbers that are functions of (seed, draw, sample, unit), and their distributions."""

import copy
import os
import pickle
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from interpreter import printed
from scipy import stats

import minigrad as mg
from minigrad.kernels import philox_uniforms
from minigrad.ops import special


def test_the_same_seed_draws_the_same_and_each_draw_afresh():
    a, b = mg.Generator(5), mg.Generator(5)
    first, second = a.uniform((3, 4)), a.uniform((3, 4))
    np.testing.assert_array_equal(first, b.uniform((3, 4)))
    assert not (first == second).any()
    assert not (first == mg.Generator(6).uniform((3, 4))).any()


@pytest.mark.parametrize("event_ndim", [0, 1, 2])
def test_a_split_batch_draws_what_the_whole_would(event_ndim):
    whole = mg.Generator(5).uniform((6, 3, 4), event_ndim=event_ndim)
    per_row = 1 if event_ndim == 2 else 3 if event_ndim == 1 else 12
    half = mg.Generator(5, sample_offset=2 * per_row).uniform((4, 3, 4), event_ndim=event_ndim)
    np.testing.assert_array_equal(whole[2:], half)


def test_float32_draws_are_the_float64_ones_rounded():
    wide, narrow = (mg.Generator(5).uniform((100, 7), dtype) for dtype in (np.float64, np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(wide, narrow, atol=2.0**-23)


@pytest.mark.parametrize(("draw", "distribution"), [
    ("uniform", stats.uniform), ("normal", stats.norm), ("logistic", stats.logistic),
])
def test_distributions(draw, distribution):
    """Kolmogorov–Smirnov at a level of 1e-8 with a fixed seed: it cannot fail by chance from run to run."""
    numbers = getattr(mg.Generator(11), draw)((20_000,)).ravel()
    assert stats.kstest(numbers, distribution.cdf).pvalue > 1e-8


@pytest.mark.parametrize("event_ndim", [0, 1, 2])
@pytest.mark.parametrize("draw", ["normal", "logistic"])
def test_noise_of_a_unit_depends_on_nothing_else(draw, event_ndim):
    """It does not depend on the rows before it in a batch, on the number of units, or on the dtype."""
    whole = getattr(mg.Generator(5), draw)((6, 3, 4), event_ndim=event_ndim)
    per_row = 1 if event_ndim == 2 else 3 if event_ndim == 1 else 12
    half = getattr(mg.Generator(5, sample_offset=2 * per_row), draw)((4, 3, 4), event_ndim=event_ndim)
    np.testing.assert_array_equal(whole[2:], half)
    narrow = getattr(mg.Generator(5), draw)((6, 3, 4), np.float32, event_ndim)
    np.testing.assert_array_equal(narrow, whole.astype(np.float32))
    if event_ndim == 1:
        np.testing.assert_array_equal(whole[..., :3], getattr(mg.Generator(5), draw)((6, 3, 3)))


def test_noise_is_the_quantile_of_the_uniform_numbers():
    u = mg.Generator(5).uniform((300, 20))
    np.testing.assert_allclose(mg.Generator(5).normal((300, 20)), special.ndtri(u), rtol=2e-15)
    np.testing.assert_allclose(mg.Generator(5).logistic((300, 20)), np.log(u / (1 - u)), rtol=1e-15, atol=3e-16)


def test_a_generator_with_uniform_numbers_of_its_own_makes_noise_of_them():
    class Given(mg.Generator):
        def uniform(self, shape, dtype=np.float64, event_ndim=1):
            return np.broadcast_to([1e-20, 0.5, 0.75], shape).astype(dtype)

    np.testing.assert_allclose(Given(5).normal((1, 3)), [[special.ndtri(1e-20), 0, special.ndtri(0.75)]])
    np.testing.assert_allclose(Given(5).logistic((1, 3)), [[np.log(1e-20), 0, np.log(3)]])


@pytest.mark.parametrize("draw", ["uniform", "normal", "logistic"])
def test_a_draw_that_is_refused_is_not_counted(draw):
    rng = mg.Generator(5)
    for shape, options in (((2.0, 3), {}), ((2, 3), {"event_ndim": 3}), ((2, 3), {"dtype": "float16"})):
        with pytest.raises((TypeError, ValueError), match=f"{draw}: expected"):
            getattr(rng, draw)(shape, **options)
        assert rng.draws == 0


def test_integers_cover_their_range_evenly():
    counts = np.bincount(mg.Generator(2).integers(7, (70_000,)), minlength=7)
    assert counts.sum() == 70_000
    assert stats.chisquare(counts).pvalue > 1e-8


def test_a_draw_is_stream_0_of_philox_at_its_number():
    rng = mg.Generator(5, sample_offset=7)
    for draw in range(3):
        np.testing.assert_array_equal(rng.uniform((2, 3)), philox_uniforms(5, 0, draw, 7, (2, 3)))


@pytest.mark.parametrize("shape", [3, "ab", (2.0, 3), (-1, 2), (True, 2), None])
def test_shapes_that_are_refused(shape):
    rng = mg.Generator(5)
    with pytest.raises(TypeError, match="uniform: expected a shape, a tuple of ints of at least 0"):
        rng.uniform(shape)
    assert rng.draws == 0


@pytest.mark.parametrize("event_ndim", [-1, 3, 1.0, True])
def test_axes_of_a_sample_that_are_refused(event_ndim):
    rng = mg.Generator(5)
    with pytest.raises(ValueError, match=r"uniform: expected event_ndim from 0 to 2, the axes of \(2, 3\)"):
        rng.uniform((2, 3), event_ndim=event_ndim)
    assert rng.draws == 0


def test_any_shape_may_be_one_sample_or_none():
    assert mg.Generator(5).uniform((), event_ndim=0).shape == ()
    assert mg.Generator(5).uniform([2, 3], event_ndim=2).shape == (2, 3)
    assert mg.Generator(5).uniform((0, 3)).shape == (0, 3)


def test_the_range_of_integers():
    assert not mg.Generator(5).integers(1, (50,)).any()
    widest = mg.Generator(5).integers(2**32, (50,))
    assert widest.dtype == np.int64
    np.testing.assert_array_equal(widest, np.floor(mg.Generator(5).uniform((50,)) * 2**32))
    for bad in (0, -1, 1.5, 2**32 + 1, True):
        rng = mg.Generator(5)
        with pytest.raises(ValueError, match=r"integers: expected high from 1 to 2\*\*32"):
            rng.integers(bad, (3,))
        assert rng.draws == 0


def test_a_device_is_passed_on_only_where_it_is_another():
    """The draws of a user's own generator need no argument for the device."""
    rng = mg.Generator(5)
    assert rng.elsewhere(None) == rng.elsewhere("cpu") == {}
    assert rng.elsewhere("cuda") == {"device": "cuda"}


@pytest.mark.parametrize(("seed", "path", "forked"), [
    (5, (3, 1), 0xa2c9cf7f675b8bd9),
    (5, (0,), 0x13b6bf5009be8120),
    (5, (2**32,), 0x16872d43daa8a1e4),
    (5, (2**64 - 1,), 0x82eb760e23a54d2a),
    (2**40 + 5, (0,), 0x1bd4422946e8da80),
    (2**64 - 1, (7,), 0x308eda38fa037f4c),
])
def test_forks_are_the_same_for_ever(seed, path, forked):
    """Saved results depend on them: all 64 bits of the seed and of each step count."""
    fork = mg.Generator(seed, sample_offset=3).fork(*path)
    assert fork.name() == (forked, 3, 0)


@pytest.mark.parametrize("path", [(), (-1,), (2**64,), (1.5,), ("a",), (0, -1), (np.float64(1),)])
def test_forks_that_are_refused(path):
    with pytest.raises(ValueError, match=r"fork: expected one or more integers in \[0, 2\*\*64\)"):
        mg.Generator(5).fork(*path)


def test_rules_draw_from_the_last_of_the_forks():
    """Its path begins with 2**64 - 1, then comes the number of the node's draw."""
    class Draws(mg.Estimator):
        needs = frozenset({"cost"})

        def backward(self, node):
            self.seen = node.rng.uniform(node.shape)
            return 0 * node.value

    rule, rng = Draws(), mg.Generator(5)
    rng.uniform((1,))
    logits = mg.tensor(np.zeros((2, 3)), requires_grad=True)
    mg.expected(mg.bernoulli(logits, rule, rng=rng).sum(axis=1)).backward()
    np.testing.assert_array_equal(rule.seen, mg.Generator(5).fork(2**64 - 1, 1).uniform((2, 3)))


def test_forks_are_named_by_their_path_and_independent_of_draws():
    a = mg.Generator(5)
    before = a.fork(3, 1).uniform((4,))
    a.uniform((4,))
    np.testing.assert_array_equal(before, a.fork(3, 1).uniform((4,)))
    for other in mg.Generator(5), a.fork(3), a.fork(1, 3), a.fork(3, 2):
        assert not (before == other.uniform((4,))).any()


def test_forked_streams_are_uncorrelated():
    rows = np.array([mg.Generator(5).fork(i).uniform((1000,)) for i in range(50)])
    correlations = np.corrcoef(rows)[np.triu_indices(50, 1)]
    assert np.abs(correlations).max() * np.sqrt(1000) < stats.norm.isf(1e-8 / 1225 / 2)


def test_state_is_saved_and_restored():
    a = mg.Generator(5)
    a.uniform((3,))
    state = a.state_dict()
    expected = a.uniform((3,))
    b = mg.Generator(0)
    b.load_state_dict(state)
    np.testing.assert_array_equal(b.uniform((3,)), expected)


@pytest.mark.parametrize("state", [None, [1], {}, {"seed": 1}, {"seed": 1, "draws": 2, "offset": 0}])
def test_another_state_is_refused_before_anything_changes(state):
    rng = mg.Generator(5, sample_offset=2)
    with pytest.raises(ValueError, match=r"Generator: expected a state with \['draws', 'sample_offset', 'seed'\]"):
        rng.load_state_dict(state)
    assert rng.name() == (5, 2, 0)


def test_the_default_generator_starts_from_seed_0():
    assert printed("-c", "import minigrad as mg; print(mg.random.current())") == "Generator(seed=0, draws=0)"


def test_a_generator_of_numpy_is_no_generator():
    with pytest.raises(TypeError, match=r"draw: expected a Generator of minigrad as rng, .*Use mg.Generator\(seed\)"):
        mg.random.checked("draw", np.random.default_rng(0))
    rng = mg.Generator(5)
    assert mg.random.checked("draw", rng) is rng


def test_manual_seed_starts_the_default_generator_again():
    logits, rule = np.zeros((2, 50)), mg.estimators.StraightThrough()
    samples = []
    for _ in range(2):
        mg.manual_seed(3)
        samples.append(mg.bernoulli(logits, rule).data)
    np.testing.assert_array_equal(*samples)


def test_a_default_generator_of_a_thread_alone():
    """The draws of a block in one thread do not change those of other threads."""
    def draws(seed):
        with mg.random.default_generator(mg.Generator(seed)):
            mg.manual_seed(seed + 100)
            return [mg.bernoulli(np.zeros((1, 64)), mg.estimators.Stop()).numpy().tobytes() for _ in range(50)]

    before = mg.random.default.state_dict()
    with ThreadPoolExecutor(4) as executor:
        assert list(executor.map(draws, range(8))) == [draws(seed) for seed in range(8)]
    assert mg.random.current() is mg.random.default
    assert mg.random.default.state_dict() == before


def test_two_layers_with_generators_of_one_seed_are_warned_of():
    logits = mg.tensor(np.zeros((2, 5)), requires_grad=True)

    def loss(first, second):
        a, b = (mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng) for rng in (first, second))
        return mg.expected((a * b).sum(axis=1))

    with pytest.warns(UserWarning, match="drawn with the same uniform numbers, .*Share one generator"):
        loss(mg.Generator(3), mg.Generator(3)).backward()
    shared = mg.Generator(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(shared, shared).backward()
        loss(mg.Generator(3).fork(0), mg.Generator(3).fork(1)).backward()


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a", True])
def test_seeds_that_are_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        mg.Generator(seed)


def test_threads_that_share_a_generator_never_draw_the_same():
    rng = mg.Generator(5)
    logits = np.zeros((1, 8))
    drawn, before = [], sys.getswitchinterval()

    def draw():
        for i in range(200):
            if i % 2:
                drawn.append(rng.uniform((1, 8)).tobytes())
            else:
                node = mg.bernoulli(logits, mg.estimators.Reinforce(), rng=rng).primitive
                alone = mg.Generator(5)
                alone.draws = node.draw
                assert alone.uniform((1, 8)).tobytes() == node.noise.tobytes()
                drawn.append(node.noise.tobytes())

    threads = [threading.Thread(target=draw) for _ in range(8)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(drawn) == len(set(drawn)) == rng.draws == 1600


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda rng: pickle.loads(pickle.dumps(rng))])
def test_copies_go_on_by_themselves(duplicate):
    rng = mg.Generator(5)
    rng.uniform((3,))
    other = duplicate(rng)
    assert other.state_dict() == rng.state_dict()
    expected = rng.uniform((3,))
    assert rng.draws == 2
    assert other.draws == 1
    np.testing.assert_array_equal(other.uniform((3,)), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_repeats_its_parents_numbers_and_waits_for_nobody():
    rng = mg.Generator(5)
    with mg.random._counting:           # as if another thread were just counting a draw
        child = os.fork()
        if not child:
            signal.alarm(20)            # ends a child that waits for ever
            os._exit(100 + rng.take())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 100 + rng.take()
