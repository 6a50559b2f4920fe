"""The imports of the source equal the dependencies that setup.py declares."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import setuptools

from mobile_eval.android.evaluate import REQUIREMENTS

ROOT = Path(__file__).parents[1]
# Extras that a package may import from, besides the base dependencies.
EXTRAS = {
    "mobile_eval": {"device", "tflite-runtime", "pandas"},
    "hrnet_tf": {"train", "keras3", "torch", "slurm"},
    "training": {"train", "detection", "tfds"},
    "conversion": {"train", "ethosu", "snapdragon", "micro", "openvino"},
}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "google": "protobuf", "yaml": "pyyaml"}
# Imports of training that need TensorFlow.
NEEDS_TENSORFLOW = {"tensorflow", "tf-keras", "tensorflow-model-optimization", "tensorflow-datasets", "keras-cv", "protobuf"}
SEPARATE_ENVIRONMENTS = ("google_readers", "engine_jobs")  # programs that tests run in separate environments
# Dependencies without an import statement, and their reason.
NOT_IMPORTED = {
    "setuptools": "tensorflow-model-optimization imports its distutils",
    "tensorboard": "the TensorBoard callback of Keras needs it",
    "jax": "Keras 3 imports it",
    "tflite-runtime": "mobile_eval.runtime.interpreter imports it by name",
    "ray": "hrnet_tf.workflows.engines imports it by name",
    "submitit": "hrnet_tf.workflows.engines imports it by name",
    "ethos-u-vela": "conversion.targets.ethosu runs it as a command",
    "onnxruntime-qnn": "conversion.targets.snapdragon takes its libraries",
    "pytest-xdist": "options of pytest",
    "ipykernel": "nbclient runs notebooks in it",
    "ruff": "a command",
    "mypy": "a command",
    "mkdocs": "a command",
    "mkdocs-material": "mkdocs.yml names its theme",
    "mkdocstrings[python]": "mkdocs.yml names its plugin",
}


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """Distributions that setup.py declares by extra. Those without an extra are under ""."""
    arguments: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", arguments.update)
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    requirements = {"": arguments["install_requires"], **arguments["extras_require"]}
    return {
        extra: {normal(re.split(r"[<>=;! ]", line, maxsplit=1)[0]) for line in lines} for extra, lines in requirements.items()
    }


def normal(name: str) -> str:
    """The name of a distribution or module as package indexes spell it."""
    return name.lower().replace("_", "-")


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those under `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield from statements(child)


def third_party(folder: str) -> dict[str, set[str]]:
    """Distributions that files of a folder import, in functions too, and the files."""
    importers: dict[str, set[str]] = {}
    local = {*EXTRAS, "tests", "tools", *sys.stdlib_module_names}
    for path in (ROOT / folder).rglob("*.py"):
        if path.parent.name in SEPARATE_ENVIRONMENTS:
            continue
        for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - local:
                importers.setdefault(DISTRIBUTIONS.get(name, normal(name)), set()).add(str(path.relative_to(ROOT)))
    return importers


def undeclared(folder: str, allowed: set[str]) -> dict[str, set[str]]:
    return {name: files for name, files in third_party(folder).items() if name not in allowed}


@pytest.mark.slow
@pytest.mark.parametrize("package", EXTRAS)
def test_packages_import_declared_dependencies(package: str, declared: dict[str, set[str]]) -> None:
    assert undeclared(package, declared[""].union(*(declared[extra] for extra in EXTRAS[package]))) == {}


def test_keras_3_needs_only_its_extra(declared: dict[str, set[str]]) -> None:
    assert set(third_party("training")) - NEEDS_TENSORFLOW <= declared[""] | declared["keras3"]
    assert declared["keras3"] <= declared["jax"]


def test_tests_import_declared_dependencies(declared: dict[str, set[str]]) -> None:
    assert undeclared("tests", declared[""] | declared["train"] | declared["dev"]) == {}


@pytest.mark.slow
def test_declared_dependencies_are_used(declared: dict[str, set[str]]) -> None:
    used = set(NOT_IMPORTED).union(*(third_party(folder) for folder in (*EXTRAS, "tests")))
    assert set().union(*declared.values()) - used == set()
    for extra, package in (("device", "mobile_eval"), ("detection", "training"), ("tfds", "training"), ("torch", "hrnet_tf")):
        assert declared[extra] - declared[""] - set(NOT_IMPORTED) <= set(third_party(package))


def test_requirements_on_android_are_the_base_dependencies(declared: dict[str, set[str]]) -> None:
    modules = REQUIREMENTS.removeprefix("import ").split(", ")
    assert {DISTRIBUTIONS.get(name, normal(name)) for name in modules} == declared[""]


def test_extra_all_contains_all_compatible_extras(declared: dict[str, set[str]]) -> None:
    extras = ("train", "detection", "jax", "torch", "ethosu", "tfds", "pandas", "slurm", "ray")
    assert declared["all"] == set().union(*(declared[extra] for extra in extras))
