"""A small network inside a rule: a learned baseline, or a learned control variate.

The parameters of the network are part of the rule's memory, a dict of arrays.  The network reads this dict and
never changes it: ``learn`` returns a new one.  Costs may have any scale.  So the network predicts the standardised
cost: its prediction of a cost is m + d · output, with the mean m and the standard deviation d of past costs, both
moving averages.  Before the first update the output and m are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import devices, ops
from minigrad.arguments import is_real, is_whole
from minigrad.kernels.device.arrays import number
from minigrad.random import Generator
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from minigrad.aliases import Array, Memory, TensorLike

AVERAGES = 0.9, 0.999       # decays of Adam's averages of the gradient and of its square
COSTS = 0.99                # decay of the averages of the cost and of its square


@dataclass
class Network:
    """output = tanh(x W + a) v + c, one number for each row of x, trained by Adam.

    Parameters
    ----------
    hidden : number of tanh units.
    rate : learning rate.
    seed : seed of W, the only parameter whose initial value is not 0.

    Raises
    ------
    ValueError
        ``hidden`` is below 1, or ``rate`` is not above 0.
    """

    hidden: int = 16
    rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_whole(self.hidden, 1) or not is_real(self.rate) or not self.rate > 0:
            raise ValueError(f"Network: expected hidden >= 1 and a rate > 0, got {self.hidden} and {self.rate}")

    def start(self, inputs: int, device: str = "cpu") -> Memory:
        """The memory of a network with this number of inputs, before it has learnt anything."""
        weight = Generator(self.seed).normal((inputs, self.hidden)) / np.sqrt(max(inputs, 1))
        state = {"W": weight, "a": np.zeros(self.hidden), "v": np.zeros((self.hidden, 1)), "c": np.zeros(1)}
        for name in list(state):
            state["mean of gradient by " + name] = np.zeros_like(state[name])
            state["mean of square by " + name] = np.zeros_like(state[name])
        state = {name: devices.put(value, device) for name, value in state.items()}
        return {**state, "steps": 0, "mean cost": 0.0, "mean square of cost": 0.0}

    def parameters(self, state: Memory) -> dict[str, Tensor]:
        """The parameters as leaves of a graph."""
        return {name: Tensor(state[name], requires_grad=True) for name in "Wavc"}

    def output(self, parameters: Mapping[str, TensorLike], x: TensorLike) -> Any:
        """The network's output, (rows, 1), for inputs x of (rows, inputs)."""
        p = parameters
        return ops.tanh(x @ p["W"] + p["a"]) @ p["v"] + p["c"]

    def scale(self, state: Memory) -> tuple[Any, Any]:
        """Mean and standard deviation of past costs.

        The mean is 0 before the first pass.  The deviation is 1 as long as all costs were equal.
        """
        steps = int(state["steps"])
        if steps == 0:
            return 0.0, 1.0
        correction = 1 - COSTS**steps
        mean, square = number(state["mean cost"]) / correction, number(state["mean square of cost"]) / correction
        variance = square - mean**2
        return mean, np.sqrt(np.where(variance > 1e-9 * square, variance, 1.0))

    def learn(self, state: Memory, gradients: dict[str, Array], costs: Array) -> Memory:
        """The next memory: a step of Adam with ``gradients``, and averages that include ``costs``."""
        steps = int(state["steps"]) + 1
        after: Memory = {"steps": steps}
        costs = costs.astype(float)
        for name, current in (("mean cost", costs.mean()), ("mean square of cost", (costs**2).mean())):
            after[name] = COSTS * state[name] + (1 - COSTS) * current
        for name, g in gradients.items():
            averages = []
            for label, decay, current in zip(("gradient", "square"), AVERAGES, (g, g * g), strict=True):
                key = f"mean of {label} by {name}"
                after[key] = decay * state[key] + (1 - decay) * current
                averages.append(after[key] / (1 - decay**steps))
            after[name] = state[name] - self.rate * averages[0] / (np.sqrt(averages[1]) + 1e-8)
        return after
