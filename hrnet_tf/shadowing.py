"""Says which folder hides one of the package's own, such as a `training` beside the user's script: Python takes the first."""

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
NEEDED = "mobile_eval"  # by hrnet_tf itself
BAD_INPUT = 2


def hiding(name: str) -> Path | None:
    """The folder or file that Python imports as `name` in place of this distribution's package, if there is one."""
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # a module without a specification, made by hand
        return None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [Path(spec.origin or name)]
    return None if any(place.resolve() == SITE / name for place in places) else places[0].resolve()


def hidden(name: str, by: Path) -> str:
    """What to say of it, in one line."""
    return f"{by} hides hrnet_tf's own package {name!r}: rename it, or start Python where it is not on the path"


def check_import() -> None:
    """What `import hrnet_tf` checks: ImportError where a package is hidden that it needs, a warning where another is.

    For the command `hrnet`, `check_command` does it.
    """
    is_command = sys.argv[:1] == ["-m"] or (bool(sys.argv) and Path(sys.argv[0]).stem == "hrnet")  # "-m": python -m hrnet_tf
    for name in () if is_command else PACKAGES:
        by = hiding(name)
        if by and name == NEEDED:
            raise ImportError(hidden(name, by))
        if by:
            warnings.warn(hidden(name, by), stacklevel=3)
    if not any(isinstance(finder, _Hidden) for finder in sys.meta_path):
        sys.meta_path.append(_Hidden())


def check_command() -> None:
    """What a command checks before it imports the packages: one line on stderr and exit code 2 where one is hidden."""
    for name in PACKAGES:
        by = hiding(name)
        if by:
            print(f"error: {hidden(name, by)}", file=sys.stderr)
            raise SystemExit(BAD_INPUT)


class _Hidden(importlib.abc.MetaPathFinder):
    """Asked last, where no other finder has found a module: names the folder that hides it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package = fullname.partition(".")[0]
        by = hiding(package) if package in PACKAGES and package != fullname else None
        if by:
            raise ModuleNotFoundError(f"no module named {fullname!r}: {hidden(package, by)}", name=fullname)
        return None
