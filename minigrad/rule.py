"""What a rule is: how it estimates a gradient, what it may ask for, and how it remembers.

A rule may learn: the mean of past costs, say, or the weights of a small network.  What it has learnt is
its memory, a dict of arrays.  A draw, a backward pass and the next draw take turns with it:

    draw            commits what the last pass proposed, and keeps a snapshot of the memory with the sample
    backward pass   reads the snapshot (``node.memory``) and proposes new values (``node.propose``)
    next draw       commits them, and so on

So rules learn under any optimiser.  A second pass over a graph reads the same snapshot and gives the
same estimates.  The cost of a sample is never in the memory that its own estimate is made with.

Nobody changes a memory: each commit makes a new dict.  A snapshot is then a reference to a dict, and this
dict is also the version of the memory.  A proposal counts only while the rule still has the dict that the
proposal was made from, so a pass over an old graph cannot undo what newer passes taught.
"""

import threading
from contextlib import contextmanager

import numpy as np

from minigrad import devices, ops
from minigrad.kernels import bernoulli_gates
from minigrad.kernels.arrays import is_array

#: What a rule may declare in ``needs``.
NEEDS = ("grad", "cost", "cost_at", "cost_and_grad_at", "inner")


class Learning(threading.local):
    """Whether draws let rules learn, in each thread."""

    on = True


learning = Learning()


@contextmanager
def frozen_memories():
    """Let no rule learn from the samples that are drawn inside this block, in this thread.

    For measuring a rule as it is, by many passes.  Each draw takes the memory with what the last pass
    before the block proposed; passes over these samples propose nothing, also after the block.

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
    """A rule: how ∂E[cost]/∂logits is estimated from what one sample shows.

    A subclass declares what it needs and computes the estimate, an array of (rows, units):

    >>> import minigrad as mg
    >>> class Reinforce(mg.Estimator):
    ...     needs = {"cost"}
    ...     unbiased = True
    ...     def backward(self, node):
    ...         return node.cost * (node.value - node.probs)

    Attributes
    ----------
    needs : a set of names out of "grad", "cost", "cost_at", "cost_and_grad_at" and "inner".  Each is
        computed only for the rules that declare it, and asking for another raises.  Another name is
        refused when the class is made.
    unbiased : whether the mean of the estimate is ∂E[cost]/∂logits, given exact rules elsewhere.
    needs_unbiased_below : whether that claim rests on the gradients it asks for, which pass through the
        rules of the nodes below, being unbiased as well.
    needs_independent_rows : whether that claim rests on each row having a cost of its own, as it does for a rule
        that looks at the whole batch: a baseline made of the costs of the other rows, say.  Where several rows
        share a cost (``node.coupled``), backward refuses such a rule with a ValueError.
    needs_closed_gates : whether ``grad`` matters at units whose sample is 0.  Where it does not,
        gated layers below skip computing it there.
    differentiable : whether ``backward`` is written with primitives and may be differentiated again.
    state : the memory of a rule that learns, a dict of arrays, with what has been committed so far; None for
        a rule without memory.  During a pass a rule reads ``node.memory`` instead.

    Notes
    -----
    What ``backward`` finds at its ``node``, where rows are samples and units are the bits of one sample.
    Always:

    logits, probs, value, noise : arrays of (rows, units): the logits, σ(logits), the sample, and the uniforms
        u behind it.
    shape : (rows, units).
    context : array of (rows, features), what ``bernoulli`` was given as context, or None.
    rng : a Generator for noise of the rule's own, the same in every pass over one sample.
    memory : the rule's memory when the sample was drawn.
    propose(name=array, ...) : new values for the memory.  The next draw commits them.
    samples : the number of samples that the costs are averaged over.
    coupled : whether several rows share one cost.

    If ``needs`` has the name:

    grad : array of (rows, units), the gradient of each row's cost by the sample.
    cost : array of (rows, 1), the cost that each row led to.
    cost_at(value, rows="together") : costs of (rows, 1), had the sample been ``value``.
    cost_flipped(units) : costs with one bit of each row flipped; the need is "cost_at".
    cost_and_grad_at(value) : cost and gradient, had the sample been ``value``.
    inner : the log-weights of an ``expected(log_weights, over=axis)``.

    Examples
    --------
    A rule that learns has a memory, which it reads and proposes to change:

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

    needs = frozenset()
    unbiased = False
    needs_unbiased_below = True
    needs_independent_rows = False
    needs_closed_gates = True
    differentiable = False
    state = None
    proposed = None         # (the memory that the last pass read, the values it proposed)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "needs" in vars(cls):
            cls.needs = checked_needs(cls.__name__, cls.needs)

    def sample(self, logits, u):
        """The value of the node: 1[u < σ(logits)], unless a relaxation overrides it."""
        if not is_array(u):         # uniforms that can only be compared
            return (u < ops.sigmoid(logits.astype(float))).astype(logits.dtype)
        return bernoulli_gates(logits, u)

    def backward(self, node):
        raise TypeError(f"{type(self).__name__}: expected a method backward(self, node) that returns "
                        "an array of (rows, units); a rule must define one")

    # -- the memory --------------------------------------------------------------------------------

    def recall(self, device):
        """The memory for a sample that is drawn now on ``device``, after committing; None without one."""
        if self.state is None:
            return None
        if not learning.on:
            return {name: placed(value, device) for name, value in self.merged().items()}
        self.update()
        if any(devices.of(value) != device for value in self.state.values() if np.ndim(value)):
            self.to(device)
        return self.state

    def learn(self, memory, values):
        """Take what a pass proposes that read ``memory``, unless the rule has another memory by now."""
        if memory is self.state:
            self.proposed = (memory, values)

    def pending(self):
        """What the last pass proposed and no draw has committed yet."""
        proposed = self.proposed
        return proposed[1] if proposed is not None and proposed[0] is self.state else {}

    def merged(self):
        """The memory as the next draw will see it, as a new dict."""
        return {**self.state, **self.pending()}

    def update(self):
        """Commit now what the last pass proposed to remember.  The next draw does so too."""
        if self.pending():
            self.state = self.merged()
            self.proposed = None

    def state_dict(self):
        """A copy of the memory as the next draw will see it; empty for a rule without one.  Changes nothing."""
        if self.state is None:
            return {}
        return {name: np.array(devices.put(value, "cpu")) for name, value in self.merged().items()}

    def misfit(self, state):
        """What keeps ``state`` from being this rule's memory, in words; "" where nothing does.

        A rule that has not seen a sample yet, whose memory is empty, takes any.
        """
        if not isinstance(state, dict):
            return f"expected a dict of arrays, got {type(state).__name__}"
        if self.state is None and state:
            return f"expected no state, since it has no memory, got {sorted(state)}"
        if self.state and state.keys() != self.state.keys():
            return f"expected a memory of {sorted(self.state)}, got {sorted(state)}"
        return ""

    def load_state_dict(self, state):
        """Put back what ``state_dict`` gave.  What a pass has proposed since is forgotten."""
        if self.misfit(state):
            raise ValueError(f"{type(self).__name__}: {self.misfit(state)}")
        if self.state is not None:
            self.state = {name: np.array(value) for name, value in state.items()}
            self.proposed = None

    def to(self, device):
        """Move the memory to ``device``, where it has to be once samples are there; draws see to that.

        Numbers, such as counts of passes, stay with the host.
        """
        if self.state is not None:
            self.state = {name: placed(value, device) for name, value in self.merged().items()}
            self.proposed = None

    def __repr__(self):
        return f"{type(self).__name__}()"


