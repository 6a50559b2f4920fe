"""Rules of imports and sizes, checked on the source."""

import ast
import graphlib
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hrnet_tf", "training", "conversion", "mobile_eval")
MAY_IMPORT = {
    "hrnet_tf": {"hrnet_tf", "mobile_eval"},  # of mobile_eval only LENT
    "mobile_eval": {"mobile_eval"},
    "training": {"training", "hrnet_tf", "mobile_eval"},
    "conversion": {"conversion", "hrnet_tf", "mobile_eval"},
}
LENT = {
    "mobile_eval.cli.completion",
    "mobile_eval.cli.help",
    "mobile_eval.errors",
    "mobile_eval.files",
    "mobile_eval.options",
    "mobile_eval.report.arms",
    "mobile_eval.tables",
    "mobile_eval.tasks.detection.constants",
    "mobile_eval.typed",
    "mobile_eval.viz.link_diagram",
}  # modules of mobile_eval that every package may use
LIGHT = {("cli", name) for name in ("app.py", "checkpoints.py", "options.py", "evaluate.py")}
MOUNTS_ALL = Path("hrnet_tf/__main__.py")
# The names that users type, imported when they are first used: these files may name all packages.
PUBLIC = {Path(f"hrnet_tf/{name}.py") for name in ("__init__", "losses")}
API = Path("hrnet_tf/api")
CHOOSES_KERAS = Path("hrnet_tf/backend/keras_module.py")
SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imported(nodes: list[ast.AST]) -> set[str]:
    """Top-level names of imports. Relative imports stay in their package and are not listed."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def imports(path: Path) -> set[str]:
    """Top-level names of all imports of a file, in functions too."""
    return imported(list(ast.walk(tree(path))))


def imports_at_load(path: Path) -> set[str]:
    """Top-level names of the imports that run when the file is imported."""
    return imported(nodes_at_load(path))


def package_modules(path: Path) -> set[Path]:
    """The files of the same package that are loaded with the file, directly or not."""
    froms = [node for node in nodes_at_load(path) if isinstance(node, ast.ImportFrom) and node.module]
    names = {node.module or "" for node in froms} | {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
    paths = {Path(*name.split(".")).with_suffix(".py") for name in names if name.split(".")[0] == path.parts[0]}
    files = {file for file in paths if (ROOT / file).is_file()}
    return files.union(*map(package_modules, files))


def nodes_at_load(path: Path) -> list[ast.AST]:
    """Syntax nodes that run when the file is imported: all except bodies of functions and of `if TYPE_CHECKING`."""
    nodes: list[ast.AST] = []
    pending: list[ast.AST] = [tree(path)]
    while pending:
        node = pending.pop()
        nodes.append(node)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not typing_only:
            pending += ast.iter_child_nodes(node)
    return nodes


def test_every_package_has_files() -> None:
    assert {path.parts[0] for path in SOURCES} == set(PACKAGES)
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_package_imports_only_allowed_packages(path: Path) -> None:
    if path == MOUNTS_ALL or path in PUBLIC or path.parent == API:
        return
    unwanted = (imports(path) & {*PACKAGES, "tests", "benchmarks"}) - MAY_IMPORT[path.parts[0]]
    assert unwanted == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parts[0] == "hrnet_tf"], ids=str)
def test_hrnet_tf_imports_only_light_modules_of_mobile_eval(path: Path) -> None:
    if path == MOUNTS_ALL or path in PUBLIC or path.parent == API:
        return
    froms = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
    assert {node.module for node in froms if (node.module or "").split(".")[0] == "mobile_eval"} <= LENT


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "cli.py" or path.parts[1:] in LIGHT] + [MOUNTS_ALL], ids=str
)
def test_command_line_loads_no_heavy_packages(path: Path) -> None:
    parts = set() if path == MOUNTS_ALL else package_modules(path)  # long commands have separate files
    loaded = set().union(*map(imports_at_load, {path, *parts})) - set(sys.stdlib_module_names)
    assert loaded <= {"typer", "mobile_eval", *(PACKAGES if path == MOUNTS_ALL else path.parts[:1])}
    if path.parts[0] not in ("mobile_eval", *MOUNTS_ALL.parts[:1]):
        froms = [node for node in nodes_at_load(path) if isinstance(node, ast.ImportFrom) and node.module]
        assert {node.module for node in froms if (node.module or "").startswith("mobile_eval")} <= {
            "mobile_eval.cli.completion",
            "mobile_eval.cli.declared",
            "mobile_eval.cli.help",
            "mobile_eval.cli.options",
            "mobile_eval.datasets.base",
            "mobile_eval.errors",
            "mobile_eval.options",
        }


def test_no_import_cycle() -> None:
    """Imports in functions count too."""
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
    graph = {}
    for name, path in modules.items():
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
        targets = {node.module for node in nodes} | {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        graph[name] = (targets & set(modules)) - {name}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_keras_is_imported_in_one_place(path: Path) -> None:
    if path != CHOOSES_KERAS:
        assert imports(path) & {"keras", "tf_keras"} == set()


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_have_a_subject(path: Path) -> None:
    assert path.name not in ("utils.py", "util.py", "helpers.py", "misc.py", "common.py")
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 500


def test_folders_are_small() -> None:
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    files = Counter(path.parent for path in [*SOURCES, *tests] if path.name != "__init__.py")
    assert {folder: count for folder, count in files.items() if count > 14} == {}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_functions_validate_and_have_no_mutable_defaults(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: bad input is an HRNetError, not an assert"
        if isinstance(node, ast.FunctionDef):
            defaults = [*node.args.defaults, *(default for default in node.args.kw_defaults if default is not None)]
            assert not any(isinstance(default, ast.List | ast.Dict | ast.Set) for default in defaults), node.name


def test_functions_fit_on_a_screen() -> None:
    """Docstrings aside; the exceptions are commands that declare many options."""
    lengths = {f"{path}: {node.name}": code_lines(node) for path in SOURCES for node in functions(path)}
    longer = {name: lines for name, lines in lengths.items() if lines > 40}
    assert len(longer) < 10, longer
    assert max(longer.values(), default=0) <= 80, longer


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]


def code_lines(node: ast.FunctionDef) -> int:
    """The lines of a function without its docstring."""
    first, last = node.body[0], node.end_lineno or 0
    docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) else 0
    return last - node.lineno + 1 - docstring


def test_types_are_named() -> None:
    """`Any` is for what has no type: objects of either Keras (`hrnet_tf.backend.types`), and JSON before its validation."""
    names = [node for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.Name) and node.id == "Any"]
    assert len(names) < 250


def test_names_are_terms_of_the_field() -> None:
    """CONTRIBUTING, Language: names of things that have a name."""
    vague = {
        "found",
        "own",
        "one",
        "whole",
        "much",
        "said",
        "told",
        "wanted",
        "asked",
        "given",
        "held",
        "answers",
        "learner",
        "maker",
    }
    names = [(path, node.id) for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.Name)]
    names += [(path, argument.arg) for path in SOURCES for node in functions(path) for argument in node.args.args]
    assert {(str(path), name) for path, name in names if name in vague} == set()
