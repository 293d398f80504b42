"""One wording for arguments that do not fit a primitive: what it expected, what it got, a remedy."""


def misfit(name, expected, remedy, **arguments):
    """A ValueError for primitive ``name`` whose array ``arguments`` have shapes that do not fit.

    >>> import numpy as np
    >>> misfit("matmul", "as many columns as rows", "Transpose one.", x=np.ones((2, 3)), y=np.ones(4))
    ValueError('matmul: expected as many columns as rows, got x (2, 3), y (4,). Transpose one.')
    """
    got = ", ".join(f"{argument} {getattr(x, 'shape', x)}" for argument, x in arguments.items())
    return ValueError(f"{name}: expected {expected}, got {got}. {remedy}")