def placed(value, device):
    """An entry of a rule's memory on ``device``, a number of the host as a number."""
    if devices.of(value) == "cpu" and np.ndim(value) == 0:
        return value.item() if hasattr(value, "item") else value
    return devices.put(value, device)


def checked_needs(name, needs):
    """What the rule of this name needs, as a frozenset.

    Raises
    ------
    TypeError
        Not a set of names, but a single one, say.
    ValueError
        A name of something that no rule can ask for.
    """
    if not isinstance(needs, (set, frozenset, list, tuple)):
        raise TypeError(f"{name}: expected needs to be a set of names, such as {{'cost'}}, got {needs!r}")
    if not set(needs) <= set(NEEDS):
        unknown = sorted(map(str, set(needs) - set(NEEDS)))
        raise ValueError(f"{name}: expected needs out of {', '.join(NEEDS)}, got {', '.join(unknown)}")
    return frozenset(needs)


def checked_rule(rule, function):
    """``rule``, if it is one; ``function`` is the name of the function that got it."""
    if isinstance(rule, type) and issubclass(rule, Estimator):
        raise TypeError(f"{function}: expected an estimator, got the class {rule.__name__}. Make an instance of it: "
                        f"{rule.__name__}()")
    if not isinstance(rule, Estimator):
        raise TypeError(f"{function}: expected an estimator, a rule such as mg.estimators.StraightThrough(), "
                        f"got {rule!r}. It decides what gradient the logits get")
    if "needs" in vars(rule):
        checked_needs(repr(rule), rule.needs)
    return rule
