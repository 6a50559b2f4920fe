"""JSON as declared types: errors name the place of the invalid value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mobile_eval.errors import HRNetError
from mobile_eval.files import numbered_rows, parse_json, read_json
from mobile_eval.typed import MAX_LENGTH, brief, checked, checked_entry


@dataclass(frozen=True)
class Part:
    name: str
    ms: float
    count: int = 0

    def __post_init__(self) -> None:
        if self.ms < 0:
            raise HRNetError(f"ms must be at least 0, got {self.ms}")


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    size: tuple[int, int]
    labels: dict[str, float | None]
    note: str | float | None = None
    free: Any = None


SOUND: dict[str, Any] = {"parts": [{"name": "stem", "ms": 1}], "size": [64, 48], "labels": {"a": None, "b": 2}}


def test_lists_become_tuples_and_integers_become_floats() -> None:
    value = checked(SOUND, Whole, "w.json")
    assert value == Whole((Part("stem", 1.0),), (64, 48), {"a": None, "b": 2.0})
    assert type(value.parts[0].ms) is float
    assert checked({**SOUND, "note": 3}, Whole, "w.json").note == 3.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [64]}, "w.json: size must have 2 entries, got [64]"),
        ({"size": [64, 48.0]}, "w.json: size[1] must be a whole number, got 48.0"),
        ({"size": [64, True]}, "w.json: size[1] must be a whole number, got True"),
        ({"size": [64, 2**63]}, "w.json: size[1] must be a whole number"),
        ({"parts": "stem"}, "w.json: parts must be a list, got 'stem'"),
        ({"parts": [7]}, "w.json: parts[0] must be an object, got 7"),
        ({"parts": [{"name": "stem"}]}, "w.json: parts[0]: ms is missing, expected a number"),
        ({"parts": [{"name": "stem", "ms": math.nan}]}, "w.json: parts[0]: ms must be a number, got nan"),
        ({"parts": [{"name": "stem", "ms": 10**400}]}, "w.json: parts[0]: ms must be a number, got 1000"),
        ({"parts": [{"name": "stem", "ms": -1}]}, "w.json: parts[0]: ms must be at least 0, got -1.0"),
        ({"parts": [{"name": "\ud800", "ms": 1}]}, r"w.json: parts[0]: name must be a string, got '\ud800'"),
        ({"parts": [{"name": "stem", "ms": 1, "more": 1}]}, "w.json: parts[0]: unknown entry 'more'"),
        ({"labels": {"a": "x"}}, "w.json: labels: a must be a number, got 'x'"),
        ({"note": []}, "w.json: note must be a string or a number or null, got []"),
    ],
)
def test_invalid_entries_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(HRNetError) as caught:
        checked({**SOUND, **change}, Whole, "w.json")
    assert str(caught.value).startswith(message)


def test_unknown_entries_can_be_ignored() -> None:
    assert checked({**SOUND, "more": 1}, Whole, "w.json", extra=True) == checked(SOUND, Whole, "w.json")


def test_values_in_messages_are_short() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    for value in (deep, "x" * 10_000, list(range(10_000)), {str(number): number for number in range(1000)}):
        assert len(brief(value)) <= MAX_LENGTH + len("...")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", " \n", "{", "nul", "1" * 5000, "[1, 2"])
def test_invalid_json_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(HRNetError, match=rf"^thing {path} is (empty|not JSON)") as caught:
        read_json(path, "thing")
    assert "\n" not in str(caught.value)
    assert parse_json(json.dumps(SOUND), "text") == SOUND


def test_csv_fields_that_are_too_long() -> None:
    assert list(numbered_rows("a,b\n\n1,2\n", "t.csv")) == [(1, ["a", "b"]), (3, ["1", "2"])]
    with pytest.raises(HRNetError, match=r"^t\.csv, line 2, is not CSV: field larger than field limit"):
        list(numbered_rows(f"a,b\n1,{'2' * 200_000}\n", "t.csv"))


@dataclass(frozen=True)
class Stage:
    modules: int
    blocks: int = 4

    def __post_init__(self) -> None:
        if self.modules < 1:
            raise HRNetError(f"at least one module, got {self.modules}")


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
def test_valid_values(value: Any, kind: Any, expected: Any) -> None:
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
        (None, int | str, "f must be a whole number or a string, got None"),
        ("x" * 500, int, r"f must be a whole number, got 'x+\.\.\.x+'$"),
        ([], Spec, "f must be an object, got "),
        ({"name": "n", "size": [1, 2]}, Spec, "f: stages is missing, expected a list"),
        ({"name": "n", "size": [1, 2], "stages": [], "width": 3}, Spec, "f: unknown entry 'width'; expected name, size, sta"),
        ({"name": "n", "size": [1, 2], "stages": [{"modules": 0}]}, Spec, r"f: stages\[0\]: at least one module, got 0"),
    ],
)  # fmt: skip
def test_invalid_values(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        checked(value, kind, "f")


def test_missing_entry() -> None:
    with pytest.raises(HRNetError, match="f: a is missing, expected a string or null"):
        checked_entry({}, "a", str | None, "f")
