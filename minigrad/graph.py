"""The graph: evaluating it again, and differentiating it.

A node is a Tensor that remembers the primitive that made it, its operands, options and value.  A
recorded graph is a program, and an *evaluation* is a mapping from its nodes to values; recording
made the first one.  ``Evaluation`` serves them all: the backward pass of the recording, the replay
with another value at some node, replays within replays, and exact enumeration.

The gradient of a node with respect to its inputs is the business of its primitive (``ops``), and of
its rule where the primitive draws a random bit (``stochastic``).  This file only sees to it that
each is asked once, in the right order, for what somebody wants.
"""

import functools
import inspect
from contextvars import ContextVar
from itertools import count
from operator import attrgetter

import numpy as np

from minigrad import devices, ops, sharing
from minigrad.arguments import described
from minigrad.kernels import Packed
from minigrad.kernels.device import arrays
from minigrad.ops.alternatives import MOST_BYTES, evaluate, of_shape, stack
from minigrad.ops.primitive import ALL, NOTHING, OPEN, recorders

#: Types of cotangents that are not plain arrays.
COMPACT = (Packed, ops.Factored)


#: How many ``no_grad`` blocks are open, in each thread and each asynchronous task.
paused = ContextVar("paused", default=0)
tick = count(1).__next__            # the clock that orders the nodes


class no_grad:
    """Compute without recording, in a ``with`` block or in a decorated function.

    Inside, ``w -= x`` and the like change a leaf in place.  What is computed inside is a constant for every graph
    that uses it.  A replay that would have to change it raises an error; where that matters use ``.detach()``
    in place of ``no_grad``.

    Raises
    ------
    TypeError
        A decorated generator function or ``async`` function.  It would run when the decorator's work is done.

    >>> import minigrad as mg
    >>> w = mg.tensor(3.0, requires_grad=True)
    >>> (w * w).backward()
    >>> with mg.no_grad():
    ...     w -= 0.5 * w.grad
    >>> w
    tensor(0., dtype=float64, requires_grad=True)
    >>> @mg.no_grad()
    ... def square(x):
    ...     return x * x
    >>> square(w).requires_grad
    False
    """

    def __init__(self, *arguments):
        if arguments:
            raise TypeError("no_grad: expected no argument. Write @mg.no_grad(), with parentheses")

    def __enter__(self):
        paused.set(paused.get() + 1)

    def __exit__(self, *error):
        paused.set(paused.get() - 1)

    def __call__(self, function):
        if any(kind(function) for kind in (inspect.isgeneratorfunction, inspect.iscoroutinefunction,
                                           inspect.isasyncgenfunction)):
            raise TypeError(f"no_grad: expected an ordinary function, got {function!r}, whose body runs after "
                            "the call has returned. Write `with mg.no_grad():` in its body, around what is computed "
                            "between one yield or await and the next")

        @functools.wraps(function)
        def unrecorded(*args, **options):
            with no_grad():
                return function(*args, **options)
        return unrecorded


def ancestors(outputs, stops=()):
    """The nodes that ``outputs`` were made of, themselves included, in order of creation.

    Nodes in ``stops`` are neither listed nor looked behind.
    """
    seen, stack, found = set(stops), list(outputs), []
    while stack:
        node = stack.pop()
        if node.primitive is not None and node not in seen:
            seen.add(node)
            found.append(node)
            for _, x, _ in node.parents:
                stack.append(x)
    found.sort(key=attrgetter("order"))
    return found


def keepers(outputs, nodes):
    """The leaves that require a gradient, and the nodes that retain theirs: each once."""
    kept = dict.fromkeys(x for x in outputs if x.primitive is None and x.requires_grad)
    for node in nodes:
        if node.retains_grad:
            kept[node] = None
        for _, x, _ in node.parents:
            if x.primitive is None and x.requires_grad:
                kept[x] = None
    return list(kept)


def changed_since(node):
    """The error for a node one of whose arguments was changed since the node was recorded."""
    place = sharing.first_changed(node.watched)
    what = ("one was changed in place since" if place is None else
            f"the array given as argument {place} was changed since. Pass a copy of a buffer that is filled again")
    return ValueError(f"{node.primitive.name}: expected its arguments as they were when it was recorded, but {what}. "
                      "Run the forward computation again before backward or replay")


class Freed:
    """What a node has in place of its inputs when ``backward(free=True)`` has dropped them: any use raises."""

    def __init__(self, name):
        self.name = name

    def __iter__(self):
        raise ValueError(f"{self.name}: expected a whole graph, but backward(free=True) has freed it. Leave free=True "
                         "away for all passes but the last, or run the forward computation again")

    __len__ = __getitem__ = lambda self, *index: iter(self)


