"""The graph: evaluating it again, and differentiating it.

A node is a Tensor that stores the primitive that computed it, the arguments, the options and the value.  So a recorded
graph is a program.  An *evaluation* gives a value to each of its nodes.  The recording is the first evaluation.
``Evaluation`` is used for the backward pass of a recording, for replays with another value of some node, for replays
within replays, and for exact enumeration.

A primitive computes the cotangents of its arguments from the cotangent of its output (``ops.primitives``).  For a
primitive that draws random bits, its rule does this (``stochastic``).  ``Evaluation.backward`` calls each primitive
once, from the last to the first.
"""

from itertools import count
from operator import attrgetter

import numpy as np

from minigrad import sharing
from minigrad.kernels import Packed
from minigrad.ops.alternatives import MOST_BYTES, evaluate, of_shape, stack
from minigrad.ops.masks import Masks
from minigrad.ops.packed import ALL, NOTHING, as_wanted, dense, total


def ancestors(outputs, stops=()):
    """The nodes that ``outputs`` were computed from, and the outputs, in order of creation.

    Nodes in ``stops`` are left out.  So are nodes that only lead to nodes in ``stops``.
    """
    seen, pending, nodes = set(stops), list(outputs), []
    while pending:
        node = pending.pop()
        if node.primitive is not None and node not in seen:
            seen.add(node)
            nodes.append(node)
            for _, x, _ in node.parents:
                pending.append(x)
    nodes.sort(key=attrgetter("order"))
    return nodes


def gradient_targets(outputs, nodes):
    """The leaves that require a gradient, and the nodes that retain it, each once."""
    targets = dict.fromkeys(x for x in outputs if x.primitive is None and x.requires_grad)
    for node in nodes:
        if node.retains_grad:
            targets[node] = None
        for _, x, _ in node.parents:
            if x.primitive is None and x.requires_grad:
                targets[x] = None
    return list(targets)


class Pass:
    """Data that a backward pass shares with its replays.

    Attributes
    ----------
    replays : the number of replays so far, with replays within replays.
    calls : the same, but replays that were computed together count as one.
    objective : the loss as a sum of terms (``objective``), or None until a rule asks for it.
    proposals : a dict from the id of each rule that learns to its node and its proposed memory.
    """

    def __init__(self):
        self.replays = self.calls = 0
        self.objective = None
        self.proposals = {}


