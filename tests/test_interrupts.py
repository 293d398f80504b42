"""After Ctrl-C, parameters, gradients and files are as before a step or as after it, never in between."""

import os
import signal
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels.interrupts import uninterrupted
from tests.interrupted import interrupt

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the signals of a POSIX system")


@pytest.fixture(autouse=True)
def ctrl_c():
    """Python's own handler, also where the tests were started with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def leaves(count):
    return [mg.tensor(np.ones(2), requires_grad=True) for _ in range(count)]


@pytest.mark.parametrize(("kind", "options"), [(mg.optim.SGD, {}), (mg.optim.SGD, {"momentum": 0.5, "lazy": True}),
                                               (mg.optim.Adam, {}), (mg.optim.Adam, {"lazy": True})])
@pytest.mark.parametrize("at", range(3))
def test_a_step_that_is_interrupted_is_done(kind, options, at):
    parameters = leaves(3)

    class Interrupted(kind):
        def update(self, x, *args, **memory):
            if x is parameters[at]:
                press()
            super().update(x, *args, **memory)
            if x is parameters[at]:
                press()

    optimiser = Interrupted(parameters, lr=0.5, **options)
    (sum(x.sum() for x in parameters)).backward()
    with pytest.raises(KeyboardInterrupt):
        optimiser.step()
    assert optimiser.steps == 1
    for x in parameters:
        np.testing.assert_allclose(x.data, 0.5, rtol=1e-7)


def test_an_interrupted_backward_sets_no_gradient_or_all(monkeypatch):
    class Pressing(np.ndarray):
        def __add__(self, other):
            press()
            return np.asarray(self) + other

    for at in range(3):
        parameters = leaves(3)
        for x in parameters:
            x.grad = np.ones(2)
        parameters[at].gradient = np.ones(2).view(Pressing)
        loss = sum((3 * x).sum() for x in parameters)
        with pytest.raises(KeyboardInterrupt):
            loss.backward()
        for x in parameters:
            np.testing.assert_array_equal(x.gradient, 1)


def test_gradients_of_one_sum_are_arrays_of_their_own():
    a, b = leaves(2)
    (a + b).sum().backward()
    assert not np.shares_memory(a.grad, b.grad)


def test_an_interrupted_loading_is_done():
    network = mg.nn.Linear(2, 3, rng=mg.Generator(0))
    optimiser = mg.optim.Adam(network)

    class Pressing(dict):
        def __getitem__(self, key):
            press()
            return super().__getitem__(key)

    for thing in network, optimiser:
        state = thing.state_dict()
        changed = {name: value + 1 for name, value in state.items()} if thing is network else {
            "steps": 5, "memories": Pressing({name: {key: value + 1 for key, value in memory.items()}
                                              for name, memory in state["memories"].items()})}
        with pytest.raises(KeyboardInterrupt):
            thing.load_state_dict(Pressing(changed))
        after = thing.state_dict()
        if thing is network:
            assert all((after[name] == changed[name]).all() for name in state)
        else:
            assert after["steps"] == 5
            assert all((value == 1).all() for memory in after["memories"].values() for value in memory.values())


def test_errors_and_results_pass_and_the_handler_is_put_back():
    @uninterrupted
    def divided(a, b=1):
        """The quotient."""
        return a / b

    assert divided(6, b=3) == 2
    assert divided.__doc__ == "The quotient."
    with pytest.raises(ZeroDivisionError):
        divided(1, b=0)

    @uninterrupted
    def both():
        press()
        raise ValueError("first")

    with pytest.raises(KeyboardInterrupt) as caught:
        both()
    assert isinstance(caught.value.__context__, ValueError)


def test_nested_steps_are_one():
    done = []

    @uninterrupted
    def inner():
        press()
        done.append("inner")

    @uninterrupted
    def outer():
        inner()
        done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert done == ["inner", "outer"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, None])
def test_handlers_of_the_users_own_are_kept(handler):
    seen = []
    handler = handler if handler is not None else lambda number, frame: seen.append(number)
    signal.signal(signal.SIGINT, handler)
    try:
        x = leaves(1)[0]
        x.grad = np.ones(2)
        optimiser = mg.optim.SGD([x], lr=lambda step: press() or 0.5)
        optimiser.step()
        assert signal.getsignal(signal.SIGINT) is handler
        assert seen == ([signal.SIGINT] if callable(handler) else [])
        np.testing.assert_array_equal(x.data, 0.5)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_step_in_another_thread():
    x = leaves(1)[0]
    x.grad = np.ones(2)
    thread = threading.Thread(target=mg.optim.SGD([x], lr=0.5).step)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(x.data, 0.5)


@posix
def test_200_interrupts_of_training():
    """All parameters start equal and get equal gradients.  A half-done step or backward makes them different."""
    status, said = interrupt("""
import numpy as np
import minigrad as mg
parameters = [mg.tensor(np.ones(3), requires_grad=True) for _ in range(30)]
optimiser = mg.optim.Adam(parameters, lr=0.01)
rng, drawn = mg.Generator(0), 0

def work():
    optimiser.zero_grad()
    losses = [(x * x).sum() for x in parameters]
    sum(losses).backward()
    sum(losses).backward()
    optimiser.step()
    rng.take()

def check():
    values = {x.data.tobytes() for x in parameters}
    gradients = {None if x.gradient is None else x.gradient.tobytes() for x in parameters}
    memories = {memory["mean"].tobytes() for memory in optimiser.memories.values()}
    assert len(values) == len(gradients) == len(memories) == 1, (values, gradients, memories)

interrupted(200, work, check)
assert optimiser.steps > 0
print("well")
""", longest=0.01)
    assert (status, said) == (0, "well\n")
