"""Named networks, and variations of them.

Sizes of HRNets: Deep High-Resolution Representation Learning (arXiv 1908.07919) and the official repositories. The
bottleneck networks are those in the paper's table, not the repositories' W44; the small pose networks have
the small trunks of the classification repository and the pose head. pose-w16 is pose-w32 at half the width, at the paper's
depth and small enough to train without a GPU. pose-micro is for microcontrollers: three branches, one module per stage. find-*
are detectors by centers (Objects as Points, arXiv 1904.07850) on the same trunks.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Sequence

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.registry import BASELINES
from hrnet_tf.spec.network import CENTERS, OBJECT_CONTEXT, HRNetSpec, StageSpec
from mobile_eval.errors import HRNetError
from mobile_eval.typed import Size

InputSize = Size | int | str  # (height, width) in pixels, one number for both, or "256x192"
Modules = Sequence[int] | str  # numbers of modules in stages 2 to 4: (1, 4, 3) or "1,4,3"

_SIZES = {  # task: input size (height, width) in the paper, and number of joints, landmarks or classes
    "pose": ((256, 192), 17),  # COCO
    "landmarks": ((256, 256), 98),  # WFLW
    "segmentation": ((1024, 2048), 19),  # Cityscapes
    "classification": ((224, 224), 1000),  # ImageNet
    "detection": ((800, 1216), 80),  # COCO
}
MICRO_SIZE = (96, 64)  # input size of pose-micro
SMALL_DETECTOR = ((320, 320), 64)  # input size and head width of the small detectors
SMALL_FINDER, FINDER = ((320, 320), 32), ((512, 512), 64)  # those of detectors by centers; the paper's input size
_INTERPOLATIONS = {"landmarks": "bilinear", "segmentation": "bilinear"}  # of the official repositories; nearest for other tasks
_STANDARD = (StageSpec(1, 4), StageSpec(4, 4), StageSpec(3, 4))


def default_size(task: str) -> Size:
    """Return the input size (height, width) of a task in the papers."""
    return _SIZES[task][0]


def interpolation_of(task: str) -> str:
    """Return how the fusion links of the official network for a task upsample."""
    return _INTERPOLATIONS.get(task, "nearest")


def _hrnet(
    name: str,
    task: str,
    width: int,
    stages: tuple[StageSpec, ...] = _STANDARD,
    *,
    stage1_blocks: int = 4,
    stage1_width: int = 64,
    stem_width: int = 64,
    block: str = "basic",
) -> HRNetSpec:
    input_size, classes = _SIZES[task]
    return HRNetSpec(
        name,
        width,
        input_size,
        classes,
        stages,
        stem_width=stem_width,
        stage1_blocks=stage1_blocks,
        stage1_width=stage1_width,
        task=task,
        block=block,
        interpolation=interpolation_of(task),
    ).full()


def _small_detector(spec: HRNetSpec) -> HRNetSpec:
    input_size, head_width = SMALL_DETECTOR
    return dataclasses.replace(spec, input_size=input_size, head_width=head_width)


def _finder(spec: HRNetSpec, input_size: Size, head_width: int) -> HRNetSpec:
    return dataclasses.replace(spec, input_size=input_size, head=CENTERS, head_width=head_width)


def _object_context(name: str, width: int) -> HRNetSpec:
    spec = _hrnet(name, "segmentation", width)
    return dataclasses.replace(spec, head=OBJECT_CONTEXT, interpolation="aligned")  # as HRNet/HRNet-Semantic-Segmentation


def _small_v1(name: str, task: str) -> HRNetSpec:
    return _hrnet(name, task, 16, (StageSpec(1, 2),) * 3, stage1_blocks=1, stage1_width=32)


def _small_v2(name: str, task: str) -> HRNetSpec:
    return _hrnet(name, task, 18, (StageSpec(1, 2), StageSpec(3, 2), StageSpec(2, 2)), stage1_blocks=2)


def _micro(name: str, task: str) -> HRNetSpec:
    spec = _hrnet(name, task, 12, (StageSpec(1, 2),) * 2, stage1_blocks=1, stage1_width=16, stem_width=16)
    return dataclasses.replace(spec, input_size=MICRO_SIZE)


_HRNETS = (
    *(_hrnet(f"pose-w{width}", "pose", width) for width in (16, 32, 48)),
    _small_v1("pose-small-v1", "pose"),
    _small_v2("pose-small-v2", "pose"),
    _micro("pose-micro", "pose"),
    *(_hrnet(f"segment-w{width}", "segmentation", width) for width in (18, 40, 48)),
    _object_context("segment-w18-ocr", 18),
    _object_context("segment-w48-ocr", 48),
    _small_v1("segment-small-v1", "segmentation"),
    _small_v2("segment-small-v2", "segmentation"),
    _hrnet("landmarks-w18", "landmarks", 18),
    _small_v1("landmarks-small-v1", "landmarks"),
    _small_v2("landmarks-small-v2", "landmarks"),
    *(_hrnet(f"detect-w{width}", "detection", width) for width in (18, 32, 40, 48)),
    _small_detector(_small_v1("detect-small-v1", "detection")),
    _small_detector(_small_v2("detect-small-v2", "detection")),
    _finder(_hrnet("find-w18", "detection", 18), *FINDER),
    _finder(_small_v1("find-small", "detection"), *SMALL_FINDER),
    *(_hrnet(f"classify-w{width}", "classification", width) for width in (18, 30, 32, 40, 44, 48, 64)),
    _small_v1("classify-small-v1", "classification"),
    _small_v2("classify-small-v2", "classification"),
    *(_hrnet(f"classify-w{width}-bottleneck", "classification", width, block="bottleneck") for width in (44, 76, 96)),
)
_BASELINES = tuple(network for kind in BASELINES for network in kind.presets())
_TASKS = tuple(dict.fromkeys(network.task for network in _HRNETS))  # in the order of tables: of each task, HRNets first
_ALL: tuple[Network, ...] = (*_HRNETS, *_BASELINES)
PRESETS = {network.name: network for network in sorted(_ALL, key=lambda network: _TASKS.index(network.task))}


def preset(name: str) -> Network:
    """Return the network of that name, at full connectivity.

    Raises:
        HRNetError: If there is no such network.

    Example:
        >>> preset("pose-w32").input_size
        (256, 192)
    """
    if name not in PRESETS:
        raise HRNetError(f"no model named {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def list_presets(task: str | None = None) -> list[str]:
    """Return the names of the presets.

    Args:
        task: Name of a task: "pose", "landmarks", "segmentation", "classification" or "detection"; None for all tasks.

    Returns:
        Names for `HRNet`, `HRNetBackbone` or `Baseline`.

    Raises:
        HRNetError: There is no such task.

    Example:
        >>> list_presets("landmarks")
        ['landmarks-w18', 'landmarks-small-v1', 'landmarks-small-v2']
    """
    if task is not None and task not in _SIZES:
        raise HRNetError(f"`task` must be one of {', '.join(_SIZES)}, got {task!r}")
    return [name for name, network in PRESETS.items() if task in (None, network.task)]


def parse_size(text: str) -> Size:
    """Return the (height, width) of a text such as "256x192".

    Raises:
        HRNetError: If the text is not a size.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise HRNetError(f"`input_size` must be HEIGHTxWIDTH in pixels, such as 256x192, got {text!r}")
    return int(match[1]), int(match[2])