class Evaluation:
    """One run of the graph of ``outputs``: a value for each node, and a cotangent for each output.

    Parameters
    ----------
    outputs : list of Tensors.
    cotangents : list of arrays with the shapes of the outputs.  For second derivatives they are Tensors.
    values : dict from node to value, for nodes whose value differs from the recording.
    fixed : the nodes whose value was replaced.  Backward stops at them.
    parent : the evaluation of which this one is a replay, or None.
    rules_learn : whether rules learn from a backward pass of this run.  They never learn from replays.
    """

    def __init__(self, outputs, cotangents=(), values=None, fixed=(), parent=None, rules_learn=True):
        self.outputs = list(outputs)
        self.cotangents = list(cotangents)
        self.values = values or {}
        self.fixed = frozenset(fixed)
        self.parent = parent
        self.rules_learn = rules_learn and parent is None
        self.shared = parent.shared if parent else Pass()
        # The path of calls that led to a replay is the seed of the numbers that rules draw in it.  A backward pass
        # that runs twice makes the same replays, so it draws the same numbers.
        self.path = (*parent.path, parent.next_child()) if parent else ()
        self.next_child = count().__next__

    def nodes(self):
        """The nodes that the outputs were computed from, up to those whose value was replaced."""
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
        """Evaluate again all nodes that depend on those in ``replaced``, a dict from node to value.

        Binary nodes among them are sampled again with their own uniforms (common random numbers).
        """
        outputs = self.outputs if outputs is None else list(outputs)
        values = {**self.values, **replaced}
        result = Evaluation(outputs, self.cotangents, values, self.fixed.union(replaced), parent=self)
        self.shared.replays += 1
        self.shared.calls += 1
        for node in self.changed_by(replaced, outputs):
            values[node] = node.primitive.forward(*result.operands(node), **node.options)
        return result

    def replay_each(self, replaced, alternatives, outputs):
        """Values of ``outputs`` for K alternatives of one node: the same as K replays, but computed together.

        ``alternatives`` is an array with a leading axis of length K, or ``Flips``.  The result is a list with an array
        for each output, also with this leading axis.  The alternatives are evaluated in chunks.
        """
        self.shared.replays += len(alternatives)
        self.shared.calls += 1
        changed = self.changed_by([replaced], outputs)
        largest = max(self.value(x).size for x in [replaced, *changed]) * replaced.dtype.itemsize
        step = max(1, MOST_BYTES // max(1, largest))
        chunks = [[] for _ in outputs]
        for start in range(0, len(alternatives), step):
            chunk = alternatives[start:start + step]
            values = {replaced: of_shape(chunk, replaced.shape)}
            for node in changed:
                batched = {i: values[x] for i, x, _ in node.parents if x in values}
                values[node] = evaluate(node.primitive, self.value(node), self.operands(node), batched, node.options)
            for x, parts in zip(outputs, chunks, strict=True):
                parts.append(stack(values[x]))
        return [np.concatenate(parts) for parts in chunks]

    def changed_by(self, replaced, outputs):
        """The nodes that depend on those in ``replaced``, in order of creation."""
        changed, nodes = set(replaced), []
        oldest = min(x.order for x in changed)
        for node in ancestors(outputs, stops=self.fixed.union(replaced)):
            depends, changes = False, 0
            for _, x, _ in node.parents:
                depends = depends or x in changed
                changes += x.changes[0]
                if x.unrecorded_order > oldest:
                    raise sharing.unrecorded_error(x, node.primitive.name)
            if depends:
                if changes != node.changes_before or sharing.first_changed(node.watched) is not None:
                    raise sharing.changed_error(node)
                changed.add(node)
                nodes.append(node)
        return nodes

    def backward(self, targets=None, create_graph=False, free=False):
        """The cotangents of the nodes and leaves in ``targets``, as a dict.  Targets without a gradient are left out.

        By default the targets are all leaves that require a gradient, and the nodes that retain it.  The loop runs from
        the last node to the first, without recursion.  With ``free``, the arguments of a node are dropped after its
        step, unless the rule of a random node may still replay it.
        """
        if self.parent is None:
            self.shared = Pass()
        nodes = self.nodes()
        targets = gradient_targets(self.outputs, nodes) if targets is None else targets
        steps, wanted = self.plan(nodes, targets)
        kept = {x for x in targets if x.primitive is not None}      # nodes whose cotangent is returned
        cotangents = self.first_cotangents(wanted, create_graph)
        steps = self.freeing(nodes, steps, wanted) if free else reversed(steps)
        del nodes
        for node, wanted_parents, unchanged in steps:
            g = cotangents.get(node) if node in kept else cotangents.pop(node, None)
            if g is None and not node.primitive.stochastic:
                continue
            if not unchanged:
                raise sharing.changed_error(node)
            for x, cotangent in node.primitive.pull_back(node, g, wanted_parents, wanted, self, create_graph):
                other = cotangents.get(x)
                cotangents[x] = cotangent if other is None else total(other, cotangent)
        if self.rules_learn:            # the pass has succeeded
            for node, values in self.shared.proposals.values():
                node.primitive.learned(values)
        return {x: dense(cotangents[x]) if x in kept else cotangents[x] for x in targets if x in cotangents}

    def plan(self, nodes, targets):
        """The steps of the pass, and a dict from node to the level wanted of its cotangent (``ops.packed``).

        A step is a tuple: the node, its parents whose cotangent is wanted, and whether its arguments are unchanged.
        A rule that uses only costs does not want the cotangent of its sample.  So the layers below it need not
        compute it.
        """
        wanted, steps = dict.fromkeys(targets, ALL), []
        masks = Masks(self, wanted, targets)
        for node in nodes:
            wanted_parents, changes = [], 0
            for parent in node.parents:
                _, x, product = parent
                changes += x.changes[0]
                if product is not None and x in wanted:
                    wanted_parents.append(parent)
            if wanted_parents:
                unchanged = changes == node.changes_before and not (
                    node.watched and sharing.first_changed(node.watched) is not None)
                steps.append((node, wanted_parents, unchanged))
                level = node.primitive.level(node, wanted_parents, wanted, masks)
                if level > wanted.get(node, NOTHING):
                    wanted[node] = level
        return steps, wanted

    def first_cotangents(self, wanted, create_graph):
        """The cotangents of the outputs, from which the pass starts."""
        cotangents = {}
        for x, cotangent in zip(self.outputs, self.cotangents, strict=True):
            if x in wanted:
                if type(x.value) is Packed and not create_graph:
                    cotangent = as_wanted(cotangent, x.value, wanted[x])
                cotangents[x] = total(cotangents[x], cotangent) if x in cotangents else cotangent
        return cotangents

    def freeing(self, nodes, steps, wanted):
        """The steps from last to first.  A node is freed when its step is done and no rule needs it any more."""
        by_node = {step[0]: step for step in steps}
        steps.clear()
        rules = sum(node.primitive.stochastic for node in by_node)
        done = []
        while nodes:
            node = nodes.pop()
            if node in by_node:
                yield by_node.pop(node)
                rules -= node.primitive.stochastic
                wanted.pop(node, None)
            done.append(node)
            if not rules:
                self.shared.objective = None
                for node in done:
                    node.parents = node.operands = sharing.Freed(node.primitive.name)
                    node.watched = ()
                done.clear()
