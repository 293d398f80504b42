"""The graph: evaluating it again, and differentiating it.

A node is a Tensor that remembers the primitive that computed it, the arguments, the options and the value.  A
recorded graph is a program, and an *evaluation* is a mapping from its nodes to values; recording made the first one.
``Evaluation`` serves the backward pass of the recording, the replay with another value at some node, replays within
replays, and exact enumeration.

How the cotangent of a node becomes those of its arguments is known to its primitive (``ops.primitives``), or to its
rule where the primitive draws random bits (``stochastic``).  This file asks each of them once, in the right order,
for the cotangents that are wanted.
"""

from itertools import count
from operator import attrgetter

import numpy as np

from minigrad import sharing
from minigrad.kernels import Packed
from minigrad.ops.alternatives import MOST_BYTES, evaluate, of_shape, stack
from minigrad.ops.packed import ALL, NOTHING, as_wanted


def ancestors(outputs, stops=()):
    """The nodes that ``outputs`` were computed from, themselves included, in order of creation.

    Nodes in ``stops`` are left out, and so is what they alone were computed from.
    """
    seen, stack, nodes = set(stops), list(outputs), []
    while stack:
        node = stack.pop()
        if node.primitive is not None and node not in seen:
            seen.add(node)
            nodes.append(node)
            for _, x, _ in node.parents:
                stack.append(x)
    nodes.sort(key=attrgetter("order"))
    return nodes


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


class Pass:
    """What a backward pass and the replays in it share.

    Attributes
    ----------
    replays : how many there were so far, those within replays included.
    calls : the same, but replays that were computed at once count as one.
    objective : the loss as a sum of terms (``objective``), once a rule has asked for it.
    proposals : by the id of each rule that learns: its node, and what it proposes to remember.
    """

    def __init__(self):
        self.replays = self.calls = 0
        self.objective = None
        self.proposals = {}


