"""Validation of JSON against declared types: an error names the place, the value and what was expected."""

from __future__ import annotations

import dataclasses
import reprlib
import sys
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar, overload

from mobile_eval.errors import HRNetError

Json: TypeAlias = Any  # what `json.loads` returns, or what `json.dumps` takes
JsonObject: TypeAlias = dict[str, Json]
Kind: TypeAlias = Any  # a declared type, such as int, list[str], float | None, or a dataclass
Checked = TypeVar("Checked")
Size: TypeAlias = tuple[int, int]  # (height, width) in pixels

MAX_LENGTH = 60  # characters of a value in a message
NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false", type(None): "null"}
INT64 = range(-(2**63), 2**63)

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, MAX_LENGTH, MAX_LENGTH, MAX_LENGTH


def brief(value: object) -> str:
    """Return the `repr` of a value for a message, shortened if it is long or deep."""
    text = _SHORT.repr(value)
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


@overload
def checked(value: Json, kind: type[Checked], place: str, *, extra: bool = False) -> Checked: ...
@overload
def checked(value: Json, kind: Kind, place: str, *, extra: bool = False) -> Json: ...


def checked(value: Json, kind: Kind, place: str, *, extra: bool = False) -> Json:
    """Check a value from JSON, and convert it to its declared type.

    JSON lists become tuples, and whole numbers floats, where these are declared. NaN and infinity are not numbers, whole numbers
    must fit into 64 bits, and strings must be encodable as UTF-8.

    Args:
        value: The value, as `json.loads` returns it. An instance of a dataclass is returned unchanged.
        kind: int, float, str, bool, None, Any, a union, Literal, list[...], tuple[...], dict[str, ...], or a dataclass of these.
        place: The file and the keys that lead to the value, such as "runs/full/run.json: epochs".
        extra: Ignore entries of objects that the dataclass does not have, or else refuse them.

    Returns:
        The value as `kind`.

    Raises:
        HRNetError: The value has another type; the message begins with `place`.
    """
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, typing.cast(type, kind)) else _checked_fields(value, kind, place, extra)
    origin, arguments = _parts(kind)
    if origin is typing.Literal and any(value == choice and type(value) is type(choice) for choice in arguments):
        return value
    if origin in (typing.Union, types.UnionType):
        return _checked_union(value, arguments, place, extra)
    if origin is dict and isinstance(value, dict):
        entries = {checked(key, str, place): entry for key, entry in value.items()}
        return {key: checked(entry, arguments[1], f"{place}: {key}", extra=extra) for key, entry in entries.items()}
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return _checked_sequence(value, origin, arguments, place, extra)
    if origin is None and _is_instance(value, kind):
        return float(value) if kind is float else value
    raise _unexpected(value, kind, place)


def checked_entry(data: Mapping[str, Json], key: str, kind: Kind, place: str, *, extra: bool = False) -> Json:
    """Check the entry `key` of an object, as `checked` does; HRNetError if it is missing."""
    if key not in data:
        raise HRNetError(f"{place}: {key} is missing, expected {_name(kind)}")
    return checked(data[key], kind, f"{place}: {key}", extra=extra)


def _checked_fields(value: Json, kind: Kind, place: str, extra: bool) -> Json:
    """Make a dataclass from a JSON object; entries of fields with a default may be missing."""
    entries = checked(value, dict[str, Any], place)
    hints = _field_types(kind)
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
def _field_types(kind: Kind) -> dict[str, Kind]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _is_required(field: dataclasses.Field[Kind]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _checked_union(value: Json, kinds: tuple[Kind, ...], place: str, extra: bool) -> Json:
    """Check a value against each type of a union; with one type besides null, the error is that of this type."""
    not_null = [kind for kind in kinds if kind is not type(None)]
    if value is None and len(not_null) < len(kinds):
        return None
    if len(not_null) == 1:
        return checked(value, not_null[0], place, extra=extra)
    for kind in not_null:
        try:
            return checked(value, kind, place, extra=extra)
        except HRNetError:
            continue
    raise _unexpected(value, typing.Union[kinds], place)  # noqa: UP007  made of a tuple


def _checked_sequence(values: Json, origin: Kind, arguments: tuple[Kind, ...], place: str, extra: bool) -> Json:
    kinds = list(arguments) if origin is tuple and ... not in arguments else [arguments[0]] * len(values)
    if len(kinds) != len(values):
        raise HRNetError(f"{place} must have {len(kinds)} entries, got {brief(values)}")
    return origin(
        checked(entry, kind, f"{place}[{index}]", extra=extra)
        for index, (entry, kind) in enumerate(zip(values, kinds, strict=True))
    )


def _is_instance(value: Json, kind: Kind) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and value in INT64
    return isinstance(value, kind) and (kind is not str or _is_encodable(value))


def _is_encodable(text: str) -> bool:
    """Whether a string can be written to a file: JSON can hold halves of characters, such as "\\ud800"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parts(kind: Kind) -> tuple[Kind, tuple[Kind, ...]]:
    """Return the origin and the arguments of a generic type, such as list and (int,) of list[int]."""
    return typing.get_origin(kind), typing.get_args(kind)


def _unexpected(value: Json, kind: Kind, place: str) -> HRNetError:
    return HRNetError(f"{place} must be {_name(kind)}, got {brief(value)}")


def _name(kind: Kind) -> str:
    """Return a type in words."""
    origin, arguments = _parts(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_name, arguments))
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (list, tuple):
        return "a list"
    return "an object" if origin is dict or dataclasses.is_dataclass(kind) else NAMES.get(kind, str(kind))
