"""JSON of another type than declared is refused, with its place and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from mobile_eval.typed import checked, checked_entry


@dataclass(frozen=True)
class Stage:
    modules: int
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.modules < 1:
            raise ValueError(f"at least one module, got {self.modules}")


@dataclass(frozen=True)
class Spec:
    name: str
    size: tuple[int, int]
    stages: tuple[Stage, ...]
    scale: float | None = None


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, float, 3.0),
        (None, int | None, None),
        ([1, 2], tuple[int, int], (1, 2)),
        ({"a": [1.5]}, dict[str, list[float]], {"a": [1.5]}),
        ("x", str | int, "x"),
        ({"name": "n", "size": [1, 2], "stages": [{"modules": 1}]}, Spec, Spec("n", (1, 2), (Stage(1),))),
    ],
)
def test_what_is_as_declared(value: Any, kind: Any, expected: Any) -> None:
    assert checked(value, kind, "f") == expected


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "f must be a whole number, got True"),
        (1.0, int, "f must be a whole number, got 1.0"),
        (float("nan"), float, "f must be a number, got nan"),
        (10**400, float, "f must be a number, got 1000"),
        (1, bool, "f must be true or false, got 1"),
        ("12", list[int], "f must be a list, got '12'"),
        ([1, "2"], list[int], r"f\[1\] must be a whole number, got '2'"),
        ([1], tuple[int, int], r"f must have 2 entries, got \[1\]"),
        ({"a": None}, dict[str, float], "f: a must be a number, got None"),
        (None, int | str, "f must be a whole number or a text, got None"),
        ("x" * 500, int, r"f must be a whole number, got 'x+\.\.\.x+'$"),
        ([], Spec, "f must be an object, got "),
        ({"name": "n", "size": [1, 2]}, Spec, "f: stages is missing, expected a list"),
        ({"name": "n", "size": [1, 2], "stages": [], "width": 3}, Spec, "f: unknown entry 'width'; expected name, size, sta"),
        ({"name": "n", "size": [1, 2], "stages": [{"modules": 0}]}, Spec, r"f: stages\[0\]: at least one module, got 0"),
    ],
)  # fmt: skip
def test_what_is_not(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(value, kind, "f")


def test_an_entry_that_is_missing() -> None:
    with pytest.raises(ValueError, match="f: a is missing, expected a text or null"):
        checked_entry({}, "a", str | None, "f")
