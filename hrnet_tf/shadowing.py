"""Detect folders and files that hide the packages of this distribution.

Python imports the first match on its path, such as a folder `training` beside the user's script. The messages name it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

SITE = Path(__file__).resolve().parents[1]
PACKAGES = ("training", "conversion", "mobile_eval")
REQUIRED = "mobile_eval"  # by hrnet_tf itself
BAD_INPUT = 2  # exit code


def hiding_path(name: str) -> Path | None:
    """Return the folder or file that Python imports as `name` instead of this distribution's package, if any."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a spec, made by hand
        return None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or name)]
    return None if any(place.resolve() == SITE / name for place in places) else places[0].resolve()


def check_import() -> None:
    """Check the packages when `hrnet_tf` is imported; the command `hrnet` calls `check_command` instead.

    Raises:
        ImportError: If `mobile_eval` is hidden. For the other packages, a warning is given.
    """
    is_command = sys.argv[:1] == ["-m"] or (bool(sys.argv) and Path(sys.argv[0]).stem == "hrnet")  # "-m": python -m hrnet_tf
    for name in () if is_command else PACKAGES:
        path = hiding_path(name)
        if path and name == REQUIRED:
            raise ImportError(_message(name, path))
        if path:
            warnings.warn(_message(name, path), stacklevel=3)
    if not any(isinstance(finder, _HiddenPackageFinder) for finder in sys.meta_path):
        sys.meta_path.append(_HiddenPackageFinder())


def check_command() -> None:
    """Exit with a line on stderr and code 2 if a package is hidden; for the command, before it imports the packages."""
    for name in PACKAGES:
        path = hiding_path(name)
        if path:
            print(f"error: {_message(name, path)}", file=sys.stderr)
            raise SystemExit(BAD_INPUT)


def _message(name: str, path: Path) -> str:
    return f"{path} hides the package {name!r} of hrnet_tf: rename it, or start Python where it is not on the path"


class _HiddenPackageFinder(importlib.abc.MetaPathFinder):
    """The last finder: if no other has found a module of a package, raises an error that names the path that hides it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package = fullname.partition(".")[0]
        hidden_by = hiding_path(package) if package in PACKAGES and package != fullname else None
        if hidden_by:
            raise ModuleNotFoundError(f"no module named {fullname!r}: {_message(package, hidden_by)}", name=fullname)
        return None
