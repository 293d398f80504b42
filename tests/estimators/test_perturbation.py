"""Rules that move the logits."""

import numpy as np
import pytest
from enumeration import QUARTERS, estimates, mixed_cost, sigmoid

from minigrad.estimators.perturbation import SPSA


def test_spsa_uses_the_uniforms_of_the_sample_on_both_sides():
    """If no uniform is between the two changed probabilities, no sample changes, and the estimate is 0."""
    u = np.random.default_rng(4).uniform(size=(400, 3))
    c = 0.05
    found = estimates(SPSA(c), QUARTERS, mixed_cost, u)
    changes = (u > sigmoid(QUARTERS - c)) & (u < sigmoid(QUARTERS + c))
    assert not found[~changes.any(axis=1)].any()
    assert changes.any()
    assert np.all(np.any(found[changes.any(axis=1)] != 0, axis=1))
    for bad in (0, -1.0, np.nan):
        with pytest.raises(ValueError, match="c > 0"):
            SPSA(bad)
