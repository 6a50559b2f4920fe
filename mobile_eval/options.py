"""Options, each declared once: as a field of a frozen dataclass, with its help.

The fields are the arguments in Python, entries of JSON and recipes, and options of the command line
(`mobile_eval.cli.declared`). Data sources, runtime options, the evaluation options of tasks (`mobile_eval.tasks.T.options`) and
the training settings of tasks (`training.tasks.T.settings`) are declared in this way. The module imports nothing heavy.

Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class DepthOptions:
    ...     max_depth_m: float = option(10.0, "Largest depth that is evaluated, in metres.")
    >>> [declared.name for declared in options_of(DepthOptions)]
    ['max_depth_m']
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mobile_eval.errors import HRNetError

HELP, DECLARED = "help", "declared"
Value = TypeVar("Value")
Number = TypeVar("Number", int, float, str)


def option(
    default: Value,
    description: str,
    *,
    name: str | None = None,
    minimum: float | None = None,
    panel: str | None = None,
    choices: tuple[str, ...] = (),
) -> Value:
    """A field of a dataclass that is an option of the command line as well.

    Args:
        default: Default value. The type of the field is bool, int, float, str, Path, a list or a tuple of these, or one of them
            or None.
        description: Help text: a noun phrase, and the unit.
        name: How the option is typed, if not as the field is called.
        minimum: Smallest value that is allowed.
        panel: Heading in `--help`.
        choices: Names that the shell completes. The dataclass checks its values itself.
    """
    declared = {"name": name, "minimum": minimum, "panel": panel, "choices": choices}
    field: Value = dataclasses.field(default=default, metadata={HELP: description, DECLARED: declared})
    return field


def redeclared(declaring: type[Any], name: str, default: Any) -> Any:
    """A field that declares an option of another dataclass again, with another default."""
    [field] = [field for field in dataclasses.fields(declaring) if field.name == name]
    return dataclasses.field(default=default, metadata=field.metadata)


@dataclass(frozen=True)
class DeclaredOption:
    """An option, read from the field that declares it.

    `kind` is the field's type without None, `item_kind` that of the items of a tuple or list.
    """

    name: str
    kind: type
    item_kind: type | None
    default: object
    help: str
    typed_name: str | None
    minimum: float | None
    panel: str | None
    choices: tuple[str, ...]


def options_of(declaring: type) -> tuple[DeclaredOption, ...]:
    """The options that a dataclass declares, in the order of its fields. Fields without help are not options."""
    hints = typing.get_type_hints(declaring)
    return tuple(_declared(field, hints[field.name]) for field in dataclasses.fields(declaring) if HELP in field.metadata)


def _declared(field: dataclasses.Field[object], hint: object) -> DeclaredOption:
    kind: Any = hint  # a type, or a generic alias
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    collection = typing.get_origin(kind)
    item_kind = typing.get_args(kind)[0] if collection in (tuple, list) else None
    metadata = field.metadata.get(DECLARED, {})
    return DeclaredOption(
        name=field.name,
        kind=collection or kind,
        item_kind=item_kind,
        default=field.default,
        help=field.metadata[HELP],
        typed_name=metadata.get("name"),
        minimum=metadata.get("minimum"),
        panel=metadata.get("panel"),
        choices=metadata.get("choices", ()),
    )


def parse_values(name: str, text: str, kind: type[Number]) -> tuple[Number, ...]:
    """Values that are typed with commas between them, such as "0.5,1,1.5".

    Args:
        name: Name of the option, for the message of an error.
        text: The text; "" for no values.
        kind: int, float or str.

    Raises:
        HRNetError: A part of the text is not of that kind.
    """
    try:
        return tuple(kind(part.strip()) for part in text.split(",")) if text else ()
    except ValueError:
        what = {int: "whole numbers", float: "numbers"}.get(kind, "names")
        raise HRNetError(f"`{name}` takes {what} separated by commas, got {text!r}") from None


def checked_options(declaring: type, values: Mapping[str, object], owner: str) -> dict[str, object]:
    """Values of options as the fields of `declaring` take them.

    Args:
        declaring: Dataclass that declares the options.
        values: Values by name, as the command line gives them: texts for tuples.
        owner: What takes the options, for the message: "segmentation models".

    Raises:
        HRNetError: A name is not declared there, or a text cannot be read.
    """
    declared = {option.name: option for option in options_of(declaring)}
    for name in values:
        if name not in declared:
            raise HRNetError(f"`{name}` does not apply to {owner}; the options are {listed(declared)}")
    return {name: _value(declared[name], value) for name, value in values.items()}


def _value(declared: DeclaredOption, value: object) -> object:
    if declared.kind is tuple and isinstance(value, str) and declared.item_kind is not None:
        return parse_values(declared.name, value, declared.item_kind)
    if declared.kind is Path and isinstance(value, str):
        return Path(value)
    return value


def listed(names: Iterable[str], separator: str = ", ") -> str:
    """Names of parameters for a message, in backticks."""
    return separator.join(f"`{name}`" for name in names)
