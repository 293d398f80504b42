"""Policy gradients with advantages over a group of sampled sequences: which are biased, and by how much.

The policy stops (reward 1), or goes on and then wins (reward 10) or loses (reward 0):

    sequence    probability    reward    length
    stop        0.5             1        1
    go, win     0.1            10        2
    go, lose    0.4             0        2

Going on is worth 2 on average, so the gradient of the expected reward by the logit of "go" is 0.5 · 0.5 · (2 − 1) = ¼,
and the one by the logit of "win" is 0.5 · 0.2 · 0.8 · 10 = 0.8.  All biases are exact: the estimate is enumerated, and
compared with numbers that were computed by hand, or with NumPy from the table.
"""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch.distributions import Categorical  # noqa: E402

from minigrad.testing.programs import pytorch  # noqa: E402

REWARDS = {("stop",): 1.0, ("go", "win"): 10.0, ("go", "lose"): 0.0}
NAMES = [("stop", "go"), ("win", "lose")]


class Policy:
    """Two steps, each with two actions; the second one only if the first is to go on."""

    def __init__(self, go=0.5, win=0.2):
        self.first = torch.tensor([math.log(1 - go), math.log(go)], dtype=torch.float64, requires_grad=True)
        self.second = torch.tensor([math.log(win), math.log(1 - win)], dtype=torch.float64, requires_grad=True)
        self.params = {"first": self.first, "second": self.second}

    def sequence(self):
        """A sampled sequence of actions, their log-probabilities, and the reward."""
        actions, log_probs = [], []
        for logits, names in zip([self.first, self.second], NAMES, strict=True):
            step = Categorical(logits=logits)
            action = step.sample()
            log_probs.append(step.log_prob(action))
            actions.append(names[action.item()])
            if actions[-1] == "stop":
                break
        return actions, torch.stack(log_probs), REWARDS[tuple(actions)]

    def group(self, size):
        sequences = [self.sequence() for _ in range(size)]
        rewards = torch.tensor([reward for *_, reward in sequences], dtype=torch.float64)
        return rewards, [log_probs for _, log_probs, _ in sequences]

    def cost(self):
        return -self.sequence()[2]

    def log_probs_of(self, actions):
        """The log-probabilities of a sequence under this policy."""
        return torch.stack([torch.log_softmax(logits, 0)[names.index(action)] for action, logits, names
                            in zip(actions, [self.first, self.second], NAMES, strict=False)])


def check(policy, surrogate, cost=None):
    """The report, and the estimate of the gradient of the expected reward by the logits of "go" and of "win"."""
    report = pytorch.check_estimator(cost or policy.cost, policy.params, surrogate)
    assert report.exact
    return report, -np.array([report.mean["first"][1], report.mean["second"][0]])


def group_loss(advantages, size=2, average=torch.sum):
    """The usual loss: advantages times log-probabilities, over a group of sequences."""
    def surrogate(policy):
        rewards, log_probs = policy.group(size)
        total = 0.0
        for advantage, log_prob in zip(advantages(rewards).detach(), log_probs, strict=True):
            total = total - advantage * average(log_prob)
        return total / size
    return surrogate


def leave_one_out(r):
    return r - (r.sum() - r) / (len(r) - 1)


def group_mean(r):
    return r - r.mean()


def standardized(r):
    return (r - r.mean()) / (r.std() + 1e-8)


def signs(r):
    return torch.sign(r - r.mean())


def ranks(r):
    return (r[:, None] > r).double().sum(1) - (r[:, None] < r).double().sum(1)


def by_hand(advantages, size=2, weight=lambda length: 1.0):
    """The mean estimate, by the logits of "go" and of "win", from the table."""
    table = [(0.5, 1.0, 1, np.array([-0.5, 0.0])), (0.1, 10.0, 2, np.array([0.5, 0.8])),
             (0.4, 0.0, 2, np.array([0.5, -0.2]))]      # probability, reward, length, score
    total = np.zeros(2)
    for outcome in itertools.product(table, repeat=size):
        probability = np.prod([p for p, *_ in outcome])
        found = advantages(torch.tensor([r for _, r, *_ in outcome], dtype=torch.float64)).numpy()
        total += probability * sum(a * weight(length) * score
                                   for a, (*_, length, score) in zip(found, outcome, strict=True)) / size
    return total


TRUTH = np.array([0.25, 0.8])