def on_open_blocks(product, g, out, operands, options):
    """A product of an elementwise function of packed units: that of their open blocks."""
    def values(x):
        if arrays.is_array(x) and x.ndim:
            x = Packed.gather(np.broadcast_to(x, out.shape), out.blocks, out.block)
        return x.values if isinstance(x, Packed) else x
    return out.with_values(product(values(g), out.values, *map(values, operands), **options))


def dense_node(x):
    """x as a Tensor without packed units, for derivatives of derivatives, which are computed densely."""
    return ops.to_dense(x) if isinstance(x.value, Packed) else x


def as_wanted(cotangent, packed, wanted):
    """A cotangent of packed units: packed if only their open blocks are wanted, dense if all are."""
    if wanted == ALL:
        return ops.dense(cotangent)
    if isinstance(cotangent, Packed):
        return cotangent
    return Packed.gather(np.broadcast_to(cotangent, packed.shape), packed.blocks, packed.block)


def fit(cotangent, operand, x, wanted, node, argnum):
    """A product's result as a cotangent of argument ``x``, whose value or Tensor is ``operand``.

    It is summed over the axes that x was broadcast along; for a leaf it may stay factored.

    Raises
    ------
    ValueError, TypeError
        Shape or dtype is not that of x; the primitive and the argument are named.
    """
    if isinstance(operand, Packed):
        cotangent = as_wanted(cotangent, operand, wanted)
    elif isinstance(cotangent, Packed) or x.primitive is not None:
        cotangent = ops.dense(cotangent)
    if cotangent.shape != operand.shape:
        summed = ops.sum_to(cotangent, operand.shape)
        if summed is None:
            raise ValueError(
                f"{node.primitive.name}: the vector-Jacobian product for argument {argnum} has shape "
                f"{cotangent.shape}; expected {operand.shape}, or a shape that broadcasts from it")
        cotangent = summed
    if cotangent.dtype != operand.dtype:
        raise TypeError(
            f"{node.primitive.name}: the vector-Jacobian product for argument {argnum} has dtype "
            f"{cotangent.dtype}; expected {operand.dtype}, the argument's own")
    return cotangent


