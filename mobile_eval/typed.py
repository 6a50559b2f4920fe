"""Data read from JSON, checked against declared types: an error names the place, the value and what was expected."""

from __future__ import annotations

import dataclasses
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from mobile_eval.errors import HRNetError

Json: TypeAlias = Any  # what `json.loads` returns, or what `json.dumps` takes
JsonObject: TypeAlias = dict[str, Json]
Size: TypeAlias = tuple[int, int]  # (height, width) in pixels

SHOWN = 60  # characters of a value in a message
NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}
INT64 = range(-(2**63), 2**63)

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, SHOWN, SHOWN, SHOWN


def brief(value: Any) -> str:
    """The value for a message: its `repr`, shortened where it is long or deep."""
    text = _SHORT.repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def checked(value: Any, kind: Any, place: str, *, extra: bool = False) -> Any:
    """`value` as `kind`; HRNetError names `place`, such as "runs/full/run.json: epochs", where it is of another type.

    Args:
        value: What `json.loads` gave.
        kind: int, float, str, bool, None, Any, a union, Literal, list[...], tuple[...], dict[str, ...], or a dataclass of these.
            JSON lists become tuples where a tuple is declared. NaN and infinity are no numbers, whole numbers have 64 bits, texts
            can be encoded. An instance of a dataclass is taken as it is.
        place: The file, and the keys that lead to the value.
        extra: Whether objects may have entries that a dataclass does not have; they are ignored.
    """
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, typing.cast(type, kind)) else _fields(value, kind, place, extra)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal and any(value == choice and type(value) is type(choice) for choice in arguments):
        return value
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, place, extra)
    if origin is dict and isinstance(value, dict):
        entries = {checked(key, str, place): entry for key, entry in value.items()}
        return {key: checked(entry, arguments[1], f"{place}: {key}", extra=extra) for key, entry in entries.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return _sequence(value, origin, arguments, place, extra)
    if origin is None and _is(value, kind):
        return float(value) if kind is float else value
    raise _unexpected(value, kind, place)


def checked_entry(data: Mapping[str, Any], key: str, kind: Any, place: str, *, extra: bool = False) -> Any:
    """The entry `key` of `data` as `kind`; HRNetError where it is missing or of another type."""
    if key not in data:
        raise HRNetError(f"{place}: {key} is missing, expected {_named(kind)}")
    return checked(data[key], kind, f"{place}: {key}", extra=extra)


def _fields(value: Any, kind: Any, place: str, extra: bool) -> Any:
    """The dataclass `kind` of a JSON object with its fields, those with a default may be missing."""
    entries = checked(value, dict[str, Any], place)
    hints = _hints(kind)
    unknown = entries.keys() - hints.keys()
    if unknown and not extra:
        raise HRNetError(f"{place}: unknown entry {brief(min(unknown))}; expected {', '.join(hints)}")
    required = [field.name for field in dataclasses.fields(kind) if _is_required(field)]
    names = [name for name in hints if name in entries or name in required]
    values = {name: checked_entry(entries, name, hints[name], place, extra=extra) for name in names}
    try:
        return kind(**values)
    except HRNetError as error:
        raise HRNetError(f"{place}: {error}") from error


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _one_of(value: Any, kinds: tuple[Any, ...], place: str, extra: bool) -> Any:
    """`value` as the first of `kinds` that it is of; the error is the last one's where there is only one besides null."""
    others = [kind for kind in kinds if kind is not type(None)]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) == 1:
        return checked(value, others[0], place, extra=extra)
    for kind in others:
        try:
            return checked(value, kind, place, extra=extra)
        except HRNetError:
            continue
    raise _unexpected(value, typing.Union[kinds], place)  # noqa: UP007  made of a tuple


def _sequence(values: Any, origin: Any, arguments: tuple[Any, ...], place: str, extra: bool) -> Any:
    kinds = list(arguments) if origin is tuple and ... not in arguments else [arguments[0]] * len(values)
    if len(kinds) != len(values):
        raise HRNetError(f"{place} must have {len(kinds)} entries, got {brief(values)}")
    return origin(
        checked(entry, kind, f"{place}[{index}]", extra=extra)
        for index, (entry, kind) in enumerate(zip(values, kinds, strict=True))
    )


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value in INT64
    return isinstance(value, kind) and (kind is not str or _can_be_encoded(value))


def _can_be_encoded(text: str) -> bool:
    """Whether it can be written to a file: JSON can hold halves of characters, such as "\\ud800"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unexpected(value: Any, kind: Any, place: str) -> HRNetError:
    return HRNetError(f"{place} must be {_named(kind)}, got {brief(value)}")


def _named(kind: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_named, arguments))
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (list, tuple):
        return "a list"
    return "an object" if origin is dict or dataclasses.is_dataclass(kind) else NAMES.get(kind, str(kind))