# name: advantages, size of the group, average over the steps, weight by hand, and the mean where it is a round number
ADVANTAGES = {
    "the reward": (lambda r: r, 2, torch.sum, 1, [0.25, 0.8]),
    "less a constant": (lambda r: r - 1.5, 2, torch.sum, 1, [0.25, 0.8]),
    "leave one out": (leave_one_out, 2, torch.sum, 1, [0.25, 0.8]),
    "leave one out of three": (leave_one_out, 3, torch.sum, 1, [0.25, 0.8]),
    "group mean": (group_mean, 2, torch.sum, 1, [0.125, 0.4]),
    "group mean of three": (group_mean, 3, torch.sum, 1, [0.5 / 3, 1.6 / 3]),
    "group deviation": (standardized, 2, torch.sum, 1, [-0.15 / math.sqrt(2), 0.12 / math.sqrt(2)]),
    "group deviation of three": (standardized, 3, torch.sum, 1, None),
    "signs": (signs, 2, torch.sum, 1, [-0.15, 0.12]),
    "ranks of three": (ranks, 3, torch.sum, 1, None),
    "largest reward as baseline": (lambda r: r - r.max(), 2, torch.sum, 1, None),
    "positive advantages alone": (lambda r: leave_one_out(r).clamp(min=0), 2, torch.sum, 1, None),
    "clipped rewards": (lambda r: leave_one_out(r.clamp(max=5)), 2, torch.sum, 1, [0.0, 0.4]),
    "divided by the length": (leave_one_out, 2, torch.mean, 2, [0.1875, 0.4]),
}
RIGHT = {"the reward", "less a constant", "leave one out", "leave one out of three"}


@pytest.mark.parametrize("name", ADVANTAGES)
def test_advantages(name):
    advantages, size, average, divided, mean = ADVANTAGES[name]
    policy = Policy()
    report, found = check(policy, lambda: group_loss(advantages, size, average)(policy))
    assert report.unbiased is (name in RIGHT)
    assert report.runs == 3**size
    np.testing.assert_allclose(-np.array([report.gradient["first"][1], report.gradient["second"][0]]), TRUTH, atol=1e-9)
    weight = (lambda length: 1 / length) if divided == 2 else (lambda length: 1.0)
    np.testing.assert_allclose(found, by_hand(advantages, size, weight), atol=1e-9)
    if mean is not None:
        np.testing.assert_allclose(found, mean, atol=1e-6)


def test_division_by_the_deviation_moves_the_policy_the_wrong_way():
    """Going on has twice the mean reward, but loses more often.  So GRPO's advantages teach the policy to stop."""
    policy = Policy()
    report, found = check(policy, lambda: group_loss(standardized)(policy))
    assert found[0] < 0 < TRUTH[0]
    assert "biased at" in report.fault()


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_own_reward_in_the_mean_costs_one_part_in_the_size_of_the_group(size):
    policy = Policy()
    report, _ = check(policy, lambda: group_loss(group_mean, size)(policy))
    for name in policy.params:
        np.testing.assert_allclose(report.bias[name], -report.gradient[name] / size, atol=1e-10)
    assert report.cosine == pytest.approx(1)
    assert "times the gradient throughout" in report.fault()


def test_tokens_of_the_whole_batch_share_one_mean():
    """One mean over all tokens of the group: the weight of a sequence depends on the lengths of the others."""
    policy = Policy()

    def surrogate():
        rewards, log_probs = policy.group(2)
        terms = torch.cat([a * log_prob for a, log_prob in zip(leave_one_out(rewards), log_probs, strict=True)])
        return -terms.mean()
    report, found = check(policy, surrogate)
    assert not report.unbiased
    # Both stop, with 2 tokens: no advantage.  One stops: 3 tokens.  None does: 4 tokens.
    one = 2 * 0.5 * (0.1 * 9 * np.array([1.0, 0.8]) - 0.4 * np.array([1.0, -0.2])) / 3
    none = 2 * 0.1 * 0.4 * 10 * np.array([0.0, 1.0]) / 4
    np.testing.assert_allclose(found, one + none, atol=1e-9)


def test_rewards_to_come_are_enough():
    """The loss of a step contains only the rewards after it.  The gradient is the same as with all rewards."""
    policy = Policy()

    def run():
        actions, log_probs, reward = policy.sequence()
        paid = [0.3 * (actions[0] == "go"), reward]         # for going on, and at the end
        return paid[0] + paid[1], [paid[0] + paid[1], paid[1]], log_probs

    def surrogate():
        _, to_come, log_probs = run()
        return -sum(r * log_prob for r, log_prob in zip(to_come, log_probs, strict=False))

    def paid_before():
        _, to_come, log_probs = run()
        paid = [to_come[0] - to_come[1], to_come[1]]
        return -sum(r * log_prob for r, log_prob in zip(paid, log_probs, strict=False))

    def cost():
        return -run()[0]
    assert check(policy, surrogate, cost)[0].unbiased
    assert not check(policy, paid_before, cost)[0].unbiased