class Evaluation:
    """One run of the graph above ``outputs``: a value for every node, a cotangent for every output.

    Parameters
    ----------
    outputs : list of Tensors.
    cotangents : list of arrays shaped like them (Tensors, to differentiate once more).
    values : dict from node to value where this run differs from the recording.
    fixed : the nodes whose value was replaced; nothing is propagated through them.
    parent : the evaluation this one is a replay of, if any.
    """

    def __init__(self, outputs, cotangents=(), values=None, fixed=(), parent=None):
        self.outputs = list(outputs)
        self.cotangents = list(cotangents)
        self.values = values or {}
        self.fixed = frozenset(fixed)
        self.nested = parent is not None
        # A replay is named by the path of calls that led to it, which seeds whatever is drawn in it:
        # the same backward pass asks for the same replays and so draws the same numbers.
        self.path = (*parent.path, parent.next_child()) if parent else ()
        self.next_child = count().__next__
        self.learning = {}      # by the id of each rule that learns: its node, and what it proposes to remember
        # Shared by a pass and the replays in it: what its stochastic nodes keep between them.
        self.replays = parent.replays if parent else Counter()
        self.objective = parent.objective if parent else [None]

    def nodes(self):
        """The nodes above the outputs, up to those whose value was replaced."""
        return ancestors(self.outputs, stops=self.fixed)

    def value(self, x):
        """The value of a node or leaf in this evaluation."""
        return self.values.get(x, x.value)

    def operands(self, node):
        """The arguments of a node's primitive in this evaluation."""
        operands = list(node.operands)
        for i, x, _ in node.parents:
            operands[i] = self.value(x)
        return operands

    def replay(self, replaced, outputs=None):
        """Evaluate again whatever depends on the nodes in ``replaced`` (a dict from node to value).

        Stochastic nodes below draw again from their own uniforms (common random numbers).
        """
        outputs = self.outputs if outputs is None else list(outputs)
        values = {**self.values, **replaced}
        fixed = self.fixed.union(replaced)
        again = Evaluation(outputs, self.cotangents, values, fixed, parent=self)
        self.replays.made += 1
        for node in self.changed_by(replaced, outputs):
            values[node] = node.primitive.forward(*again.operands(node), **node.options)
        return again

    def replay_each(self, replaced, alternatives, outputs):
        """Values of ``outputs`` at K alternatives of one node, as K replays would give them, made at once.

        ``alternatives`` is an array with a leading axis of K, or ``Flips``; so are the values returned:
        an array with a leading axis for each output.  They go through the graph in chunks.
        """
        self.replays.made += len(alternatives)
        changed = self.changed_by([replaced], outputs)
        largest = max(self.value(x).size for x in [replaced, *changed]) * replaced.dtype.itemsize
        step = max(1, MOST_BYTES // max(1, largest))
        found = [[] for _ in outputs]
        for start in range(0, len(alternatives), step):
            some = alternatives[start:start + step]
            values = {replaced: of_shape(some, replaced.shape)}
            for node in changed:
                lifted = {i: values[x] for i, x, _ in node.parents if x in values}
                values[node] = evaluate(node.primitive, self.value(node), self.operands(node), lifted, node.options)
            for x, parts in zip(outputs, found, strict=True):
                parts.append(stack(values[x]))
        return [np.concatenate(parts) for parts in found]

    def changed_by(self, replaced, outputs):
        """The nodes that depend on those in ``replaced``, in order of creation."""
        changed, found = set(replaced), []
        oldest = min(x.order for x in changed)
        for node in ancestors(outputs, stops=self.fixed.union(replaced)):
            depends, changes = False, 0
            for _, x, _ in node.parents:
                depends = depends or x in changed
                changes += x.changes[0]
                if x.hidden > oldest:
                    raise unseen(x, node.primitive.name)
            if depends:
                if changes != node.changes_before or sharing.first_changed(node.watched) is not None:
                    raise changed_since(node)
                changed.add(node)
                found.append(node)
        return found

    def backward(self, targets=None, create_graph=False, free=False):
        """Cotangents of the nodes and leaves in ``targets``, as a dict; one nobody reached is absent.

        By default the targets are all leaves that require a gradient, and the nodes that retain
        theirs.  The walk is iterative, from the last node made to the first, so depth costs no
        recursion.  With ``free`` it drops the inputs of the nodes behind it, except for those that the rule of
        a random node ahead may replay.
        """
        self.learning.clear()
        nodes = self.nodes()
        if targets is None:
            targets = keepers(self.outputs, nodes)
        plan, wanted, stale = self.plan(nodes, targets)
        kept = {x for x in targets if x.primitive is not None}
        cotangents = {}
        for output, cotangent in zip(self.outputs, self.cotangents, strict=True):
            if output in wanted:
                if type(output.value) is Packed and not create_graph:
                    cotangent = as_wanted(cotangent, output.value, wanted[output])
                cotangents[output] = cotangents[output] + cotangent if output in cotangents else cotangent
        if free:
            plan = self.freeing(nodes, plan, wanted)
        else:
            plan.reverse()
        del nodes
        for node, sought in plan:
            g = cotangents.get(node) if kept and node in kept else cotangents.pop(node, None)
            if g is not None or node.primitive.stochastic:
                if node in stale:
                    raise changed_since(node)
                for x, cotangent in self.pull_back(node, g, sought, wanted, create_graph):
                    other = cotangents.get(x)
                    cotangents[x] = cotangent if other is None else other + cotangent
        for node, values in self.learning.values():     # the pass has succeeded
            node.primitive.learned(values)
        return {x: cotangents[x] for x in targets if x in cotangents}

    def freeing(self, nodes, plan, wanted):
        """The steps of ``plan``, the last first; a node is freed when its step is done and no rule needs it."""
        steps = dict(plan)
        plan.clear()
        rules = sum(node.primitive.stochastic for node in steps)
        done = []
        while nodes:
            node = nodes.pop()
            if node in steps:
                yield node, steps.pop(node)
                rules -= node.primitive.stochastic
                wanted.pop(node, None)
            done.append(node)
            if not rules:
                self.objective[0] = None
                for node in done:
                    node.parents = node.operands = Freed(node.primitive.name)
                    node.watched = ()
                done.clear()

    def pull_back(self, node, g, sought, wanted, create_graph):
        """Cotangents of a node's arguments from its own: a list of (argument, cotangent)."""
        primitive, options = node.primitive, node.options
        if primitive.stochastic:
            return [(sought[0][1], primitive.estimate(node, g, self, create_graph))]
        if create_graph:
            out, operands = dense_node(node), list(node.operands)
            for i, x, _ in node.parents:
                operands[i] = dense_node(x)
        elif self.values:
            out, operands = self.value(node), self.operands(node)
        else:
            out, operands = node.value, node.operands
        elementwise = type(out) is Packed and not primitive.graded
        arguments = operands
        if elementwise and wanted[node] == ALL:
            out, arguments, elementwise = ops.dense(out), [ops.dense(x) for x in operands], False
        found = []
        for i, x, product in sought:
            if primitive.graded:
                cotangent = product(g, out, *arguments, **options, wanted=wanted[x])
            elif elementwise:
                cotangent = on_open_blocks(product, g, out, arguments, options)
            else:
                cotangent = product(g, out, *arguments, **options)
            operand = operands[i]
            if (type(operand) is Packed or type(cotangent) in COMPACT
                    or cotangent.shape != operand.shape or cotangent.dtype is not operand.dtype):
                cotangent = fit(cotangent, operand, x, wanted[x], node, i)
            found.append((x, cotangent))
        return found

    def plan(self, nodes, targets):
        """What the pass has to do: (node, its parents whose cotangent is wanted), in order of creation.

        Also returns how much of each value's cotangent is wanted, and the nodes whose arguments were changed
        since.  A rule that estimates from costs alone wants no cotangent of its sample, so the kernels below
        it need not compute one.
        """
        wanted, plan, stale = dict.fromkeys(targets, ALL), [], set()
        for node in nodes:
            sought, changes = [], 0
            for parent in node.parents:
                _, x, product = parent
                changes += x.changes[0]
                if product is not None and x in wanted:
                    sought.append(parent)
            if sought:
                if changes != node.changes_before or (
                        node.watched and sharing.first_changed(node.watched) is not None):
                    stale.add(node)
                plan.append((node, sought))
                demand = node.primitive.demand
                if demand is not None:
                    level = demand({i: wanted[x] for i, x, _ in sought})
                elif type(node.value) is Packed:    # elementwise: zero wherever a packed operand is
                    level = max((wanted[x] for _, x, _ in sought if isinstance(x.value, Packed)), default=OPEN)
                else:
                    wanted[node] = ALL
                    continue
                if level > wanted.get(node, NOTHING):
                    wanted[node] = level
        return plan, wanted, stale


class Counter:
    """How many replays a backward pass has made so far, nested ones included."""

    made = 0


def unseen(x, where):
    """The error for a replay that meets a value that may depend on a replaced one, unrecorded."""
    return ValueError(
        f"replay: {where} uses a value of shape {x.shape} that was computed under no_grad, perhaps from what is "
        "replaced, so it cannot be computed again. Compute it with recording on, and use .detach() to stop "
        "its gradient")


def replay(outputs, replaced):
    """Values of ``outputs`` when the nodes or leaves in ``replaced`` have other values, without recording.

    Parameters
    ----------
    outputs : list of Tensors.
    replaced : dict from Tensor to array of its shape and dtype.

    Returns
    -------
    list of arrays

    Raises
    ------
    TypeError
        A Tensor in place of the list of outputs or of an array.
    ValueError
        A value of another shape, dtype or device; an input that was changed since recording; a leaf that
        requires no gradient, since what is computed from such leaves alone is not recorded; or a value
        computed under ``no_grad`` that may depend on what is replaced.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x * x
    >>> z = y.sum() + x.sum()
    >>> mg.replay([z], {y: np.array([10.0, 20.0])})
    [np.float64(33.0)]
    """
    if not isinstance(replaced, dict):
        raise TypeError(f"replay: expected a dict from Tensors to arrays, got {described(replaced)}. "
                        "Write replay([output], {x: value})")
    for x in (outputs, *replaced.values()):
        if type(x) in recorders:
            raise TypeError("replay: expected a list of outputs, and arrays as values, got a Tensor in their place. "
                            "Write [output], or use .numpy()")
    if not isinstance(outputs, (list, tuple)) or not all(type(x) in recorders for x in (*outputs, *replaced)):
        raise TypeError("replay: expected a list of Tensors, and Tensors as what is replaced, got "
                        f"{described(outputs)} and {', '.join(map(described, replaced)) or 'none'}")
    for x in outputs:
        sharing.check_fresh(x)
    for node, value in replaced.items():
        if not arrays.is_array(sharing.plain(value, "replay")) and not isinstance(value, np.generic):
            raise TypeError(f"replay: expected arrays as values, got {described(value)}. Use np.array(x)")
        if node.primitive is None and not node.requires_grad:
            raise ValueError("replay: expected nodes, or leaves that require a gradient, got a leaf that does not: "
                             "what was computed from it alone was not recorded, and would keep its old value. "
                             "Make it a floating leaf with requires_grad=True and compute the outputs again")
        if value.shape != node.shape or value.dtype != node.dtype or devices.of(value) != node.device:
            raise ValueError(
                f"replay: expected a value of shape {node.shape} and dtype {node.dtype} on {node.device!r}, "
                f"got {value.shape} and {value.dtype} on {devices.of(value)!r}")
    again = Evaluation(outputs).replay(replaced)
    oldest = min((x.order for x in replaced), default=np.inf)
    for x in outputs:
        if x.hidden > oldest:
            raise unseen(x, "the list of outputs")
    return [again.value(x).copy() if x.primitive is None or x.is_view else again.value(x) for x in outputs]
