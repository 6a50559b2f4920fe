"""Data read from JSON, checked against declared types: an error names the place, the value and what was expected."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

SHOWN = 60  # characters of a value in a message
NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def checked(value: Any, kind: Any, place: str) -> Any:
    """`value` as `kind`; ValueError names `place`, such as "runs/full/run.json: epochs", where it is of another type.

    Args:
        value: What `json.loads` gave.
        kind: int, float, str, bool, None, Any, a union, list[...], tuple[...], dict[str, ...], or a dataclass of these. JSON
            lists become tuples where a tuple is declared. NaN and infinity are no numbers.
        place: The file, and the keys that lead to the value.
    """
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _fields(value, kind, place)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, place)
    if origin is dict and isinstance(value, dict):
        return {checked(key, str, place): checked(one, arguments[1], f"{place}: {key}") for key, one in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        return _sequence(value, origin, arguments, place)
    if origin is None and _is(value, kind):
        return float(value) if kind is float else value
    raise _unexpected(value, kind, place)


def checked_entry(data: Mapping[str, Any], key: str, kind: Any, place: str) -> Any:
    """The entry `key` of `data` as `kind`; ValueError where it is missing or of another type."""
    if key not in data:
        raise ValueError(f"{place}: {key} is missing, expected {_named(kind)}")
    return checked(data[key], kind, f"{place}: {key}")


def _fields(value: Any, kind: Any, place: str) -> Any:
    """The dataclass `kind` of a JSON object with its fields, those with a default may be missing."""
    entries = checked(value, dict[str, Any], place)
    hints = typing.get_type_hints(kind)
    unknown = entries.keys() - hints.keys()
    if unknown:
        raise ValueError(f"{place}: unknown entry {min(unknown)!r:.{SHOWN}}; expected {', '.join(hints)}")
    required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]
    names = [name for name in hints if name in entries or name in required]
    values = {name: checked_entry(entries, name, hints[name], place) for name in names}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _one_of(value: Any, kinds: tuple[Any, ...], place: str) -> Any:
    """`value` as the first of `kinds` that it is of; the error is the last one's where there is only one besides null."""
    others = [kind for kind in kinds if kind is not type(None)]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) == 1:
        return checked(value, others[0], place)
    for kind in others:
        try:
            return checked(value, kind, place)
        except ValueError:
            continue
    raise _unexpected(value, typing.Union[kinds], place)  # noqa: UP007  made of a tuple


def _sequence(values: list[Any], origin: Any, arguments: tuple[Any, ...], place: str) -> Any:
    kinds = list(arguments) if origin is tuple and ... not in arguments else [arguments[0]] * len(values)
    if len(kinds) != len(values):
        raise ValueError(f"{place} must have {len(kinds)} entries, got {values!r:.{SHOWN}}")
    return origin(checked(one, kind, f"{place}[{index}]") for index, (one, kind) in enumerate(zip(values, kinds, strict=True)))


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _unexpected(value: Any, kind: Any, place: str) -> ValueError:
    return ValueError(f"{place} must be {_named(kind)}, got {value!r:.{SHOWN}}")


def _named(kind: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_named, arguments))
    if origin in (list, tuple):
        return "a list"
    return "an object" if origin is dict or dataclasses.is_dataclass(kind) else NAMES.get(kind, str(kind))