# ---- samples of an older policy ------------------------------------------------------------------------------


def off_policy(loss, go=0.4, win=0.1):
    """A loss over sequences of an older policy: ``loss(ratios by step, reward)``."""
    old, new = Policy(go, win), Policy()

    def surrogate():
        actions, log_probs, reward = old.sequence()
        ratios = torch.exp(new.log_probs_of(actions) - log_probs.detach())
        return -loss(ratios, reward - 2.0)
    return check(new, surrogate)


def clipped(ratio, advantage, width=0.2):
    return torch.minimum(ratio * advantage, ratio.clamp(1 - width, 1 + width) * advantage)


LOSSES = {
    "sequence ratio": (lambda ratios, a: ratios.prod() * a, True),
    "sequence ratio, clipped widely": (lambda ratios, a: clipped(ratios.prod(), a, 5.0), True),
    "sequence ratio, clipped": (lambda ratios, a: clipped(ratios.prod(), a), False),
    "token ratios": (lambda ratios, a: (ratios * a).sum(), False),
    "token ratios, clipped": (lambda ratios, a: clipped(ratios, a).sum(), False),
    "geometric mean of the ratios": (lambda ratios, a: ratios.log().mean().exp() * a * len(ratios), False),
    "no ratio": (lambda ratios, a: ratios.log().sum() * a, False),
}


@pytest.mark.parametrize("name", LOSSES)
def test_ratios_to_an_older_policy(name):
    loss, unbiased = LOSSES[name]
    report, _ = off_policy(loss)
    assert report.unbiased is unbiased


def test_what_is_clipped_has_no_gradient():
    """The rare win has become more frequent, from 0.04 to 0.1, so it is clipped, and the loss moves away from going on.

    By hand, with the advantages reward − 2 and the ratios 5/6 (stop), 2.5 (win) and 10/9 (lose).
    """
    report, found = off_policy(LOSSES["sequence ratio, clipped"][0])
    stop, lose = 0.5 * -1 * np.array([-0.5, 0.0]), 0.4 * -2 * np.array([0.5, -0.2])
    np.testing.assert_allclose(found, stop + lose, atol=1e-9)
    np.testing.assert_allclose(found, [-0.15, 0.16], atol=1e-9)
    np.testing.assert_allclose(report.bias["first"][1], 0.25 + 0.15, atol=1e-9)     # of a cost, so its sign is turned


@pytest.mark.parametrize("name", LOSSES)
def test_on_policy_all_ratios_are_one(name):
    """At the first step after sampling the new policy is the old one, and clipping does nothing."""
    report, _ = off_policy(LOSSES[name][0], 0.5, 0.2)
    # The geometric mean has a derivative of 1/length times that of the product, made up for by the length.
    assert report.unbiased


# ---- a divergence from a reference ---------------------------------------------------------------------------


def divergence(loss):
    """The gradient of KL(policy ‖ reference), estimated by ``loss(log policy, log reference)`` of a sample."""
    policy, reference = Policy(), Policy(0.3, 0.4)

    def logs():
        actions, log_probs, _ = policy.sequence()
        return log_probs.sum(), reference.log_probs_of(actions).sum().detach()

    def cost():
        log_p, log_q = logs()
        return log_p - log_q
    return check(policy, lambda: loss(*logs()), cost)[0]


DIVERGENCES = {
    "in the reward": (lambda p, q: (p - q).detach() * p, True),
    "half the square of the logarithm": (lambda p, q: 0.5 * (p - q) ** 2, True),
    "the logarithm as a loss": (lambda p, q: p - q, False),
    "the positive estimator as a loss": (lambda p, q: torch.exp(q - p) - (q - p) - 1, False),
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_divergences(name):
    """Three estimators of a divergence have its value as their mean; only one of them is right as a loss."""
    loss, unbiased = DIVERGENCES[name]
    report = divergence(loss)
    assert report.unbiased is unbiased
    if name == "the logarithm as a loss":
        assert max(np.abs(mean).max() for mean in report.mean.values()) < 1e-12
    if name == "the positive estimator as a loss":      # ∇ Σ q log(q/p): the divergence the other way round
        go, win, q_go, q_win = 0.5, 0.2, 0.3, 0.4
        np.testing.assert_allclose(report.mean["first"][1], go - q_go, atol=1e-9)
        np.testing.assert_allclose(report.mean["second"][0], q_go * (win - q_win), atol=1e-9)
