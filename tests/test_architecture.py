"""The house's rules of import, read from the source."""

import ast
import graphlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("hrnet_tf", "training", "conversion", "mobile_eval")
MAY_IMPORT = {
    "hrnet_tf": {"hrnet_tf", "mobile_eval"},  # of mobile_eval, LENT alone
    "mobile_eval": {"mobile_eval"},
    "training": {"training", "hrnet_tf", "mobile_eval"},
    "conversion": {"conversion", "hrnet_tf", "mobile_eval"},
}
LENT = {
    "mobile_eval.errors",
    "mobile_eval.files",
    "mobile_eval.tasks.detection.constants",
    "mobile_eval.typed",
}  # what every package uses of the device part
LIGHT = {("cli", name) for name in ("app.py", "checkpoints.py", "options.py", "evaluate.py")}
MOUNTS_ALL = Path("hrnet_tf/__main__.py")
# Keras hands a layer's name and dtype to its __init__ as keyword arguments; these methods take what those of either Keras take.
NAMED_ELSEWHERE = {(Path("hrnet_tf/models/functional.py"), name) for name in ("compile", "fit")}  # by Keras
NAMED_ELSEWHERE |= {(Path("training/config.py"), "replace")}  # by the parts of a config
NAMED_ELSEWHERE |= {(Path("mobile_eval/cli/declared.py"), "run")}  # by the dataclasses that declare options
CHOOSES_KERAS = Path("hrnet_tf/backend/keras_module.py")
SOURCES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def imported(nodes: list[ast.AST]) -> set[str]:
    """Top-level names of what is imported; a relative import is its own package's."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def imports(path: Path) -> set[str]:
    """Everything that a file imports, in functions too."""
    return imported(list(ast.walk(tree(path))))


def loaded_at_once(path: Path) -> set[str]:
    """Top-level names of what importing the file imports."""
    return imported(run_at_once(path))


def own_modules(path: Path) -> set[Path]:
    """The files of its own package that importing the file imports, and what importing these imports of it."""
    found = [(node.module, node.names) for node in run_at_once(path) if isinstance(node, ast.ImportFrom) and node.module]
    names = {module for module, _ in found} | {f"{module}.{one.name}" for module, ones in found for one in ones}
    own = {Path(*name.split(".")).with_suffix(".py") for name in names if name.split(".")[0] == path.parts[0]}
    files = {file for file in own if (ROOT / file).is_file()}
    return files.union(*map(own_modules, files))


def run_at_once(path: Path) -> list[ast.AST]:
    """What of the file runs when it is imported: all but the insides of functions and of `if TYPE_CHECKING`."""
    nodes: list[ast.AST] = []
    left: list[ast.AST] = [tree(path)]
    while left:
        node = left.pop()
        nodes.append(node)
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not typing_only:
            left += ast.iter_child_nodes(node)
    return nodes


def test_every_package_has_files() -> None:
    assert {path.parts[0] for path in SOURCES} == set(PACKAGES)
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_package_imports_only_what_it_may(path: Path) -> None:
    if path == MOUNTS_ALL:
        return
    unwanted = (imports(path) & {*PACKAGES, "tests", "benchmarks"}) - MAY_IMPORT[path.parts[0]]
    assert unwanted == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parts[0] == "hrnet_tf"], ids=str)
def test_the_networks_take_only_files_from_the_device_part(path: Path) -> None:
    if path == MOUNTS_ALL:
        return
    froms = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
    assert {node.module for node in froms if (node.module or "").split(".")[0] == "mobile_eval"} <= LENT


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.name == "cli.py" or path.parts[1:] in LIGHT] + [MOUNTS_ALL], ids=str
)
def test_a_command_line_starts_light(path: Path) -> None:
    parts = set() if path == MOUNTS_ALL else own_modules(path)  # a long command has a file of its own
    loaded = set().union(*map(loaded_at_once, {path, *parts})) - set(sys.stdlib_module_names)
    assert loaded <= {"typer", "mobile_eval", *(PACKAGES if path == MOUNTS_ALL else path.parts[:1])}
    if path.parts[0] not in ("mobile_eval", *MOUNTS_ALL.parts[:1]):
        froms = [node for node in run_at_once(path) if isinstance(node, ast.ImportFrom) and node.module]
        assert {node.module for node in froms if (node.module or "").startswith("mobile_eval")} <= {
            "mobile_eval.cli.declared",
            "mobile_eval.cli.options",
            "mobile_eval.datasets.base",
            "mobile_eval.errors",
            "mobile_eval.options",
        }


def test_no_import_cycle() -> None:
    """In functions either: a cycle there is a cycle of subjects."""
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
    graph = {}
    for name, path in modules.items():
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
        targets = {node.module for node in nodes} | {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        graph[name] = (targets & set(modules)) - {name}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(modules)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_keras_is_chosen_in_one_place(path: Path) -> None:
    if path != CHOOSES_KERAS:
        assert imports(path) & {"keras", "tf_keras"} == set()


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_are_named_for_what_they_hold_and_read_in_one_sitting(path: Path) -> None:
    assert path.name not in ("utils.py", "util.py", "helpers.py", "misc.py", "common.py")
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_functions_fit_a_screen_and_hide_nothing(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: bad input is an HRNetError, not an assert"
        if not isinstance(node, ast.FunctionDef):
            continue
        assert (node.end_lineno or 0) - node.body[0].lineno < 60, f"{node.name} is longer than a screen"  # options aside
        assert node.args.kwarg is None or node.name == "__init__" or (path, node.name) in NAMED_ELSEWHERE, (
            f"{node.name} hands on keyword arguments"
        )
        defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        assert not any(isinstance(d, ast.List | ast.Dict | ast.Set) for d in defaults), f"{node.name} has a mutable default"
