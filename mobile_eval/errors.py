"""The error of the package for bad input."""

from __future__ import annotations

import re

PARAMETER = re.compile(r"`([a-z][a-z0-9_]*)`")


class HRNetError(ValueError):
    """Bad input: a file, a value or a combination of values that cannot be used.

    The message names parameters in backticks, as Python spells them. The command line shows them as options.

    Example:
        >>> error = HRNetError("`keep_latency` must be above 0, got -1")
        >>> error.parameters
        ('keep_latency',)
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters in the message, in its order."""
        return tuple(dict.fromkeys(PARAMETER.findall(str(self))))
