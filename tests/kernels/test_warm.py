"""Kernels compiled ahead of the first step."""

import numpy as np
import pytest

from minigrad import kernels


def test_warmup_covers_both_dtypes_and_refuses_others():
    kernels.warmup(np.float32)
    kernels.warmup(np.float64)
    with pytest.raises(TypeError, match="float16"):
        kernels.warmup(np.float16)
