"""Names for the types in signatures."""

from typing import Any, get_type_hints

from interpreter import printed
from numpy.typing import NDArray

import minigrad as mg
from minigrad import aliases


def test_every_name_is_there():
    assert all(hasattr(aliases, name) for name in aliases.__all__)
    assert aliases.Shape == tuple[int, ...]


def test_signatures_can_be_read_with_them():
    """What an editor or a generator of documentation does."""
    hints = get_type_hints(mg.zeros, vars(aliases))
    assert hints["shape"] == int | tuple[int, ...]
    assert hints["return"] is mg.Tensor
    assert get_type_hints(mg.optim.SGD.__init__, vars(aliases))["lr"] == aliases.Rate | None
    assert aliases.Array == NDArray[Any]


def test_the_package_does_without_them():
    code = "import sys, minigrad as mg; mg.tensor(1.0); print('minigrad.aliases' in sys.modules)"
    assert printed("-c", code) == "False"
