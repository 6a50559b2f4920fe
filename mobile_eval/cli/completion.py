"""Shell completion of names (`hrnet --install-completion`); imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def completed(names: Iterable[str] | Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A function that completes one of these names, for `autocompletion` of typer.

    Args:
        names: The names, or a function that returns them when Tab is pressed.

    Example:
        >>> completed(["adam", "sgd"])("a")
        ['adam']
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in (names() if callable(names) else names) if name.startswith(incomplete)]

    return complete
