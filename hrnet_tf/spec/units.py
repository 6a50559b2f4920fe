"""The units of an HRNet that can be removed, named by place: fusion links and residual blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mobile_eval.errors import HRNetError


@dataclass(frozen=True, order=True)
class FusionLink:
    """The path from one branch to another in the exchange unit of a module.

    Attributes:
        stage: Number of the stage, 2 to 4.
        module: Index of the module in the stage.
        source: Index of the branch that the link reads.
        target: Index of the branch that the link is added to.

    Raises:
        HRNetError: `source` and `target` are the same branch.

    Example:
        >>> FusionLink(stage=3, module=2, source=0, target=2).name
        'stage3_module2_link0to2'
    """

    stage: int
    module: int
    source: int
    target: int

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise HRNetError(f"a fusion link joins two branches, got source {self.source} and target {self.target}")

    @property
    def name(self) -> str:
        """The prefix of the names of its layers, such as `stage3_module2_link0to2`."""
        return f"stage{self.stage}_module{self.module}_link{self.source}to{self.target}"

    @classmethod
    def parse(cls, name: str) -> FusionLink:
        """Return the link of that name."""
        match = re.fullmatch(r"stage(\d+)_module(\d+)_link(\d+)to(\d+)", name)
        if match is None:
            raise HRNetError(f"not a fusion link: {name!r}, expected a name such as stage3_module2_link0to2")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class BranchModule:
    """The residual blocks of one branch in one module. Those of stage 1 are in module 0 of branch 0."""

    stage: int
    module: int
    branch: int

    @property
    def name(self) -> str:
        """The prefix of the names of its layers, such as `stage4_module0_branch1`."""
        if self.stage == 1:
            return "stage1"
        return f"stage{self.stage}_module{self.module}_branch{self.branch}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class ResidualBlock:
    """A residual block of one branch in one module, or of stage 1 (module 0, branch 0).

    Attributes:
        stage: Number of the stage, 1 to 4.
        module: Index of the module in the stage.
        branch: Index of the branch.
        block: Index of the block in the branch of the module.

    Example:
        >>> ResidualBlock(stage=4, module=0, branch=1, block=3).name
        'stage4_module0_branch1_block3'
    """

    stage: int
    module: int
    branch: int
    block: int

    @property
    def name(self) -> str:
        """The prefix of the names of its layers, such as `stage4_module0_branch1_block3`."""
        return f"{self.place.name}_block{self.block}"

    @property
    def place(self) -> BranchModule:
        """The branch and module that the block belongs to."""
        return BranchModule(self.stage, self.module, self.branch)

    @classmethod
    def parse(cls, name: str) -> ResidualBlock:
        """Return the block of that name."""
        if match := re.fullmatch(r"stage1_block(\d+)", name):
            return cls(1, 0, 0, int(match[1]))
        match = re.fullmatch(r"stage(\d+)_module(\d+)_branch(\d+)_block(\d+)", name)
        if match is None:
            raise HRNetError(f"not a residual block: {name!r}, expected a name such as stage4_module0_branch1_block3")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return self.name


Unit = FusionLink | ResidualBlock  # what can be removed


def parse_unit(name: str) -> Unit:
    """Return the link or block of that name.

    Example:
        >>> parse_unit("stage3_module2_link0to2")
        FusionLink(stage=3, module=2, source=0, target=2)
    """
    return ResidualBlock.parse(name) if "_block" in name else FusionLink.parse(name)
