"""The base class of rules (gradient estimators), and their memory.

A rule may learn: for example the mean of past costs, or the weights of a small network.  What it has learnt is
its memory, a dict of arrays.  Draws and backward passes use it in turn:

    draw            commits the proposal of the last pass, and stores a snapshot of the memory with the sample
    backward pass   reads the snapshot (``node.memory``) and proposes new values (``node.propose``)
    next draw       commits them, and so on

So rules learn under any optimiser.  A second pass over a graph reads the same snapshot and gives the
same estimates.  The snapshot of a sample never contains the cost of this sample.

The dict of a memory is never changed: each commit makes a new dict.  So a snapshot is a reference to a dict, and
this dict is also the version of the memory.  The rule accepts a proposal only if its memory is still the dict that
the pass has read.  So a pass over an old graph cannot undo what newer passes have learnt.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices
from minigrad.kernels import bernoulli_gates

if TYPE_CHECKING:
    from minigrad.aliases import Array, Memory, State, TensorLike
    from minigrad.stochastic import BinaryNode

#: What a rule may declare in ``needs``.
NEEDS = ("grad", "cost", "cost_at", "cost_and_grad_at", "inner")


class Learning(threading.local):
    """Whether rules learn from the samples that are drawn.  Each thread has its own value."""

    on: bool = True


learning = Learning()


@contextmanager
def frozen_memories() -> Iterator[None]:
    """No rule learns from the samples that are drawn inside this block, in this thread.

    Use it to measure a rule with a constant memory over many passes.  Each draw sees the memory that includes the
    proposal of the last pass before the block.  Passes over these samples propose nothing, also after the block.

    >>> import minigrad as mg
    >>> rule = mg.estimators.Reinforce("mean")
    >>> logits = mg.tensor([[0.0]], requires_grad=True)
    >>> with mg.testing.frozen_memories():
    ...     mg.expected(1 + mg.bernoulli(logits, rule).sum(axis=1)).backward()
    >>> rule.state_dict()["weight"]
    array([0.])
    """
    before, learning.on = learning.on, False
    try:
        yield
    finally:
        learning.on = before


class Estimator:
    """A rule: how ∂E[cost]/∂logits is estimated from one sample.

    A subclass declares what it needs and computes the estimate, an array of (rows, units):

    >>> import minigrad as mg
    >>> class Reinforce(mg.Estimator):
    ...     needs = {"cost"}
    ...     unbiased = True
    ...     def backward(self, node):
    ...         return node.cost * (node.value - node.probs)

    Attributes
    ----------
    needs : a set of names out of "grad", "cost", "cost_at", "cost_and_grad_at" and "inner".  The engine computes
        what is declared here and nothing else.  A rule that asks for something else gets a ValueError.  An
        unknown name raises a ValueError when the class is made.
    unbiased : whether the mean of the estimate is ∂E[cost]/∂logits if the rules of all other nodes are exact.
    needs_unbiased_below : whether the rule is unbiased only if the gradients that it asks for are unbiased.  They
        pass through the rules of the nodes below.
    needs_continuous_cost : whether the rule is unbiased only if the cost is continuous in a relaxed sample: the path
        from the sample to the cost has no comparison and no ``detach``.  (``relu`` and ``maximum`` are continuous.)
        The certificate does not find out that a rule has forgotten to declare it.
    needs_independent_rows : whether the rule is unbiased only if no two rows share a cost, because it uses the whole
        batch.  Where rows share a cost (``node.coupled``), backward refuses it with a ValueError.
    needs_closed_gates : whether the rule uses ``grad`` at units whose sample is 0.  If it does not, gated layers
        below need not compute it there.
    differentiable : whether ``backward`` uses primitives and operators only, so that it can be differentiated
        again.
    state : the memory of a rule that learns, a dict of arrays, with all that has been committed; None for
        a rule without memory.  During a pass a rule reads ``node.memory`` instead.

    Notes
    -----
    ``backward`` gets a ``node`` with these attributes.  Rows are samples, and units are the bits of one sample.
    Always:

    logits, probs, value, noise : arrays of (rows, units): the logits, σ(logits), the sample, and the uniforms
        u that it was drawn with.  The sample has the dtype of the graph; the others are float64.
    shape : (rows, units).
    context : array of (rows, features), the context that was passed to ``bernoulli``, or None.
    rng : a Generator for the rule's own noise, the same in every pass over one sample.
    memory : the rule's memory at the time when the sample was drawn.
    propose(name=array, ...) : new values for the memory.  The next draw commits them.
    samples : the number of samples that the costs are averaged over.  It is smaller than the number of rows if
        several rows share one cost.
    coupled : whether several rows share one cost.

    If ``needs`` has the name:

    grad : array of (rows, units), the gradient of each row's cost with respect to the sample.
    cost : array of (rows, 1), the cost of each row.
    cost_at(value, rows="together") : costs of (rows, 1) for the sample ``value`` in place of the node's own.  All
        rows are replaced at once.  With rows="one by one" each cost is that of replacing its own row alone, which
        differs where rows are coupled.
    cost_flipped(units) : costs with one bit of each row flipped; the need is "cost_at".
    cost_and_grad_at(value) : cost and gradient for the sample ``value``.
    inner : for each ``expected(log_weights, over=axis)`` a pair: the weight of this term in the loss, and its
        log-weights as an array of (examples, K).

    Examples
    --------
    A rule that learns reads its memory and proposes new values:

    >>> class AgainstMeanCost(mg.Estimator):
    ...     needs = {"cost"}
    ...     unbiased = True
    ...     def __init__(self):
    ...         self.state = {"mean": np.zeros(1)}
    ...     def backward(self, node):
    ...         mean = node.memory["mean"]
    ...         node.propose(mean=0.9 * mean + 0.1 * node.cost.mean(axis=0))
    ...         return (node.cost - mean) * (node.value - node.probs)
    """

    needs: Collection[str] = frozenset()
    unbiased: bool = False
    needs_unbiased_below: bool = True
    needs_continuous_cost: bool = False
    needs_independent_rows: bool = False
    needs_closed_gates: bool = True
    differentiable: bool = False
    state: Memory | None = None
    proposed: tuple[Memory, Memory] | None = None       # the memory that the last pass read, and its proposal

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "needs" in vars(cls):
            cls.needs = checked_needs(cls.__name__, cls.needs)

    def sample(self, logits: Array, u: Array) -> Array:
        """The value of the node: 1[u < σ(logits)].  A relaxed rule overrides this method."""
        return gates_of(u, logits)

    def backward(self, node: BinaryNode) -> TensorLike:
        """The estimate of ∂E[cost]/∂logits, an array of (rows, units).  Every rule defines it."""
        raise TypeError(f"{type(self).__name__}: expected a method backward(self, node) that returns "
                        "an array of (rows, units); a rule must define one")

    # -- the memory --------------------------------------------------------------------------------

    def recall(self, device: str) -> Memory | None:
        """Commit the last proposal and return the memory, for a sample that is drawn now on ``device``.

        None for a rule without memory.
        """
        if self.state is None:
            return None
        if not learning.on:
            return {name: placed(value, device) for name, value in self.merged().items()}
        self.update()
        if any(devices.of(value) != device for value in self.state.values() if np.ndim(value)):
            self.to(device)
        return self.state

    def learn(self, memory: Memory, values: Memory) -> None:
        """Accept the proposal of a pass that has read ``memory``.  If the rule has a newer memory, do nothing."""
        if memory is self.state:
            self.proposed = (memory, values)

    def pending(self) -> Memory:
        """The proposal of the last pass, if it is not committed yet; otherwise an empty dict."""
        proposed = self.proposed
        return proposed[1] if proposed is not None and proposed[0] is self.state else {}

    def merged(self) -> Memory:
        """The memory as the next draw will see it, as a new dict."""
        return {**(self.state or {}), **self.pending()}

    def update(self) -> None:
        """Commit the proposal of the last pass now.  Otherwise the next draw commits it."""
        if self.pending():
            self.state = self.merged()
            self.proposed = None

    def state_dict(self) -> State:
        """A copy of the memory as the next draw will see it, as NumPy arrays.  Changes nothing.

        Empty for a rule without memory.
        """
        if self.state is None:
            return {}
        return {name: np.array(devices.put(value, "cpu")) for name, value in self.merged().items()}

    def state_fault(self, state: object) -> str:
        """A message that says why ``state`` cannot be the memory of this rule; "" if it can.

        A rule with an empty memory, which has not seen a sample yet, accepts any dict.
        """
        if not isinstance(state, dict):
            return f"expected a dict of arrays, got {type(state).__name__}"
        if self.state is None and state:
            return f"expected no state, since this rule has no memory, got {sorted(state)}"
        if self.state and state.keys() != self.state.keys():
            return f"expected a memory of {sorted(self.state)}, got {sorted(state)}"
        return ""

    def load_state_dict(self, state: State) -> None:
        """Restore what ``state_dict`` returned.  A proposal that is not committed yet is dropped.

        Raises
        ------
        ValueError
            ``state`` is not the memory of such a rule.
        """
        if self.state_fault(state):
            raise ValueError(f"{type(self).__name__}: {self.state_fault(state)}")
        if self.state is not None:
            self.state = {name: np.array(value) for name, value in state.items()}
            self.proposed = None

    def to(self, device: str) -> None:
        """Move the memory to ``device``.  A draw on another device calls it.

        Numbers, such as counts of passes, stay on the host.
        """
        if self.state is not None:
            self.state = {name: placed(value, device) for name, value in self.merged().items()}
            self.proposed = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@singledispatch
def gates_of(u, logits):
    """1[u < σ(logits)] for uniforms u, an array.  Another class of noise registers a function of its own."""
    return bernoulli_gates(logits, u)


def placed(value: Any, device: str) -> Any:
    """An entry of a rule's memory on ``device``.  A number on the host stays a number."""
    if devices.of(value) == "cpu" and np.ndim(value) == 0:
        return value.item() if hasattr(value, "item") else value
    return devices.put(value, device)


