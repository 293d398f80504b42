"""Leaves made from a shape or a range."""

import numpy as np
import pytest

import minigrad as mg


def test_leaves_made_of_numbers():
    assert mg.arange(2, 8, 3).tolist() == [2, 5]
    assert mg.arange(3.0, requires_grad=True).dtype == np.float64
    assert mg.arange(0).shape == (0,)
    assert mg.eye(2, 3, dtype="float32").tolist() == np.eye(2, 3).tolist()
    for make in (mg.zeros, mg.ones):
        x = make((2, 3), requires_grad=True, dtype="float32")
        assert (x.shape, x.dtype, x.requires_grad) == ((2, 3), np.float32, True)
    with pytest.raises(TypeError, match="floating dtype"):
        mg.arange(3, requires_grad=True)
