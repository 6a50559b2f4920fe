"""An HRNet as frozen data.

A spec holds the sizes of a network, its fusion links, the residual blocks that were removed from it, and the widths that were
narrowed. Removing units (links or blocks) or channels makes a smaller spec; `hrnet_tf.models.build.build_model` builds only what
can influence an output (`liveness`). Where a block is removed, the identity path beside it remains.

Notation of the paper (arXiv 1908.07919): stage s (2, 3, 4) has s branches; branch b has `width * 2**b` channels at stride
`4 * 2**b`; each module of a stage ends in an exchange unit, whose fusion links go from every `source` to every other `target`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hrnet_tf.spec.units import BranchModule, FusionLink, ResidualBlock, Unit
from hrnet_tf.spec.widths import BOTTLENECK_EXPANSION, branch_stream, checked_widths, full_widths
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject, Size, checked, checked_entry

# The head of each of the package's tasks. The spec of another task names one of these heads.
TASK_HEADS = {
    "pose": "heatmap",
    "landmarks": "multiscale_heatmap",
    "segmentation": "dense",
    "classification": "classification",
    "detection": "detection",
}
TASKS = tuple(TASK_HEADS)
OBJECT_CONTEXT = "object_context"  # of a network for segmentation: HRNet-OCR
PYRAMID = "pyramid"  # no head: the feature maps of the branches, for a head of the user's own
CENTERS = "centers"  # detection in a single stage, by the centers of objects
HEADS = (*TASK_HEADS.values(), OBJECT_CONTEXT, CENTERS, PYRAMID)
HEATMAP_HEADS = ("heatmap", "multiscale_heatmap")
BLOCKS = ("basic", "bottleneck")
INTERPOLATIONS = ("nearest", "bilinear", "aligned")
STEM_STRIDE = 4
FIRST_STAGE = 2  # the first stage with more than one branch
MAX_SIZE = 65536  # pixels, channels or classes; a larger number is a mistake
MAX_MODULES = 64  # per stage; also blocks per branch
CLASSIFICATION_WIDTH = 32  # inner width of the bottleneck that widens branch 0 (HRNet-W-C); it doubles from branch to branch
OBJECT_CONTEXT_WIDTH = 512  # features of a pixel and of a region (HRNet-OCR)
CLASSIFICATION_FEATURES = 64  # features per inner channel of that bottleneck


@dataclass(frozen=True)
class StageSpec:
    """Sizes of a stage: number of modules, and of residual blocks per branch in a module."""

    modules: int
    blocks: int

    def __post_init__(self) -> None:
        if not (1 <= self.modules <= MAX_MODULES and 1 <= self.blocks <= MAX_MODULES):
            raise HRNetError(f"a stage has 1 to {MAX_MODULES} modules and blocks, got {self.modules} and {self.blocks}")


@dataclass(frozen=True)
class Liveness:
    """The branches and links from which a path leads to an output; no others are built."""

    branches: frozenset[BranchModule]
    links: frozenset[FusionLink]


@functools.lru_cache
def _full_links(stages: tuple[StageSpec, ...], outputs: tuple[int, ...]) -> frozenset[FusionLink]:
    """All fusion links of a network; those of the last module lead only into `outputs`."""
    links = set()
    for stage, spec in enumerate(stages, FIRST_STAGE):
        for module in range(spec.modules):
            last = stage == FIRST_STAGE + len(stages) - 1 and module == spec.modules - 1
            for target in outputs if last else range(stage):
                links |= {FusionLink(stage, module, source, target) for source in range(stage) if source != target}
    return frozenset(links)


@functools.lru_cache
def _full_blocks(stages: tuple[StageSpec, ...], stage1_blocks: int) -> frozenset[ResidualBlock]:
    """All blocks that can be removed: the first block of stage 1 is not among them, as it may change the number of channels."""
    blocks = {ResidualBlock(1, 0, 0, block) for block in range(1, stage1_blocks)}
    for number, stage in enumerate(stages, FIRST_STAGE):
        places = itertools.product(range(stage.modules), range(number), range(stage.blocks))
        blocks |= {ResidualBlock(number, *place) for place in places}
    return frozenset(blocks)


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
        interpolation: How links from lower resolutions upsample, "nearest" or "bilinear"; "aligned" is bilinear with the
            corners in one place, also where a head concatenates the branches.
        head: Kind of the head, one of `HEADS`; None for the default head of `task`. A task that is not one of `TASKS` has no
            default.
        head_width: Width of the head; None for the width in the paper. For "dense" and "multiscale_heatmap" it is the number
            of channels of the mixed maps, also for "centers"; for "classification" the inner width of the bottleneck that widens
            branch 0, for "detection" the number of channels of the pyramid, for "object_context" the number of features of a
            pixel. "heatmap" and "pyramid" have no width.
        head_branches: The branches that the head reads: some for a head of the user's own ("pyramid"), None for all; one for
            "heatmap", None for the first.
        links: The fusion links that the network has.
        removed_blocks: The residual blocks that the network does not have, of stages 2 to 4 or beyond the first one of stage 1.
        widths: The groups of channels that were narrowed, in order, and their widths; see `hrnet_tf.spec.widths`.

    Raises:
        HRNetError: A size is out of range, a kind is unknown, or a unit is none of the network.

    Example:
        >>> spec = HRNetSpec("small", 16, (64, 64), classes=5, stages=(StageSpec(1, 2), StageSpec(1, 2))).full()
        >>> len(spec.links), len(spec.without([FusionLink(2, 0, 0, 1)]).links)
        (4, 3)
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
    head_branches: tuple[int, ...] | None = None
    links: frozenset[FusionLink] = field(default=frozenset(), repr=False)
    removed_blocks: frozenset[ResidualBlock] = field(default=frozenset(), repr=False)
    widths: tuple[tuple[str, int], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_kinds()
        for kind, unknown in (("link", self.links - self.possible_links), ("block", self.removed_blocks - self.possible_blocks)):
            if unknown:
                raise HRNetError(f"the network has no {kind} {min(map(str, unknown))}")
        if self.widths and self.widths != checked_widths(self.name, self.full_widths, dict(self.widths)):
            raise HRNetError("`widths` must be narrowed groups in order, each once; use `with_widths`")

    def _check_sizes(self) -> None:
        for name in ("width", "classes", "stem_width", "stage1_blocks", "stage1_width"):
            if not 1 <= getattr(self, name) <= MAX_SIZE:
                raise HRNetError(f"`{name}` must be between 1 and {MAX_SIZE}, got {getattr(self, name)}")
        if self.block == "bottleneck" and self.width % BOTTLENECK_EXPANSION:
            raise HRNetError(f"`width` must be a multiple of {BOTTLENECK_EXPANSION} for bottleneck blocks, got {self.width}")
        if not 1 <= len(self.stages) <= 3:
            raise HRNetError(f"`stages` must have 1 to 3 entries, got {len(self.stages)}")
        check_input_size(self.input_size, self.size_multiple)

    def _check_kinds(self) -> None:
        for name, value, known in (
            ("block", self.block, BLOCKS),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("head", self.head or TASK_HEADS.get(self.task), HEADS),
        ):
            if value not in known:
                owner = f" of task {self.task!r}" if name == "head" else ""
                raise HRNetError(f"`{name}`{owner} must be one of {', '.join(known)}, got {value!r}")
        without_width = self.head_kind in ("heatmap", PYRAMID)
        if self.head_width is not None and (self.head_width < 1 or without_width):
            expected = f"the head {self.head_kind!r} has no width" if without_width else "must be at least 1"
            raise HRNetError(f"`head_width` {self.head_width}: {expected}")
        if self.head_branches is not None:
            self._check_head_branches(self.head_branches)

    def _check_head_branches(self, branches: tuple[int, ...]) -> None:
        if self.head_kind not in ("heatmap", PYRAMID):
            raise HRNetError(
                f"`head_branches` is for the heads heatmap and {PYRAMID}, got {list(branches)} for {self.head_kind!r}"
            )
        if not branches or list(branches) != sorted(set(branches) & set(range(self.last_stage))):
            raise HRNetError(f"`head_branches` must be some of {list(range(self.last_stage))} in order, got {list(branches)}")
        if self.head_kind == "heatmap" and (len(branches) > 1 or branches == (0,)):
            raise HRNetError(f"`head_branches`: the heatmap head reads one branch, None for the first; got {list(branches)}")

    @property
    def head_kind(self) -> str:
        """The kind of the head, one of `HEADS`: `head`, or the default of the task."""
        return self.head or TASK_HEADS[self.task]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The branches of the last module that the head reads: the first for the head "heatmap" (HRNetV1), else all."""
        if self.head_branches is not None:
            return self.head_branches
        return (0,) if self.head_kind == "heatmap" else tuple(range(self.last_stage))

    @property
    def size_multiple(self) -> int:
        """The stride of the lowest resolution, of which height and width of the input are multiples."""
        return int(STEM_STRIDE * 2 ** (self.last_stage - 1))

    @property
    def last_stage(self) -> int:
        """The number of the last stage, which is also its number of branches."""
        return FIRST_STAGE + len(self.stages) - 1

    def stage(self, number: int) -> StageSpec:
        """The spec of stage 2, 3 or 4."""
        return self.stages[number - FIRST_STAGE]

    def full_channels(self, branch: int) -> int:
        """The number of channels of a branch before any was removed."""
        return int(self.width * 2**branch)

    def channels(self, branch: int) -> int:
        """The number of channels of a branch."""
        return self.width_of(branch_stream(branch))

    @functools.cached_property
    def full_widths(self) -> Mapping[str, int]:
        """Every group of channels that can be narrowed, in the order of the network, and its full width."""
        return full_widths(self.full())

    @functools.cached_property
    def _widths(self) -> Mapping[str, int]:
        """The width of every group, also of the streams that cannot be narrowed."""
        streams = {branch_stream(branch): self.full_channels(branch) for branch in range(self.last_stage)}
        return {**streams, **self.full_widths, **dict(self.widths)}

    def width_of(self, group: str) -> int:
        """The number of channels of a group, such as "stem_conv1" or "branch0"."""
        if group not in self._widths:
            raise HRNetError(f"{self.name} has no width {group!r:.80}")
        return self._widths[group]

    @property
    def has_projection(self) -> bool:
        """Whether the first block of stage 1 has a convolution beside its identity path."""
        return self.stem_width != BOTTLENECK_EXPANSION * self.stage1_width

    @property
    def has_first_transition(self) -> bool:
        """Whether a convolution leads from stage 1 to branch 0."""
        return self.width != BOTTLENECK_EXPANSION * self.stage1_width

    @property
    def stage1_blocks_kept(self) -> tuple[int, ...]:
        """Indices of the blocks of stage 1 that were not removed."""
        removed = {block.block for block in self.removed_blocks if block.stage == 1}
        return tuple(block for block in range(self.stage1_blocks) if block not in removed)

    @property
    def gathered_channels(self) -> int:
        """The number of channels of all branches that the head reads, 15 times the width for four full ones."""
        return sum(self.channels(branch) for branch in self.outputs)

    @property
    def full_gathered_channels(self) -> int:
        """`gathered_channels` before any was removed."""
        return sum(self.full_channels(branch) for branch in self.outputs)

    @property
    def is_aligned(self) -> bool:
        """Whether upsampling has the corners in one place."""
        return self.interpolation == "aligned"

    @property
    def head_channels(self) -> int:
        """`head_width`, or its value in the paper. For detectors see `hrnet_tf.spec.detection.detection_widths`."""
        papers = {"classification": CLASSIFICATION_WIDTH, OBJECT_CONTEXT: OBJECT_CONTEXT_WIDTH}
        return self.head_width or papers.get(self.head_kind, self.full_gathered_channels)

    def resolution(self, branch: int) -> Size:
        """The (height, width) of a branch's feature maps."""
        stride = STEM_STRIDE * 2**branch
        return self.input_size[0] // stride, self.input_size[1] // stride

    @property
    def possible_links(self) -> frozenset[FusionLink]:
        """All links of the network at full connectivity."""
        return _full_links(self.stages, self.outputs)

    @property
    def possible_blocks(self) -> frozenset[ResidualBlock]:
        """All residual blocks that can be removed, at full connectivity."""
        return _full_blocks(self.stages, self.stage1_blocks)

    def blocks(self, place: BranchModule) -> tuple[ResidualBlock, ...]:
        """The residual blocks of a branch in a module, in order; an empty tuple if all are removed."""
        stage, module, branch = place.stage, place.module, place.branch
        if stage == 1:
            return tuple(ResidualBlock(1, 0, 0, block) for block in self.stage1_blocks_kept if block > 0)
        every = (ResidualBlock(stage, module, branch, block) for block in range(self.stage(stage).blocks))
        return tuple(block for block in every if block not in self.removed_blocks)

    @property
    def live_blocks(self) -> frozenset[ResidualBlock]:
        """The residual blocks that are built and can be removed."""
        places = (BranchModule(1, 0, 0), *self.liveness().branches)
        return frozenset(block for place in places for block in self.blocks(place))

    @property
    def removed_links(self) -> frozenset[FusionLink]:
        """The links of full connectivity that this network does not have."""
        return self.possible_links - self.links

    def full(self) -> HRNetSpec:
        """Return the same network with every link, block and channel; a heatmap head reads the first branch."""
        head_branches = None if self.head_kind == "heatmap" else self.head_branches
        network = dataclasses.replace(self, head_branches=head_branches, links=frozenset(), removed_blocks=frozenset(), widths=())
        return dataclasses.replace(network, links=network.possible_links)

    def with_widths(self, widths: Mapping[str, int]) -> HRNetSpec:
        """Return the same network with other widths of some groups.

        Args:
            widths: Number of channels by group, from 1 to that in `full_widths`.

        Raises:
            HRNetError: There is no such group, or a width is out of range.

        Example:
            >>> from hrnet_tf.spec.presets import preset
            >>> spec = preset("pose-w32").with_widths({"branch0": 24, "stage1_block0_conv1": 32})
            >>> spec.channels(0), spec.channels(1), spec.width_of("stage1_block0_conv2")
            (24, 64, 64)
        """
        return dataclasses.replace(self, widths=checked_widths(self.name, self.full_widths, {**dict(self.widths), **widths}))

    def without(self, removed: Iterable[Unit]) -> HRNetSpec:
        """Remove links and blocks, and every link that no longer influences an output.

        Args:
            removed: The units to remove.

        Returns:
            The smaller network.

        Raises:
            HRNetError: If the network does not have one of them.

        Example:
            Without its last link, branch 3 no longer influences the heatmaps, nor do the three links into it.

            >>> from hrnet_tf.spec.presets import preset
            >>> spec = preset("pose-w32")
            >>> len(spec.links), len(spec.without({FusionLink(4, 2, 3, 0)}).links)
            (53, 49)
        """
        removed = frozenset(removed)
        links = frozenset(unit for unit in removed if isinstance(unit, FusionLink))
        blocks = frozenset(unit for unit in removed if isinstance(unit, ResidualBlock))
        absent = (links - self.links) | (blocks & self.removed_blocks)
        if absent:
            raise HRNetError(f"cannot remove {min(map(str, absent))}: the network does not have it")
        spec = dataclasses.replace(self, links=self.links - links, removed_blocks=self.removed_blocks | blocks)
        return dataclasses.replace(spec, links=spec.liveness().links)

    def reading(self, branches: Iterable[int]) -> HRNetSpec:
        """Return this network for a head that reads only some branches of the last module.

        What no longer influences an output is not built. The links into the new outputs are those that the network has.

        Args:
            branches: Indices of the branches; one for the head "heatmap".

        Example:
            >>> from hrnet_tf.spec.presets import preset
            >>> spec = preset("pose-w32").reading([1])
            >>> len(spec.links), spec.outputs
            (41, (1,))
        """
        selected = tuple(sorted(branches))
        default = (0,) if self.head_kind == "heatmap" else tuple(range(self.last_stage))
        links = self.links & _full_links(self.stages, selected)
        spec = dataclasses.replace(self, head_branches=None if selected == default else selected, links=links)
        return dataclasses.replace(spec, links=spec.liveness().links)

    def connected_like(self, pattern: HRNetSpec) -> HRNetSpec:
        """Return this network with the links and blocks of another, such as a pruned one, and its widths in proportion.

        Raises:
            HRNetError: If the two differ in modules or in output branches, or the other has blocks or widths that this one lacks.
        """
        modules, pattern_modules = ([stage.modules for stage in spec.stages] for spec in (self, pattern))
        if modules != pattern_modules or self.full().outputs != pattern.full().outputs:
            raise HRNetError(
                f"the links of {pattern.name} (modules {pattern_modules}, outputs {list(pattern.outputs)}) do not fit "
                f"{self.name} (modules {modules}, outputs {list(self.outputs)})"
            )
        widths = {
            group: max(1, round(self.full_widths[group] * width / pattern.full_widths[group])) for group, width in pattern.widths
        }
        spec = dataclasses.replace(
            self, head_branches=pattern.head_branches, links=pattern.links, removed_blocks=pattern.removed_blocks
        )
        return spec.with_widths(widths)

    def liveness(self) -> Liveness:
        """Walk back from the outputs, and return the branches and links from which a path leads to an output."""
        branches: set[BranchModule] = set()
        links: set[FusionLink] = set()
        needed = set(self.outputs)  # targets of the exchange unit that are read
        for stage in range(self.last_stage, FIRST_STAGE - 1, -1):
            for module in range(self.stage(stage).modules - 1, -1, -1):
                into = {link for link in self.links if (link.stage, link.module) == (stage, module) and link.target in needed}
                needed |= {link.source for link in into}
                links |= into
                branches |= {BranchModule(stage, module, branch) for branch in needed}
            if stage - 1 in needed:  # the stage's newest branch starts from the lowest one before it
                needed = (needed - {stage - 1}) | {stage - 2}
        return Liveness(frozenset(branches), frozenset(links))

    def to_json(self) -> JsonObject:
        """Return plain data for `spec.json`; connectivity is stored as the removed links and blocks."""
        data = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "links"}
        data["stages"] = [dataclasses.asdict(stage) for stage in self.stages]
        data["removed_links"] = [link.name for link in sorted(self.removed_links)]
        data["removed_blocks"] = [block.name for block in sorted(self.removed_blocks)]
        data["widths"] = dict(self.widths)
        return data

    @classmethod
    def from_json(cls, data: JsonObject) -> HRNetSpec:
        """Return the spec that `to_json` wrote.

        Raises:
            HRNetError: If the data are not those of a spec.
        """
        place = "not the spec of an HRNet"
        removed = [FusionLink.parse(name) for name in checked_entry(data, "removed_links", list[str], place)]
        blocks = [ResidualBlock.parse(name) for name in checked(data.get("removed_blocks", []), list[str], place)]
        widths = checked(data.get("widths", {}), dict[str, int], place)
        fields = {name: value for name, value in data.items() if name not in ("removed_links", "removed_blocks", "widths")}
        spec: HRNetSpec = checked(fields, cls, place)
        if unknown := frozenset(removed) - spec.possible_links:
            raise HRNetError(f"the network has no link {min(unknown).name}")
        links = spec.possible_links - frozenset(removed)
        return dataclasses.replace(spec, links=links, removed_blocks=frozenset(blocks)).with_widths(widths)

    def network_description(self) -> JsonObject:
        """Describe the shape and connectivity of the network as plain data, for readers that do not know this package."""
        live = self.liveness()
        return {
            "width": self.width,
            "stages": [{"stage": number, "modules": stage.modules} for number, stage in enumerate(self.stages, FIRST_STAGE)],
            "outputs": list(self.outputs),
            "live_branches": [branch.name for branch in sorted(live.branches)],
            "links": [link.name for link in sorted(live.links)],
            "removed_links": [link.name for link in sorted(self.possible_links - live.links)],
            "removed_blocks": [
                block.name for block in sorted(self.removed_blocks) if block.stage == 1 or block.place in live.branches
            ],
            "streams": {
                str(branch): self.channels(branch)
                for branch in range(self.last_stage)
                if self.channels(branch) < self.full_channels(branch)
            },
            "inner_shares": self._inner_shares(),
        }

    def _inner_shares(self) -> dict[str, float]:
        """The share of inner channels that the blocks of each live branch of a module keep, where it is below 1."""
        full, kept = self.full(), dict[str, float]()
        for place in sorted(self.liveness().branches):
            every = [group for group in full.full_widths if group.startswith(f"{place.name}_block")]
            built = {f"{block.name}_conv" for block in self.blocks(place)}
            channels = sum(self.width_of(group) for group in every if group[:-1] in built)
            share = channels / sum(full.full_widths[group] for group in every)
            if share < 1:
                kept[place.name] = round(share, 4)
        return kept


def check_input_size(size: Size, multiple: int) -> None:
    """Raise HRNetError unless height and width are multiples of `multiple` up to `MAX_SIZE` pixels."""
    if min(size) < multiple or any(side % multiple or side > MAX_SIZE for side in size):
        raise HRNetError(
            f"`input_size`: height and width must be multiples of {multiple} up to {MAX_SIZE}, got {size[0]}x{size[1]}"
        )
