"""The HRNet in a model's description: its stages and links, and how it was pruned.

Reports and pictures read these entries. They need not know the package that built the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mobile_eval.errors import HRNetError
from mobile_eval.typed import Json, brief, checked

FIRST_STAGE = 2
MAX_STAGES, MAX_MODULES, MAX_CHANNELS = 3, 256, 65_536  # far above those of any network: larger numbers are damage
LINK = re.compile(r"stage(\d+)_module(\d+)_link(\d+)to(\d+)")
BRANCH = re.compile(r"stage(\d+)_module(\d+)_branch(\d+)")


@dataclass(frozen=True)
class DescribedStage:
    """A stage by its number, from 2 on, and its number of modules."""

    stage: int
    modules: int


@dataclass(frozen=True)
class DescribedNetwork:
    """The stages, branches and links of an HRNet.

    Attributes:
        width: Channels of the first branch.
        stages: The stages, in order from 2 on.
        outputs: Indices of the branches that the head reads.
        live_branches: Names of the branches that are built, such as "stage3_module0_branch1".
        links: Names of the links that are kept, such as "stage3_module0_link0to1".
        removed_links: Names of the removed links.
        streams: Channels of the narrowed branches, by the index of the branch.
        inner_shares: Share of the inner channels of its blocks that a branch of a module keeps, by its name; without shares of 1.
    """

    width: int
    stages: tuple[DescribedStage, ...]
    outputs: tuple[int, ...]
    live_branches: tuple[str, ...]
    links: tuple[str, ...]
    removed_links: tuple[str, ...]
    streams: dict[str, int] = field(default_factory=dict)
    inner_shares: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [stage.stage for stage in self.stages]
        if numbers != list(range(FIRST_STAGE, FIRST_STAGE + len(numbers))) or not 1 <= len(numbers) <= MAX_STAGES:
            raise HRNetError(f"its stages are {brief(numbers)}, expected 2 to at most {FIRST_STAGE + MAX_STAGES - 1} in order")
        modules = {stage.stage: stage.modules for stage in self.stages}
        if not all(1 <= count <= MAX_MODULES for count in modules.values()) or not 1 <= self.width <= MAX_CHANNELS:
            raise HRNetError(f"its width is {self.width} with {brief(list(modules.values()))} modules a stage")
        if not self.outputs or not set(self.outputs) <= set(range(numbers[-1])):
            raise HRNetError(f"its outputs are branches {brief(list(self.outputs))} of {numbers[-1]}")
        for branch, channels in self.streams.items():
            if branch not in map(str, range(numbers[-1])) or not 1 <= channels <= self.width * 2 ** int(branch):
                raise HRNetError(f"its branch {brief(branch)} has {channels} channels")
        if not all(0 <= share <= 1 for share in self.inner_shares.values()):
            raise HRNetError(f"its shares of inner channels are {brief(list(self.inner_shares.values()))}, expected 0 to 1")
        branches = (*self.live_branches, *self.inner_shares)
        for pattern, names in ((LINK, (*self.links, *self.removed_links)), (BRANCH, branches)):
            for name in names:
                _check_name(name, pattern, modules)

    @classmethod
    def from_json(cls, data: Json, place: str) -> DescribedNetwork:
        """Read the "network" entry of a description.

        Args:
            data: The entry, as `json.loads` returns it.
            place: Where it is, for messages, such as "M.tflite: network".

        Raises:
            HRNetError: An entry is missing or wrong. The message starts with `place`.
        """
        network: DescribedNetwork = checked(data, cls, place, extra=True)
        return network


@dataclass(frozen=True)
class DescribedStep:
    """One pruning step: the removed units, the cost of the network after it and, where it was measured, its score.

    `ratio` is the cost relative to the full network's.
    """

    removed: tuple[str, ...]
    ratio: float
    score: float | None = None


@dataclass(frozen=True)
class DescribedRemoval:
    """How a network was pruned: the steps, and the metric and score of the full network that they start from."""

    steps: tuple[DescribedStep, ...]
    cost_unit: str
    metric: str
    full_score: float


def _check_name(name: str, pattern: re.Pattern[str], modules: dict[int, int]) -> None:
    """Refuse a malformed name, and one of a link or branch that the network does not have."""
    match = pattern.fullmatch(name)
    if match is None:
        raise HRNetError(f"not the name of a fusion link or branch: {brief(name)}, expected one such as stage3_module2_link0to2")
    stage, module, *branches = map(int, match.groups())
    if not (module < modules.get(stage, 0) and max(branches) < stage and len(set(branches)) == len(branches)):
        raise HRNetError(f"it has no {brief(name)}: its stages have {modules} modules")
