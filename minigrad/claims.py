"""Which gradients of a graph are unbiased.  The answer follows from the claims of the rules and from the graph.

``unbiased = True`` is a claim about the logits of the rule's own node.  In a graph it holds under these conditions:

- A rule that uses gradients gets them through the rules of the nodes below.  All of these rules must be unbiased,
  unless the rule declares ``needs_unbiased_below = False``.
- A rule that integrates by parts over a relaxed sample declares ``needs_continuous_cost = True``.  Then no comparison
  with the sample may lie between the node and the costs, and no ``detach`` on which the costs depend.
- A rule that looks at the whole batch declares ``needs_independent_rows = True``.
- No other node is relaxed: with a relaxed sample, the loss is that of another model.

The warning at backward, ``testing.unbiased_nodes`` and the reports of ``testing`` all use ``claims_of``.
"""

from typing import NamedTuple

import numpy as np

from minigrad.graph import Evaluation
from minigrad.objective import Objective
from minigrad.ops.arithmetic import stop_gradient
from minigrad.ops.constants import full_like, ones_like, zeros_like
from minigrad.random import Generator
from minigrad.rule import Estimator
from minigrad.tensor import Tensor

#: The needs of a rule that are computed with the rules of the nodes below.
GRADIENTS = frozenset({"grad", "cost_and_grad_at"})

#: Functions that only use the shape of their argument.
CONSTANTS = (zeros_like, ones_like, full_like)


class Claim(NamedTuple):
    """Whether the gradient of a node's logits is unbiased, and if not, why."""

    node: Tensor
    unbiased: bool
    why: str


def claims_of(objective: Objective) -> dict[Tensor, Claim]:
    """A claim for each binary node whose logits need a gradient, in order of creation."""
    if objective.claims is not None:
        return objective.claims
    claims = {}
    for node in reversed([node for node in objective.binary if node.requires_grad]):
        below = [claims[x] for x in objective.next_below(node)]
        unbiased, why = judged(node, below, objective)
        relaxed = next((x.primitive for x in objective.binary if x is not node and is_relaxed(x)), None)
        if unbiased and relaxed is not None:
            unbiased, why = False, (f"the sample of node {relaxed.name!r} is relaxed by {relaxed.rule!r}, so the loss "
                                    "is that of another model")
        claims[node] = Claim(node, unbiased, why)
    objective.claims = dict(reversed(claims.items()))
    return objective.claims


def may_break(objective: Objective) -> bool:
    """Whether the graph has a rule or a sample that can break a claim: a quick test before ``claims_of``."""
    return any(is_relaxed(node) or node.primitive.rule.needs_independent_rows
               or not GRADIENTS.isdisjoint(node.primitive.rule.needs) for node in objective.binary)


def is_relaxed(node: Tensor) -> bool:
    """Whether the rule of a binary node draws samples that are not bits."""
    return type(node.primitive.rule).sample is not Estimator.sample


def judged(node, below, objective):
    """Whether the claim of a node holds, and why.  It uses the claims of the nodes that the gradient passes through."""
    rule = node.primitive.rule
    if not rule.unbiased:
        return False, f"{rule!r} is biased"
    if rule.needs_independent_rows and objective.is_coupled(node):
        return False, f"{rule!r} needs independent rows, and several rows of the node share a cost"
    if GRADIENTS.isdisjoint(rule.needs):
        return True, f"{rule!r} is unbiased and asks for no gradient"
    if rule.needs_continuous_cost and (break_ := discontinuity(node, objective)):
        return False, f"{rule!r} needs a cost that is continuous in the sample, and {break_} lies between them"
    if not rule.needs_unbiased_below:
        return True, f"{rule!r} is unbiased whatever gradient it gets"
    for claim in below:
        if not claim.unbiased:
            return False, (f"{rule!r} needs unbiased gradients, and those through {claim.node.primitive.name!r} are "
                           f"not: {claim.why}")
    return True, f"{rule!r} is unbiased, and so are the gradients it gets"


def discontinuity(node, objective):
    """What breaks the path from a node's sample to the costs, in words.  None if nothing breaks it.

    An argument without a derivative breaks a path, for example a comparison.  A ``detach`` breaks it only if the
    costs change with the detached value.  In log Σ exp(h − m) + m with m = max(h).detach(), they do not change.
    """
    terms = {term.node for term in objective.terms if term.inside}
    reached, detached = {node}, []
    for x in objective.nodes:
        if x in terms or x.primitive in CONSTANTS:
            continue
        for i, parent, _ in x.parents:
            if parent in reached:
                if x.primitive.products[i] is not None:
                    reached.add(x)
                elif x.primitive is stop_gradient:
                    detached.append(x)
                elif not x.primitive.stochastic:        # a node below uses its context only for baselines
                    return f"{x.primitive.name!r} of shape {x.shape}"
    if any(depends(objective, node, x) for x in detached):
        return "a detach() on which the costs depend"
    return None


def depends(objective, node, x):
    """Whether the loss changes if only the value of ``x`` changes and the sample of ``node`` has a relaxed value."""
    rng = Generator(0)
    run = Evaluation(objective.outputs).replay({node: (0.2 + 0.6 * rng.uniform(node.shape)).astype(node.dtype)})
    step = 1e-3 * (2 * rng.uniform(x.shape) - 1).astype(x.dtype)
    above, below = (run.replay({x: run.value(x) + move}) for move in (step, -step))
    return any(np.any(np.abs(above.value(y) - below.value(y)) > 1e-9 * (1 + np.abs(run.value(y))))
               for y in objective.outputs)
