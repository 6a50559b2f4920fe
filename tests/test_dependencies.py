"""What the source imports is what setup.py declares: for each package its own extras, and nothing that is not used."""

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
    "mobile_eval": {"device", "tflite-runtime"},
    "hrnet_tf": {"train", "keras3", "torch"},
    "training": {"train", "detection", "tfds"},
    "conversion": {"train", "ethosu"},
}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "google": "protobuf", "yaml": "pyyaml"}
# Of what training imports, what is made of TensorFlow.
OF_TENSORFLOW = {"tensorflow", "tf-keras", "tensorflow-model-optimization", "tensorflow-datasets", "keras-cv", "protobuf"}
OWN_ENVIRONMENTS = ("google_readers",)  # programs that tests run in environments of their own
# Declared for another reason than an import statement.
NOT_IMPORTED = {
    "setuptools": "tensorflow-model-optimization imports its distutils",
    "tensorboard": "Keras's callback writes with it",
    "jax": "Keras 3 imports it",
    "tflite-runtime": "mobile_eval.runtime.interpreter imports it by name",
    "ethos-u-vela": "conversion.targets.ethosu runs it as a command",
    "pytest-xdist": "options of pytest",
    "ruff": "a command",
    "mypy": "a command",
    "mkdocs": "a command",
    "mkdocs-material": "mkdocs.yml names its theme",
    "mkdocstrings[python]": "mkdocs.yml names its plugin",
}


@pytest.fixture(scope="module")
def declared() -> dict[str, set[str]]:
    """The distributions that setup.py declares, by extra; the base ones under ""."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", found.update)
        patch.chdir(ROOT)
        runpy.run_path("setup.py")
    listed = {"": found["install_requires"], **found["extras_require"]}
    return {extra: {normal(re.split(r"[<>=;! ]", line, maxsplit=1)[0]) for line in lines} for extra, lines in listed.items()}


def normal(name: str) -> str:
    """The name of a distribution or module as package indexes spell it."""
    return name.lower().replace("_", "-")


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield from statements(child)


def third_party(folder: str) -> dict[str, set[str]]:
    """The distributions that the files of a folder import, at the top or in functions, and which files do."""
    found: dict[str, set[str]] = {}
    here = {*EXTRAS, "tests", *sys.stdlib_module_names}
    for path in (ROOT / folder).rglob("*.py"):
        if path.parent.name in OWN_ENVIRONMENTS:
            continue
        for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - here:
                found.setdefault(DISTRIBUTIONS.get(name, normal(name)), set()).add(str(path.relative_to(ROOT)))
    return found


def undeclared(folder: str, allowed: set[str]) -> dict[str, set[str]]:
    return {name: files for name, files in third_party(folder).items() if name not in allowed}


@pytest.mark.parametrize("package", EXTRAS)
def test_a_package_imports_what_is_declared_for_it(package: str, declared: dict[str, set[str]]) -> None:
    assert undeclared(package, declared[""].union(*(declared[extra] for extra in EXTRAS[package]))) == {}


def test_keras_3_needs_no_more_than_its_extra(declared: dict[str, set[str]]) -> None:
    assert set(third_party("training")) - OF_TENSORFLOW <= declared[""] | declared["keras3"]
    assert declared["keras3"] <= declared["jax"]


def test_the_tests_import_what_is_declared_for_them(declared: dict[str, set[str]]) -> None:
    assert undeclared("tests", declared[""] | declared["train"] | declared["dev"]) == {}


def test_nothing_is_declared_that_is_not_used(declared: dict[str, set[str]]) -> None:
    used = set(NOT_IMPORTED).union(*(third_party(folder) for folder in (*EXTRAS, "tests")))
    assert set().union(*declared.values()) - used == set()
    for extra, package in (("device", "mobile_eval"), ("detection", "training"), ("tfds", "training"), ("torch", "hrnet_tf")):
        assert declared[extra] - declared[""] - set(NOT_IMPORTED) <= set(third_party(package))


def test_what_a_phone_is_asked_for_is_the_base(declared: dict[str, set[str]]) -> None:
    asked = REQUIREMENTS.removeprefix("import ").split(", ")
    assert {DISTRIBUTIONS.get(name, normal(name)) for name in asked} == declared[""]


def test_the_extra_all_holds_every_other_that_goes_with_it(declared: dict[str, set[str]]) -> None:
    extras = ("train", "detection", "jax", "torch", "ethosu", "tfds")
    assert declared["all"] == set().union(*(declared[extra] for extra in extras))
