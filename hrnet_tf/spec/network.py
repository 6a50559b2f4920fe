"""What an HRNet is: frozen data.

A spec holds the sizes of a network, the set of its fusion links, and the residual blocks that it lost. Removing units (links or
blocks) makes a smaller spec; `networks.build_model` makes a model of exactly what the spec's liveness says can reach the output.
A removed block leaves the identity path that ran beside it.

Notation of the paper (arXiv 1908.07919): stage s (2, 3, 4) has s branches; branch b has `width * 2**b` channels at stride
`4 * 2**b`; each module of a stage ends in an exchange unit, whose fusion links go from every `source` to every other `target`.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.typed import checked, checked_entry

Size = tuple[int, int]  # (height, width)

# The head of each of the package's tasks. A task of your own names one of these heads in its spec.
TASK_HEADS = {
    "pose": "heatmap",
    "landmarks": "multiscale_heatmap",
    "segmentation": "dense",
    "classification": "classification",
    "detection": "detection",
}
TASKS = tuple(TASK_HEADS)
HEADS = tuple(TASK_HEADS.values())
HEATMAP_HEADS = ("heatmap", "multiscale_heatmap")
BLOCKS = ("basic", "bottleneck")
INTERPOLATIONS = ("nearest", "bilinear")
STEM_STRIDE = 4
FIRST_STAGE = 2  # the first stage with more than one branch
LARGEST_SIZE = 65536  # pixels, channels or classes: a larger number is a mistake
MOST_MODULES = 64  # of a stage, and blocks of a branch
BOTTLENECK_EXPANSION = 4  # a bottleneck block puts out this times its inner width
CLASSIFICATION_WIDTH = 32  # inner width of the bottleneck that widens branch 0 (HRNet-W-C); it doubles from branch to branch
CLASSIFICATION_FEATURES = 64  # times the inner width of the first of them


@dataclass(frozen=True, order=True)
class FusionLink:
    """The path from branch `source` to branch `target` in the exchange unit of one module (all 0-based but `stage`)."""

    stage: int
    module: int
    source: int
    target: int

    def __post_init__(self) -> None:
        if self.source == self.target:
            raise HRNetError(f"a fusion link joins two branches, got source {self.source} and the same target")

    @property
    def name(self) -> str:
        """The prefix of the names of its layers, such as `stage3_module2_link0to2`."""
        return f"stage{self.stage}_module{self.module}_link{self.source}to{self.target}"

    @classmethod
    def parse(cls, name: str) -> FusionLink:
        """The link of that `name`."""
        match = re.fullmatch(r"stage(\d+)_module(\d+)_link(\d+)to(\d+)", name)
        if match is None:
            raise HRNetError(f"not a fusion link: {name!r}, expected a name such as stage3_module2_link0to2")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class BranchModule:
    """The residual blocks of one branch in one module."""

    stage: int
    module: int
    branch: int

    @property
    def name(self) -> str:
        """The prefix of the names of its layers, such as `stage4_module0_branch1`."""
        return f"stage{self.stage}_module{self.module}_branch{self.branch}"

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class ResidualBlock:
    """One of the residual blocks of one branch in one module, counted from 0."""

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
        """The branch module that it is part of."""
        return BranchModule(self.stage, self.module, self.branch)

    @classmethod
    def parse(cls, name: str) -> ResidualBlock:
        """The block of that `name`."""
        match = re.fullmatch(r"stage(\d+)_module(\d+)_branch(\d+)_block(\d+)", name)
        if match is None:
            raise HRNetError(f"not a residual block: {name!r}, expected a name such as stage4_module0_branch1_block3")
        return cls(*map(int, match.groups()))

    def __str__(self) -> str:
        return self.name


Unit = FusionLink | ResidualBlock  # what can be removed


def parse_unit(name: str) -> Unit:
    """The link or block of that `name`."""
    return ResidualBlock.parse(name) if "_block" in name else FusionLink.parse(name)


@dataclass(frozen=True)
class StageSpec:
    """Number of modules of a stage, and of residual blocks in each branch of a module."""

    modules: int
    blocks: int

    def __post_init__(self) -> None:
        if not (1 <= self.modules <= MOST_MODULES and 1 <= self.blocks <= MOST_MODULES):
            raise HRNetError(f"a stage has 1 to {MOST_MODULES} modules and blocks, got {self.modules} and {self.blocks}")


@dataclass(frozen=True)
class Liveness:
    """What some path leads from to an output: the rest is not built."""

    branches: frozenset[BranchModule]
    links: frozenset[FusionLink]


@lru_cache
def full_links(stages: tuple[StageSpec, ...], outputs: tuple[int, ...]) -> frozenset[FusionLink]:
    """All fusion links of a network; its last module only has those into `outputs`."""
    links = set()
    for stage, spec in enumerate(stages, FIRST_STAGE):
        for module in range(spec.modules):
            last = stage == FIRST_STAGE + len(stages) - 1 and module == spec.modules - 1
            for target in outputs if last else range(stage):
                links |= {FusionLink(stage, module, source, target) for source in range(stage) if source != target}
    return frozenset(links)


@lru_cache
def full_blocks(stages: tuple[StageSpec, ...]) -> frozenset[ResidualBlock]:
    """All residual blocks of stages 2 and on."""
    return frozenset(
        ResidualBlock(number, *place)
        for number, stage in enumerate(stages, FIRST_STAGE)
        for place in itertools.product(range(stage.modules), range(number), range(stage.blocks))
    )


@dataclass(frozen=True)
class HRNetSpec:
    """An HRNet for one task.

    Attributes:
        name: The name of the network.
        width: Number of channels of branch 0; branch b has `width * 2**b`.
        input_size: (height, width) of the input image in pixels.
        classes: Number of joints, landmarks, classes or other output channels.
        stages: Stages 2 to 4; fewer make a smaller network.
        stem_width: Number of channels of the stem.
        stage1_blocks: Number of bottleneck blocks in stage 1.
        stage1_width: Inner width of the bottleneck blocks of stage 1; their output has 4 times as many channels.
        task: Name of the task.
        block: Kind of the residual blocks of the branches, "basic" or "bottleneck". Bottleneck blocks have a quarter of the
            branch's channels inside.
        interpolation: How links from lower resolutions upsample, "nearest" or "bilinear".
        head: Kind of the head, one of `HEADS`; None for the default head of `task`. A task that is not one of `TASKS` has no
            default.
        head_width: Width of the head; None for the width in the paper. For "dense" and "multiscale_heatmap" it is the number
            of channels of the mixed maps, for "classification" the inner width of the bottleneck that widens branch 0, for
            "detection" the number of channels of the pyramid. "heatmap" has no width.
        links: The fusion links that the network has.
        removed_blocks: The residual blocks of stages 2 to 4 that the network does not have.
    """

    name: str
    width: int
    input_size: tuple[int, int]
    classes: int
    stages: tuple[StageSpec, ...]
    stem_width: int = 64
    stage1_blocks: int = 4
    stage1_width: int = 64
    task: str = "pose"
    block: str = "basic"
    interpolation: str = "nearest"
    head: str | None = None
    head_width: int | None = None
    links: frozenset[FusionLink] = field(default=frozenset(), repr=False)
    removed_blocks: frozenset[ResidualBlock] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        for name in ("width", "classes", "stem_width", "stage1_blocks", "stage1_width"):
            if not 1 <= getattr(self, name) <= LARGEST_SIZE:
                raise HRNetError(f"{name} must be between 1 and {LARGEST_SIZE}, got {getattr(self, name)}")
        for name, value, known in (
            ("block", self.block, BLOCKS),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("head", self.head or TASK_HEADS.get(self.task), HEADS),
        ):
            if value not in known:
                owner = f" of task {self.task!r}" if name == "head" else ""
                raise HRNetError(f"`{name}`{owner} must be one of {', '.join(known)}, got {value!r}")
        if self.head_width is not None and (self.head_width < 1 or self.head_kind == "heatmap"):
            expected = "the head 'heatmap' has no width" if self.head_kind == "heatmap" else "must be at least 1"
            raise HRNetError(f"`head_width` {self.head_width}: {expected}")
        if self.block == "bottleneck" and self.width % BOTTLENECK_EXPANSION:
            raise HRNetError(f"bottleneck blocks need a width that is a multiple of {BOTTLENECK_EXPANSION}, got {self.width}")
        if not 1 <= len(self.stages) <= 3:
            raise HRNetError(f"an HRNet has 1 to 3 stages after the first, got {len(self.stages)}")
        multiple = self.size_multiple
        if min(self.input_size) < multiple or any(size % multiple or size > LARGEST_SIZE for size in self.input_size):
            height, width = self.input_size
            raise HRNetError(
                f"input size {height}x{width}: height and width must be multiples of {multiple}, up to {LARGEST_SIZE}"
            )
        units = ("link", self.links - self.possible_links), ("block", self.removed_blocks - self.possible_blocks)
        for kind, unknown in units:
            if unknown:
                raise HRNetError(f"the network has no {kind} {min(map(str, unknown))}")

    @property
    def head_kind(self) -> str:
        """The kind of the head, one of `HEADS`: `head`, or the default of the task."""
        return self.head or TASK_HEADS[self.task]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The branches of the last module that the head reads: the first for the head "heatmap" (HRNetV1), else all."""
        return (0,) if self.head_kind == "heatmap" else tuple(range(self.last_stage))

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this, the stride of the lowest resolution."""
        return int(STEM_STRIDE * 2 ** (self.last_stage - 1))

    @property
    def last_stage(self) -> int:
        """Number of the last stage, and of its branches."""
        return FIRST_STAGE + len(self.stages) - 1

    def stage(self, number: int) -> StageSpec:
        """The spec of stage 2, 3 or 4."""
        return self.stages[number - FIRST_STAGE]

    def channels(self, branch: int) -> int:
        """Number of channels of a branch."""
        return int(self.width * 2**branch)

    @property
    def gathered_channels(self) -> int:
        """Channels of all branches that the head reads together, 15 times the width for four."""
        return sum(self.channels(branch) for branch in self.outputs)

    @property
    def head_channels(self) -> int:
        """`head_width`, or where it is not given the paper's (of a detector see `detector_sizes`)."""
        return self.head_width or (CLASSIFICATION_WIDTH if self.head_kind == "classification" else self.gathered_channels)

    def resolution(self, branch: int) -> tuple[int, int]:
        """(height, width) of a branch's feature maps."""
        stride = STEM_STRIDE * 2**branch
        return self.input_size[0] // stride, self.input_size[1] // stride

    @property
    def possible_links(self) -> frozenset[FusionLink]:
        """The links of the same network at full connectivity."""
        return full_links(self.stages, self.outputs)

    @property
    def possible_blocks(self) -> frozenset[ResidualBlock]:
        """The residual blocks of stages 2 and on of the same network before any was removed."""
        return full_blocks(self.stages)

    def blocks(self, place: BranchModule) -> tuple[ResidualBlock, ...]:
        """The residual blocks that a branch module has, in order; none where only the identity is left."""
        stage, module, branch = place.stage, place.module, place.branch
        every = (ResidualBlock(stage, module, branch, block) for block in range(self.stage(stage).blocks))
        return tuple(block for block in every if block not in self.removed_blocks)

    @property
    def live_blocks(self) -> frozenset[ResidualBlock]:
        """The residual blocks that are built."""
        return frozenset(block for place in self.liveness().branches for block in self.blocks(place))

    @property
    def removed_links(self) -> frozenset[FusionLink]:
        """The links of full connectivity that this network has not."""
        return self.possible_links - self.links

    def full(self) -> HRNetSpec:
        """The same network with every link and block."""
        return dataclasses.replace(self, links=self.possible_links, removed_blocks=frozenset())

    def without(self, removed: Iterable[Unit]) -> HRNetSpec:
        """The network without these links and blocks, and without the links that no output can feel any more."""
        removed = frozenset(removed)
        links = frozenset(unit for unit in removed if isinstance(unit, FusionLink))
        blocks = frozenset(unit for unit in removed if isinstance(unit, ResidualBlock))
        absent = (links - self.links) | (blocks & self.removed_blocks)
        if absent:
            raise HRNetError(f"cannot remove {min(map(str, absent))}: the network has it no more")
        spec = dataclasses.replace(self, links=self.links - links, removed_blocks=self.removed_blocks | blocks)
        return dataclasses.replace(spec, links=spec.liveness().links)

    def connected_like(self, other: HRNetSpec) -> HRNetSpec:
        """This network with the links and blocks that `other` has, such as a pruned network of another width."""
        mine, theirs = ([stage.modules for stage in spec.stages] for spec in (self, other))
        if mine != theirs or self.outputs != other.outputs:
            raise HRNetError(
                f"the links of {other.name} (modules {theirs}, outputs {list(other.outputs)}) have no place in "
                f"{self.name} (modules {mine}, outputs {list(self.outputs)})"
            )
        return dataclasses.replace(self, links=other.links, removed_blocks=other.removed_blocks)

    def liveness(self) -> Liveness:
        """Walk from the outputs back: which branch modules and links some path leads from to an output."""
        branches: set[BranchModule] = set()
        links: set[FusionLink] = set()
        needed = set(self.outputs)  # targets of the exchange unit that somebody reads
        for stage in range(self.last_stage, FIRST_STAGE - 1, -1):
            for module in range(self.stage(stage).modules - 1, -1, -1):
                into = {link for link in self.links if (link.stage, link.module) == (stage, module) and link.target in needed}
                needed |= {link.source for link in into}
                links |= into
                branches |= {BranchModule(stage, module, branch) for branch in needed}
            if stage - 1 in needed:  # the stage's newest branch starts from the lowest one before it
                needed = (needed - {stage - 1}) | {stage - 2}
        return Liveness(frozenset(branches), frozenset(links))

    def to_json(self) -> dict[str, Any]:
        """Plain data for `spec.json`; connectivity is stored as what was removed."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "links"}
        data["stages"] = [dataclasses.asdict(stage) for stage in self.stages]
        data["removed_links"] = [link.name for link in sorted(self.removed_links)]
        data["removed_blocks"] = [block.name for block in sorted(self.removed_blocks)]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> HRNetSpec:
        """The spec that `to_json` wrote."""
        place = "not the spec of an HRNet"
        removed = [FusionLink.parse(name) for name in checked_entry(data, "removed_links", list[str], place)]
        blocks = [ResidualBlock.parse(name) for name in checked(data.get("removed_blocks", []), list[str], place)]
        rest = {name: value for name, value in data.items() if name not in ("removed_links", "removed_blocks")}
        spec: HRNetSpec = checked(rest, cls, place).full()
        if unknown := frozenset(removed) - spec.links:
            raise HRNetError(f"the network has no link {min(unknown).name}")
        return dataclasses.replace(spec, links=spec.links - frozenset(removed), removed_blocks=frozenset(blocks))

    def network_description(self) -> dict[str, Any]:
        """The shape and connectivity of what is built, as plain data for readers that do not know this package."""
        live = self.liveness()
        return {
            "width": self.width,
            "stages": [{"stage": number, "modules": stage.modules} for number, stage in enumerate(self.stages, FIRST_STAGE)],
            "outputs": list(self.outputs),
            "live_branches": [branch.name for branch in sorted(live.branches)],
            "links": [link.name for link in sorted(live.links)],
            "removed_links": [link.name for link in sorted(self.possible_links - live.links)],
            "removed_blocks": [block.name for block in sorted(self.removed_blocks) if block.place in live.branches],
        }
