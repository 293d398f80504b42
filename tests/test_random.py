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
from scipy import stats

import minigrad as mg


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


def test_integers_cover_their_range_evenly():
    counts = np.bincount(mg.Generator(2).integers(7, (70_000,)), minlength=7)
    assert counts.sum() == 70_000
    assert stats.chisquare(counts).pvalue > 1e-8


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


def test_manual_seed_starts_the_default_generator_again():
    logits, rule = np.zeros((2, 50)), mg.estimators.StraightThrough()
    samples = []
    for _ in range(2):
        mg.manual_seed(3)
        samples.append(mg.bernoulli(logits, rule).data)
    np.testing.assert_array_equal(*samples)


def test_a_default_generator_of_a_thread_alone():
    """What a block in one thread draws, other threads neither see nor change."""
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
