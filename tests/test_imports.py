"""Parts only import lower parts, and the kernels have no circular imports.

The graph is read from the source: every import statement of every module, at its top and inside functions, and the
modules that are loaded by name (``loaded("cpu.driver")``).  Imports for type checkers alone, under
``if TYPE_CHECKING:``, are left out.
"""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The parts of the project, from the lowest to the highest. A part imports from itself and from those before it. Where
#: several are on one line, each may import the others.
PARTS = [
    ("kernels",),
    ("ops",),
    ("recording", "graph"),
    ("tensor",),
    ("functional",),
    ("objective", "rule"),
    ("claims",),
    ("stochastic",),
    ("estimators",),
    ("neurons", "nn"),
    ("testing", "diagrams"),
]

#: Imports inside functions of the kernels, with the reason why they are not at the top of their file.
LAZY = {
    ("backend", "cpu.driver"): "loads Numba, when a kernel is first needed",
    ("backend", "cpu.uncompiled"): "serves only where there is no Numba",
    ("backend", "cuda.driver"): "loads numba.cuda, when an array is first on a device",
    ("adam", "cpu.adam"): "loads Numba",
    ("momentum", "cpu.momentum"): "loads Numba",
    ("draws", "cpu.philox"): "loads Numba",
    ("tables", "cpu.tables"): "loads Numba",
    ("warm", "cpu.tables"): "loads Numba",
    ("draws", "cpu.noise"): "loads Numba",
    ("probabilities", "cpu.probabilities"): "loads Numba",
    ("warm", "cpu.probabilities"): "loads Numba",
    ("warm", "cpu.philox"): "loads Numba",
    ("warm", "cpu.noise"): "loads Numba",
    ("warm", "cpu.adam"): "loads Numba",
    ("device.arrays", "cuda.simulator.cupy"): "stands in for CuPy in Numba's simulator only",
}


def modules(folder, package):
    """{name: source} of every module below a folder, which is imported as `package`."""
    found = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        parts = [package, *file.relative_to(ROOT / folder).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = {**modules("minigrad", "minigrad"), **modules("kernels", "minigrad.kernels")}


def in_functions(tree):
    """The nodes of a tree that are inside functions."""
    return {node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function) if node is not function}


def for_type_checkers(tree):
    """The nodes of a tree that are under ``if TYPE_CHECKING:``."""
    return {node for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING"
            for statement in branch.body for node in ast.walk(statement)}


def called(call):
    """The name of the function that a call names, without the module."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def edges(name, source, known):
    """(imported module, whether inside a function) for every import of ours; a name counts for its module."""
    package = name if MODULES.get(name, Path()).name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(source)
    inner, unused = in_functions(tree), for_type_checkers(tree)
    for node in ast.walk(tree):
        targets = []
        if node in unused:
            continue
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[:len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        elif isinstance(node, ast.Call) and called(node) in ("loaded", "import_module"):
            words = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            targets = [target for word in words for target in (word, f"minigrad.kernels.{word}") if target in known]
        for target in targets:
            if target in known and target != name:
                yield target, node in inner


def graph(files, functions=True):
    """{module: modules that it imports}; without `functions`, only imports at the top of the module."""
    return {name: {target for target, inside in edges(name, file.read_text(encoding="utf-8"), files)
                   if functions or not inside} for name, file in files.items()}


def circle(imports):
    """A list of modules that import each other in a circle, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):]
        if name in done:
            return None
        path.append(name)
        for target in sorted(imports.get(name, ())):
            if found := visit(target):
                return found
        done.add(path.pop())
        return None

    return next(filter(None, map(visit, imports)), None)


@functools.cache
def kernels():
    return {name: targets for name, targets in graph(MODULES).items() if name.startswith("minigrad.kernels.")}


def test_no_circle_in_the_kernels_whatever_is_imported_when():
    assert len(kernels()) > 40
    assert circle(kernels()) is None


def test_kernels_import_nothing_but_kernels():
    others = {target for targets in kernels().values() for target in targets} - kernels().keys()
    assert others == set()


def short(name):
    return name.removeprefix("minigrad.kernels.")


def test_imports_inside_functions_of_the_kernels_are_those_with_a_reason():
    inside = {(short(name), short(target)) for name, file in MODULES.items() if name.startswith("minigrad.kernels.")
              for target, inner in edges(name, file.read_text(encoding="utf-8"), MODULES) if inner}
    assert inside == LAZY.keys()


def test_packed_units_need_neither_backend():
    for part in ("blocks", "packed", "checks"):
        assert {short(target).split(".")[0] for target in kernels()[f"minigrad.kernels.{part}"]}.isdisjoint(
            {"cpu", "cuda"})


#: Names that users know: mg.tensor makes a Tensor, mg.testing.mutants.table() is what its module is about.
PUBLIC = {("minigrad.tensor", "tensor"), ("minigrad.testing.mutants.table", "table")}


def test_a_module_and_a_function_never_share_a_name_in_one_package():
    shared = set()
    for name, file in MODULES.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        shared |= {(name, node.name) for node in ast.parse(file.read_text("utf-8")).body
                   if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and f"{package}.{node.name}" in MODULES}
    assert shared - {("minigrad.__main__", "kernels")} == PUBLIC


def level(name):
    """The number of the part that a module belongs to, or None for those outside the order."""
    part = name.split(".")[1] if "." in name else ""
    return next((i for i, parts in enumerate(PARTS) if part in parts), None)


def upwards():
    """Imports, at the top of a module, of a part that is higher than its own."""
    return {(name.removeprefix("minigrad."), target.removeprefix("minigrad."))
            for name, targets in graph(MODULES, functions=False).items() for target in targets
            if None not in (level(name), level(target)) and level(target) > level(name)}


def test_imports_point_one_way():
    assert upwards() == set()


@pytest.mark.parametrize(("sources", "expected"), [
    ({"a": "import b", "b": "def f():\n    import a"}, ["a", "b"]),
    ({"a": "from b import x", "b": "from c import y", "c": "import a"}, ["a", "b", "c"]),
    ({"a": "import b\nimport c", "b": "import c", "c": ""}, None),
])
def test_the_search_for_circles_itself(sources, expected):
    imports = {name: {target for target, _ in edges(name, source, sources)} for name, source in sources.items()}
    assert circle(imports) == expected
