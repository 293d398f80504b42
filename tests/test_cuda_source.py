"""Look in the source of the kernels for CUDA for code that works in Numba's simulator but not on a GPU.

In the simulator, threads pass a barrier that only some threads of a block reach.  On a GPU, the kernel then hangs or
gives wrong numbers.  So no condition or loop around a barrier may depend on the thread.  In the simulator, two shared
arrays that are made on one line are the same array.
"""

import ast
import textwrap
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "kernels" / "cuda"
FILES = sorted(FOLDER.glob("*.py"))


def is_barrier(node):
    """Whether a node calls cuda.syncthreads or its like."""
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "").startswith("syncthreads")


def has_barrier(tree):
    return any(map(is_barrier, ast.walk(tree)))


def by_thread(function):
    """A function of an expression: whether its value may differ between the threads of a block."""
    names = set()

    def differs(expression):
        if is_barrier(expression):      # what it returns is one for all
            return False
        if isinstance(expression, ast.Name):
            return expression.id in names
        return getattr(expression, "attr", "") in ("threadIdx", "grid") or any(
            map(differs, ast.iter_child_nodes(expression)))

    def assign(target, value, some):
        """Note the names that an assignment, made by `some` threads only perhaps, gives different values."""
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each in zip(target.elts, value.elts, strict=True):
                assign(*each, some)
        elif some or differs(value):
            # An entry of an array that a thread writes does not make the array the thread's own.
            names.update(node.id for node in ast.walk(target) if isinstance(node, ast.Name)
                         and not isinstance(target, ast.Subscript))

    def visit(node, some):
        if isinstance(node, (ast.If, ast.While)):
            some = some or differs(node.test)
        elif isinstance(node, ast.For):
            assign(node.target, node.iter, some)
            some = some or differs(node.iter)
        elif isinstance(node, ast.AugAssign):
            assign(node.target, node.value, some)
        elif isinstance(node, ast.Assign):
            assign(node.targets[0], node.value, some)
        for child in ast.iter_child_nodes(node):
            visit(child, some)

    found = None
    while found != len(names):          # what a loop assigns may be used above the assignment
        found = len(names)
        visit(function, False)
    return differs


def divergent(source):
    """The lines after which only some threads of a block can reach a barrier."""
    lines = set()

    def visit(node, function, differs, loop, parting, inside):
        """`parting`: the line of what lets only some threads come here; `inside`: of such an if in this loop."""
        if is_barrier(node) and parting:
            lines.add(parting)
        if isinstance(node, (ast.Continue, ast.Break)) and inside and has_barrier(loop):
            lines.add(inside)
        if isinstance(node, ast.Return) and parting and has_barrier(function):
            lines.add(parting)
        if isinstance(node, (ast.If, ast.While, ast.For)):
            some = differs(node.iter if isinstance(node, ast.For) else node.test)
            parting = parting or (node.lineno if some else None)
            if isinstance(node, ast.If):
                inside = inside or (node.lineno if some else None)
            else:
                loop, inside = node, None
        for child in ast.iter_child_nodes(node):
            visit(child, function, differs, loop, parting, inside)

    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            visit(function, function, by_thread(function), None, None, None)
    return sorted(lines)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_all_threads_reach_every_barrier(file):
    assert divergent(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_one_shared_array_to_a_line(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.count("shared.array(") > 1]


@pytest.mark.parametrize(("body", "found"), [
    ("if t < 3:\n    cuda.syncthreads()", [3]),
    ("row = t // 4\nif row:\n    cuda.syncthreads()", [4]),
    ("for i in range(t, 9):\n    cuda.syncthreads_or(1)", [3]),
    ("while t < 3:\n    t += 1\n    cuda.syncthreads()", [3]),
    ("for i in range(9):\n    if t < i:\n        continue\n    cuda.syncthreads()", [4]),
    ("if t:\n    return\ncuda.syncthreads()", [3]),
    ("last = 0\nif t:\n    last = 1\nif last:\n    cuda.syncthreads()", [6]),
    ("if n:\n    cuda.syncthreads()", []),
    ("for i in range(9):\n    for k in range(3):\n        if t < i:\n            continue\n    cuda.syncthreads()", []),
    ("found[t] = 1\ncuda.syncthreads()\nif found[0]:\n    cuda.syncthreads()", []),
])
def test_the_check_itself(body, found):
    assert divergent("def kernel(n, found):\n    t = cuda.threadIdx.x\n" + textwrap.indent(body, "    ")) == found
