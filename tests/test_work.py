"""Work and memory of a whole network are proportional to the density of open gates, forward and backward.

Gates are constants here, or come from a rule that does not use the gradients of closed gates.  A rule
that uses them needs the gradients of all closed units, which are dense.
"""

import threading
import tracemalloc

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import count_work, philox_uniforms
from minigrad.kernels.cpu import threads

B, D, G, K, C = 32, 96, 64, 16, 24
DENSITIES = 1 / 32, 1 / 16, 1 / 8


class OpenOnly(mg.Estimator):
    """A straight-through rule that does not use the gradients of closed gates."""
    needs = {"grad"}
    needs_closed_gates = False

    def backward(self, node):
        return node.grad


def exact_gates(density, rng):
    """Gates (B, G) of which every example opens the same number."""
    gates = np.zeros((B, G))
    for row in gates:
        row[rng.permutation(G)[:round(density * G)]] = 1
    return gates


def network(density, between=lambda h: h, both_sides=False, rule=None):
    """A loss through two gated layers, elementwise functions and linear layers; `between` is put in."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((B, D)), rng.integers(0, C, B)
    gates = exact_gates(density, rng), exact_gates(density, rng)
    keys = mg.Generator(0)
    first = mg.nn.GatedLinear(D, G * K, keys, block=K, dtype=float)
    middle = mg.nn.Linear(G * K, D, keys, gated_inputs=True, dtype=float)
    second = mg.nn.GatedLinear(G * K if both_sides else D, G * K, keys, block=K, dtype=float)
    last = mg.nn.Linear(G * K, C, keys, gated_inputs=True, dtype=float)
    layers = [first, second, last] if both_sides else [first, middle, second, last]
    optimiser = mg.optim.SGD(layers, lr=0.1)

    def gate(i):
        if rule is None:
            return gates[i]
        logits = mg.tensor(np.where(gates[i] == 1, 60.0, -60.0), requires_grad=True)
        return mg.bernoulli(logits, rule, rng=keys)

    def step():
        h = mg.relu(between(first(x, gate(0))))
        if not both_sides:
            h = middle(h)
        h = mg.tanh(second(h, gate(1))) * 2
        loss = mg.expected(mg.cross_entropy(last(h), labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    step.parameters = [parameter for part in layers for parameter in part.parameters()]
    return step


def measured(step):
    """(blocks touched, bytes allocated by kernels, peak of all memory) of one step."""
    with count_work() as work:
        step()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return work.blocks, work.bytes, peak


# What a step allocates whatever the density, in bytes: the results of the linear layers and the
# gradients of dense inputs, the gradients of two biases, and the beginnings of two pairs of lists.
OUTPUTS = 8 * B * C + 8 * 2 * G * K + 4 * 2 * (B + G + 2)
CONSTANT = OUTPUTS + 8 * 2 * B * D
GATES = 8 * 2 * 3 * B * G           # uniforms, samples and gate gradients, where gates are drawn
DENSE = 8 * B * G * K               # one activation with its closed blocks filled


def assert_proportional(values):
    """Twice the density costs twice as much, exactly."""
    once, twice, four_times = values
    assert (twice, four_times) == (2 * once, 4 * once)


def assert_linear(values, constant):
    """Besides a constant part, known to a hundredth, twice the density costs twice as much."""
    once, twice, four_times = values
    assert four_times - twice == 2 * (twice - once)
    assert 2 * once - twice == pytest.approx(constant, rel=0.01)


@pytest.mark.parametrize("rule", [None, OpenOnly()])
def test_work_and_memory_are_proportional_to_density(rule):
    blocks, nbytes, peak = zip(*(measured(network(d, rule=rule)) for d in DENSITIES), strict=True)
    assert_proportional(blocks)
    assert_linear(nbytes, CONSTANT + GATES * (rule is not None))
    if rule is None:
        assert max(peak) < 2 * DENSE


def test_of_layers_gated_on_both_sides_the_pairs_of_open_blocks_count():
    """The first layer costs its density d; the product with the second costs pairs, d²."""
    blocks, nbytes, peak = zip(*(measured(network(d, both_sides=True)) for d in DENSITIES), strict=True)
    pairs = 3 * B * (DENSITIES[0] * G) ** 2             # forward, gradient of the units and of the weight
    single = blocks[0] - pairs
    assert blocks == (single + pairs, 2 * single + 4 * pairs, 4 * single + 16 * pairs)
    assert_linear(nbytes, OUTPUTS)
    assert max(peak) < 2 * DENSE


def test_the_measure_finds_closed_blocks_that_are_filled_between_the_layers():
    _, nbytes, peak = zip(*(measured(network(d, between=mg.Tensor.to_dense)) for d in DENSITIES), strict=True)
    with pytest.raises(AssertionError):
        assert_linear(nbytes, CONSTANT)
    assert min(peak) > 2 * DENSE


def test_a_step_gives_the_same_bits_on_one_thread_and_on_two(monkeypatch):
    monkeypatch.setattr(threads, "_WORTH_SHARING", 0)
    before = mg.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            mg.set_num_threads(count)
            step = network(1 / 8, rule=OpenOnly())
            losses = [step().item() for _ in range(3)]
            results.append((losses, [parameter.data.tobytes() for parameter in step.parameters]))
    finally:
        mg.set_num_threads(before)
    assert results[0] == results[1]


def test_counts_may_be_nested_and_threads_count_apart():
    """Each counter counts the work inside its own block, even if another counter has the same numbers."""
    def made():
        return philox_uniforms(0, 0, 0, 0, (4, 8)).nbytes

    with count_work() as outer:
        with count_work() as first:
            pass
        with count_work() as inner:
            size = made()
        made()
    made()
    assert (first.bytes, inner.bytes, outer.bytes) == (0, size, 2 * size)

    opened, counted, found = threading.Barrier(2), threading.Barrier(2), {}

    def counts(name, times):
        with count_work() as work:
            opened.wait(10)
            for _ in range(times):
                made()
            counted.wait(10)
        found[name] = work.bytes

    both = [threading.Thread(target=counts, args=pair) for pair in (("one", 1), ("three", 3))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert found == {"one": size, "three": 3 * size}