def checked_needs(name: str, needs: Any) -> frozenset[str]:
    """``needs`` as a frozenset; ``name`` is the rule, for messages.

    Raises
    ------
    TypeError
        ``needs`` is not a set of names; for example a single string.
    ValueError
        A name that is not one of NEEDS.
    """
    if not isinstance(needs, (set, frozenset, list, tuple)):
        raise TypeError(f"{name}: expected needs to be a set of names, such as {{'cost'}}, got {needs!r}")
    if not set(needs) <= set(NEEDS):
        unknown = sorted(map(str, set(needs) - set(NEEDS)))
        raise ValueError(f"{name}: expected needs from {', '.join(NEEDS)}, got {', '.join(unknown)}")
    return frozenset(needs)


def checked_rule(rule: Any, function: str) -> Estimator:
    """``rule``, if it is an Estimator; ``function`` is the name of the function that got it.

    Raises
    ------
    TypeError
        Anything else, such as the class of a rule.
    """
    if isinstance(rule, type) and issubclass(rule, Estimator):
        raise TypeError(f"{function}: expected an estimator, got the class {rule.__name__}. Make an instance of it: "
                        f"{rule.__name__}()")
    if not isinstance(rule, Estimator):
        raise TypeError(f"{function}: expected an estimator, a rule such as mg.estimators.StraightThrough(), "
                        f"got {rule!r}. It decides what gradient the logits get")
    if "needs" in vars(rule):
        checked_needs(repr(rule), rule.needs)
    return rule
