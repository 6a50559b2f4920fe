"""Plain data, as JSON files hold them, read as the types that the package expects: what does not fit is named."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

NAMES = {int: "an integer", float: "a finite number", str: "a string", bool: "true or false", NoneType: "null"}
LONGEST = 100  # characters of a value in a message
INT64 = range(-(2**63), 2**63)

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 2, 60, 60, 40
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4


def brief(value: Any) -> str:
    """The value for a message: its `repr`, shortened where it is long or deep."""
    text = _SHORT.repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def typed(data: Any, kind: Any, where: str) -> Any:
    """`data` as `kind`; ValueError names the first entry that is missing or of another type.

    Args:
        data: What `json.loads` returns.
        kind: int, float, str, bool, None, Any, a dataclass, or `list[X]`, `tuple[X, ...]`, `tuple[X, Y]`, `dict[str, X]` and
            `X | Y` of these. Integers have 64 bits, numbers are finite, strings can be encoded. A dataclass is read from an
            object with an entry for each field; those with a default may be missing, and other entries are ignored. An entry
            that is such a dataclass already is taken as it is.
        where: What the data are of, such as the file's name; the message begins with it.
    """
    return _typed(data, kind, where, "")


def _typed(data: Any, kind: Any, where: str, place: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin in (Union, UnionType):
        return _one_of(data, kind, where, place)
    if dataclasses.is_dataclass(kind):
        if isinstance(data, kind):  # type: ignore[arg-type]
            return data
        return _record(data, kind, where, place)
    if origin in (list, tuple) and isinstance(data, list | tuple):
        kinds = [arguments[0]] * len(data) if origin is list or arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(data):
            return origin(_typed(v, k, where, f"{place}[{i}]") for i, (v, k) in enumerate(zip(data, kinds, strict=True)))
    if origin is dict and isinstance(data, dict):
        return {_typed(k, str, where, place): _typed(v, arguments[1], where, _within(place, k)) for k, v in data.items()}
    if kind is float and type(data) in (int, float) and _is_finite(data):
        return float(data)
    if kind in (int, str, bool, NoneType) and type(data) is kind and _is_usable(data):
        return data
    raise _refusal(data, kind, where, place)


def _one_of(data: Any, kind: Any, where: str, place: str) -> Any:
    """`data` as the first of a union's types that it fits; of `X | None` the message tells what does not fit X."""
    if data is None and NoneType in get_args(kind):
        return None
    kinds = [one for one in get_args(kind) if one is not NoneType]
    if len(kinds) == 1:
        return _typed(data, kinds[0], where, place)
    for one in kinds:
        try:
            return _typed(data, one, where, place)
        except ValueError:
            continue
    raise _refusal(data, kind, where, place)


def _record(data: Any, kind: Any, where: str, place: str) -> Any:
    if not isinstance(data, dict):
        raise _refusal(data, kind, where, place)
    values = {}
    for field in dataclasses.fields(kind):
        if field.name in data:
            values[field.name] = _typed(data[field.name], _hints(kind)[field.name], where, _within(place, field.name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: {_within(place, field.name)} is missing")
    try:
        return kind(**values)
    except ValueError as error:  # the dataclass checks its values
        raise ValueError(f"{where}: {f'{place}: ' if place else ''}{error}") from error


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _within(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else str(name)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _is_usable(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable() or not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, int) or value in INT64


def _refusal(data: Any, kind: Any, where: str, place: str) -> ValueError:
    return ValueError(f"{where}: {place or 'it'} is {brief(data)}, expected {_named(kind)}")


def _named(kind: Any) -> str:
    """What `kind` is called in a message."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(map(_named, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} entries"
    if origin in (list, tuple):
        return "a list"
    return NAMES.get(kind, "an object")