class Evaluation:
    """One run of the graph above ``outputs``: a value for every node, a cotangent for every output.

    Parameters
    ----------
    outputs : list of Tensors.
    cotangents : list of arrays shaped like them (Tensors, to differentiate once more).
    values : dict from node to value where this run differs from the recording.
    fixed : the nodes whose value was replaced; nothing is propagated through them.
    parent : the evaluation this one is a replay of, if any.
    rules_learn : whether rules learn from a backward pass of this run; they never learn from replays.
    """

    def __init__(self, outputs, cotangents=(), values=None, fixed=(), parent=None, rules_learn=True):
        self.outputs = list(outputs)
        self.cotangents = list(cotangents)
        self.values = values or {}
        self.fixed = frozenset(fixed)
        self.parent = parent
        self.rules_learn = rules_learn and parent is None
        self.shared = parent.shared if parent else Pass()
        # A replay is named by the path of calls that led to it, which seeds whatever is drawn in it:
        # the same backward pass asks for the same replays and so draws the same numbers.
        self.path = (*parent.path, parent.next_child()) if parent else ()
        self.next_child = count().__next__

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

    # -- replays -----------------------------------------------------------------------------------

    def replay(self, replaced, outputs=None):
        """Evaluate again whatever depends on the nodes in ``replaced`` (a dict from node to value).

        Stochastic nodes below draw again from their own uniforms (common random numbers).
        """
        outputs = self.outputs if outputs is None else list(outputs)
        values = {**self.values, **replaced}
        again = Evaluation(outputs, self.cotangents, values, self.fixed.union(replaced), parent=self)
        self.shared.replays += 1
        self.shared.calls += 1
        for node in self.changed_by(replaced, outputs):
            values[node] = node.primitive.forward(*again.operands(node), **node.options)
        return again

    def replay_each(self, replaced, alternatives, outputs):
        """Values of ``outputs`` at K alternatives of one node, as K replays would give them, computed at once.

        ``alternatives`` is an array with a leading axis of K, or ``Flips``; so are the values returned:
        an array with a leading axis for each output.  They go through the graph in chunks.
        """
        self.shared.replays += len(alternatives)
        self.shared.calls += 1
        changed = self.changed_by([replaced], outputs)
        largest = max(self.value(x).size for x in [replaced, *changed]) * replaced.dtype.itemsize
        step = max(1, MOST_BYTES // max(1, largest))
        chunks = [[] for _ in outputs]
        for start in range(0, len(alternatives), step):
            some = alternatives[start:start + step]
            values = {replaced: of_shape(some, replaced.shape)}
            for node in changed:
                lifted = {i: values[x] for i, x, _ in node.parents if x in values}
                values[node] = evaluate(node.primitive, self.value(node), self.operands(node), lifted, node.options)
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
                if x.hidden > oldest:
                    raise sharing.unseen(x, node.primitive.name)
            if depends:
                if changes != node.changes_before or sharing.first_changed(node.watched) is not None:
                    raise sharing.changed_since(node)
                changed.add(node)
                nodes.append(node)
        return nodes

    # -- backward ----------------------------------------------------------------------------------

    def backward(self, targets=None, create_graph=False, free=False):
        """Cotangents of the nodes and leaves in ``targets``, as a dict; targets without a gradient are left out.

        By default the targets are all leaves that require a gradient, and the nodes that retain theirs.  The
        walk is iterative, from the last node to the first, so depth costs no recursion.  With ``free`` it drops
        the arguments of the nodes behind it, except for those that the rule of a random node ahead may replay.
        """
        if self.parent is None:
            self.shared = Pass()
        nodes = self.nodes()
        if targets is None:
            targets = keepers(self.outputs, nodes)
        steps, wanted = self.plan(nodes, targets)
        kept = {x for x in targets if x.primitive is not None}
        cotangents = self.first_cotangents(wanted, create_graph)
        steps = self.freeing(nodes, steps, wanted) if free else reversed(steps)
        del nodes
        for node, sought, fresh in steps:
            g = cotangents.get(node) if node in kept else cotangents.pop(node, None)
            if g is None and not node.primitive.stochastic:
                continue
            if not fresh:
                raise sharing.changed_since(node)
            for x, cotangent in node.primitive.pull_back(node, g, sought, wanted, self, create_graph):
                other = cotangents.get(x)
                cotangents[x] = cotangent if other is None else other + cotangent
        if self.rules_learn:            # the pass has succeeded
            for node, values in self.shared.proposals.values():
                node.primitive.learned(values)
        return {x: cotangents[x] for x in targets if x in cotangents}

    def plan(self, nodes, targets):
        """The steps of the pass, and how much of each cotangent is wanted.

        A step is (node, the parents whose cotangent is wanted, whether its arguments are as they were).  A rule
        that estimates from costs alone wants no cotangent of its sample, so the layers below it need not
        compute one.
        """
        wanted, steps = dict.fromkeys(targets, ALL), []
        for node in nodes:
            sought, changes = [], 0
            for parent in node.parents:
                _, x, product = parent
                changes += x.changes[0]
                if product is not None and x in wanted:
                    sought.append(parent)
            if sought:
                fresh = changes == node.changes_before and not (
                    node.watched and sharing.first_changed(node.watched) is not None)
                steps.append((node, sought, fresh))
                level = node.primitive.level(node, sought, wanted)
                if level > wanted.get(node, NOTHING):
                    wanted[node] = level
        return steps, wanted

    def first_cotangents(self, wanted, create_graph):
        """The cotangents of the outputs, from which the walk starts."""
        cotangents = {}
        for x, cotangent in zip(self.outputs, self.cotangents, strict=True):
            if x in wanted:
                if type(x.value) is Packed and not create_graph:
                    cotangent = as_wanted(cotangent, x.value, wanted[x])
                cotangents[x] = cotangents[x] + cotangent if x in cotangents else cotangent
        return cotangents

    def freeing(self, nodes, steps, wanted):
        """The steps, the last first; a node is freed when its step is done and no rule needs it."""
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
