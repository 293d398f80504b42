"""The positions of the lists in their buffer."""

import numpy as np
import pytest

from minigrad.kernels.cpu import layout


@pytest.mark.parametrize(("shape", "n_open"), [((0, 0), 0), ((3, 0), 0), ((2, 3), 0), ((2, 3), 4), ((2, 3), 6)])
@pytest.mark.parametrize("sections", [layout.sections, layout.compiled_sections], ids=["Python", "compiled"])
def test_the_lists_fill_the_buffer_and_do_not_overlap(sections, shape, n_open):
    buffer = layout.buffer(shape, n_open)
    buffer[:] = -1
    lists = sections(buffer, shape, n_open)
    assert [len(part) for part in lists] == [shape[0] + 1, shape[1] + 1, n_open + 1]
    for number, part in enumerate(lists):
        assert (part == -1).all()
        part[:] = number
    assert (buffer >= 0).all()


def test_a_larger_buffer_holds_the_same_lists():
    """One example is listed before the number of its open blocks is known."""
    buffer = layout.buffer((1, 5), 5)
    buffer[:] = np.arange(len(buffer))
    exact = buffer[:len(layout.buffer((1, 5), 2))]
    for small, large in zip(layout.sections(exact, (1, 5), 2), layout.sections(buffer, (1, 5), 2), strict=True):
        np.testing.assert_array_equal(small, large)