def as_size(value: InputSize) -> Size:
    """Return the (height, width) of an input size as people type it: 96, (256, 192) or "256x192".

    Raises:
        HRNetError: If the value is not a size.

    Example:
        >>> as_size(96), as_size((256, 192)), as_size("256x192")
        ((96, 96), (256, 192), (256, 192))
    """
    if isinstance(value, str):
        return parse_size(value)
    try:
        height, width = (value, value) if isinstance(value, int) else value
        return operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        raise HRNetError(f"`input_size` must be a number of pixels or (height, width), got {value!r}") from None


def as_modules(value: Modules) -> tuple[int, ...]:
    """Return numbers of modules as people type them: (1, 4, 3) or "1,4,3".

    Raises:
        HRNetError: If the value is not one number for each of one to three stages.

    Example:
        >>> as_modules("1,4,3")
        (1, 4, 3)
    """
    try:
        numbers = value.split(",") if isinstance(value, str) else list(value)
        counts = tuple(int(number) if isinstance(number, str) else operator.index(number) for number in numbers)
    except (TypeError, ValueError):
        counts = ()
    if not 1 <= len(counts) <= 3:
        raise HRNetError(f"`modules` must be one number per stage, such as 1,4,3, got {value!r}")
    return counts


def customized(
    spec: Network,
    *,
    input_size: InputSize | None = None,
    width: int | None = None,
    modules: Modules | None = None,
    blocks: int | None = None,
    stem_width: int | None = None,
    stage1_blocks: int | None = None,
    stage1_width: int | None = None,
    head_width: int | None = None,
) -> Network:
    """Return a network at full connectivity with some sizes changed; None keeps that of `spec`.

    Args:
        spec: The network to start from.
        input_size: (height, width) in pixels, one number for both, or "256x192". Networks other than HRNets take only this.
        width: Number of channels of branch 0.
        modules: Number of modules in stages 2 to 4, such as (1, 4, 3) or "1,4,3"; fewer numbers make fewer stages.
        blocks: Number of residual blocks per branch in a module.
        stem_width: Number of channels of the stem.
        stage1_blocks: Number of blocks in stage 1.
        stage1_width: Inner width of the blocks of stage 1.
        head_width: Width of the head, see `HRNetSpec`.

    Raises:
        HRNetError: If the network cannot have such a size.

    Example:
        >>> customized(preset("pose-w32"), input_size=(128, 96), width=16).width
        16
    """
    size = spec.input_size if input_size is None else as_size(input_size)
    sizes = {"width": width, "stem_width": stem_width, "stage1_blocks": stage1_blocks, "stage1_width": stage1_width}
    if not isinstance(spec, HRNetSpec):
        unsupported = ", ".join(
            f"`{name}`"
            for name, value in {**sizes, "modules": modules, "blocks": blocks, "head_width": head_width}.items()
            if value is not None
        )
        if unsupported:
            raise HRNetError(f"only `input_size` of {spec.name} can be set, a {spec.title}; got {unsupported}")
        return dataclasses.replace(spec, input_size=size)
    numbers = {name: getattr(spec, name) if number is None else number for name, number in sizes.items()}
    return dataclasses.replace(
        spec,
        input_size=size,
        width=numbers["width"],
        stages=_stages(spec, modules, blocks),
        stem_width=numbers["stem_width"],
        stage1_blocks=numbers["stage1_blocks"],
        stage1_width=numbers["stage1_width"],
        head_width=spec.head_width if head_width is None else head_width,
        links=frozenset(),
    ).full()


def _stages(spec: HRNetSpec, modules: Modules | None, blocks: int | None) -> tuple[StageSpec, ...]:
    """The stages of `spec` with other numbers of modules and blocks."""
    counts = tuple(stage.modules for stage in spec.stages) if modules is None else as_modules(modules)
    return tuple(StageSpec(count, spec.stages[0].blocks if blocks is None else blocks) for count in counts)
