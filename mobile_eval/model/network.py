"""What a model's description says of its HRNet, for readers that do not know the package that built it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.typed import brief, checked

FIRST_STAGE = 2
MOST_STAGES, MOST_MODULES, MOST_CHANNELS = 3, 256, 65_536  # far above any network's: what is larger is damage
LINK = re.compile(r"stage(\d+)_module(\d+)_link(\d+)to(\d+)")
BRANCH = re.compile(r"stage(\d+)_module(\d+)_branch(\d+)")


@dataclass(frozen=True)
class DescribedStage:
    """The number of a stage, from 2 on, and of its modules."""

    stage: int
    modules: int


@dataclass(frozen=True)
class DescribedNetwork:
    """Shape and connectivity by name; `links` are those kept. Names are those of the network's stages, modules and branches."""

    width: int
    stages: tuple[DescribedStage, ...]
    outputs: tuple[int, ...]
    live_branches: tuple[str, ...]
    links: tuple[str, ...]
    removed_links: tuple[str, ...]

    def __post_init__(self) -> None:
        numbers = [stage.stage for stage in self.stages]
        if numbers != list(range(FIRST_STAGE, FIRST_STAGE + len(numbers))) or not 1 <= len(numbers) <= MOST_STAGES:
            raise HRNetError(f"its stages are {brief(numbers)}, expected 2 to at most {FIRST_STAGE + MOST_STAGES - 1} in order")
        modules = {stage.stage: stage.modules for stage in self.stages}
        if not all(1 <= count <= MOST_MODULES for count in modules.values()) or not 1 <= self.width <= MOST_CHANNELS:
            raise HRNetError(f"its width is {self.width} with {brief(list(modules.values()))} modules a stage")
        if not self.outputs or not set(self.outputs) <= set(range(numbers[-1])):
            raise HRNetError(f"its outputs are branches {brief(list(self.outputs))} of {numbers[-1]}")
        for pattern, names in ((LINK, (*self.links, *self.removed_links)), (BRANCH, self.live_branches)):
            for name in names:
                _check_place(name, pattern, modules)

    @classmethod
    def from_json(cls, data: Any, where: str) -> DescribedNetwork:
        """The "network" of a description; HRNetError, which begins with `where`, for an entry that is missing or wrong."""
        network: DescribedNetwork = checked(data, cls, where, extra=True)
        return network


def _check_place(name: str, pattern: re.Pattern[str], modules: dict[int, int]) -> None:
    """Refuse a name of another form, or of a place that the network does not have."""
    match = pattern.fullmatch(name)
    if match is None:
        raise HRNetError(f"not the name of a fusion link or branch: {brief(name)}, expected one such as stage3_module2_link0to2")
    stage, module, *branches = map(int, match.groups())
    if not (module < modules.get(stage, 0) and max(branches) < stage and len(set(branches)) == len(branches)):
        raise HRNetError(f"it has no {brief(name)}: its stages have {modules} modules")
