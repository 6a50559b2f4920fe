"""Build the Keras model of an HRNet."""

from __future__ import annotations

from functools import partial

from hrnet_tf.backend.choice import check_tensorflow
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.fusion import exchange_unit
from hrnet_tf.models.heads import (
    HEATMAP_LAYER,
    LOGITS_LAYER,
    Branches,
    center_head,
    classification_head,
    dense_head,
    feature_pyramid,
    heatmap_head,
    object_context_logits,
)
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.models.layers import UnitWrapper
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.baselines.blocks import BlockOptions, basic_block, bottleneck_block
from hrnet_tf.spec.detection import detection_widths
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule, FusionLink, ResidualBlock
from hrnet_tf.spec.widths import STEM1, stage1_stream, stem_stream


def build_hrnet(spec: HRNetSpec, *, folded: bool = False, gate: UnitWrapper | None = None, auxiliary: bool = False) -> KerasModel:
    """Build the Keras model of an HRNet; only what can influence an output is built.

    Args:
        spec: The network.
        folded: Whether to build the network with BatchNorm folded into the convolutions. It computes the same with half the
            layers, which makes quantization and conversion faster. `folding.fold_batch_norm` makes its weights.
        gate: Applied to the output of each removable unit: to the feature maps of a link, and to what a residual block adds to
            its identity path. See `gates`.
        auxiliary: Whether to output the soft regions of HRNet-OCR, too, as the second entry of a list.

    Returns:
        A functional model from normalized float32 images (N, H, W, 3) to an output that depends on the head:

        - "heatmap", "multiscale_heatmap": heatmaps (N, H/4, W/4, classes)
        - "dense", "object_context": logits (N, H/4, W/4, classes); `heads.full_size` upsamples them to the size of the image
        - "classification": logits (N, classes)
        - "detection": the dictionary of `detection.faster_rcnn.detector_outputs`
        - "centers": the dictionary of `heads.center_head`
        - "pyramid": the feature maps of the branches, a dictionary of "P2" (N, H/4, W/4, width) to "P5" (N, H/32, W/32, 8 width)
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    branches = build_trunk(image, spec, folded=folded, gate=gate)
    return HRNetModel(image, _build_head(image, branches, spec, folded=folded, auxiliary=auxiliary), name=spec.name)


def _build_head(
    image: Tensor, branches: Branches, spec: HRNetSpec, *, folded: bool, auxiliary: bool
) -> Tensor | list[Tensor] | dict[str, Tensor]:
    match spec.head_kind:
        case "heatmap":
            return heatmap_head(branches, spec.classes)
        case "multiscale_heatmap":
            return dense_head(branches, spec, HEATMAP_LAYER, folded=folded)
        case "dense":
            return dense_head(branches, spec, LOGITS_LAYER, folded=folded)
        case "object_context":
            outputs = object_context_logits(branches, spec, folded=folded)
            return list(outputs) if auxiliary else outputs[0]
        case "pyramid":
            return {f"P{branch + 2}": maps for branch, maps in branches.items()}
        case "classification":
            return classification_head(branches, spec, folded=folded)
        case "centers":
            return center_head(branches, spec, folded=folded)
        case _:
            check_tensorflow("detection")
            from hrnet_tf.models.detection.faster_rcnn import check_image_size, detector_outputs  # its modules need TensorFlow

            check_image_size(spec.input_size)
            return detector_outputs(image, feature_pyramid(branches, detection_widths(spec)[0]), spec)


def build_trunk(image: Tensor, spec: HRNetSpec, *, folded: bool = False, gate: UnitWrapper | None = None) -> dict[int, Tensor]:
    """Build the stem and all stages; return the feature maps of each output branch for images (N, H, W, 3)."""
    layers = KerasLayers(network_to_json(spec), folded=folded)
    x = layers.conv(image, spec.width_of(STEM1), 3, "stem", index=1, stride=2)
    x = layers.conv(x, spec.width_of(stem_stream(spec)), 3, "stem", index=2, stride=2)
    x = _build_stage1(x, spec, folded=folded, gate=gate)
    branches: dict[int, Tensor] = {0: x}
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        branches = _build_transition(branches, stage, spec, folded=folded)
        for module in range(spec.stage(stage).modules):
            branches = _build_module(branches, stage, module, spec, folded=folded, gate=gate)
    return branches


def _build_stage1(x: Tensor, spec: HRNetSpec, *, folded: bool, gate: UnitWrapper | None) -> Tensor:
    for block in spec.stage1_blocks_kept:
        unit = ResidualBlock(1, 0, 0, block)
        first, second = _inner_widths(spec, unit, 2)
        widths = first, second, spec.width_of(stage1_stream(spec))
        options = BlockOptions(project=block == 0 and spec.has_projection)
        block_gate = partial(gate, unit=unit) if gate and block else None  # the first block cannot be removed
        x = bottleneck_block(KerasLayers(folded=folded), x, widths, unit.name, options, block_gate)
    return x


def _inner_widths(spec: HRNetSpec, block: ResidualBlock, convolutions: int) -> tuple[int, ...]:
    return tuple(spec.width_of(f"{block.name}_conv{index}") for index in range(1, convolutions + 1))


def _build_transition(branches: Branches, stage: int, spec: HRNetSpec, *, folded: bool) -> dict[int, Tensor]:
    """Start the new branch of `stage` from the lowest resolution before it; after stage 1, also bring branch 0 to its width."""
    name = f"transition{stage - 1}"
    layers, started = KerasLayers(folded=folded), dict(branches)
    newest = stage - 1
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        started[newest] = layers.conv(branches[newest - 1], spec.channels(newest), 3, f"{name}_branch{newest}", stride=2)
    if stage == FIRST_STAGE and spec.has_first_transition:
        started[0] = layers.conv(branches[0], spec.channels(0), 3, f"{name}_branch0")
    return started


def _build_module(
    branches: Branches, stage: int, module: int, spec: HRNetSpec, *, folded: bool, gate: UnitWrapper | None
) -> dict[int, Tensor]:
    """The residual blocks of all live branches, and the exchange unit."""
    live = spec.liveness()
    places = {branch: BranchModule(stage, module, branch) for branch in branches}
    processed = {
        branch: _build_blocks(maps, places[branch], spec, folded=folded, gate=gate)
        for branch, maps in branches.items()
        if places[branch] in live.branches
    }
    links = {link: _link_widths(spec, link) for link in live.links if (link.stage, link.module) == (stage, module)}
    last = stage == spec.last_stage and module == spec.stage(stage).modules - 1
    return exchange_unit(
        processed,
        links,
        spec.outputs if last else sorted(processed),
        name=f"stage{stage}_module{module}",
        interpolation=spec.interpolation,
        folded=folded,
        gate=gate,
    )


def _link_widths(spec: HRNetSpec, link: FusionLink) -> tuple[int, ...]:
    """The numbers of output channels of the convolutions of a link."""
    inner = (spec.width_of(f"{link.name}_conv{index}") for index in range(1, link.target - link.source))
    return (*inner, spec.channels(link.target))


def _build_blocks(maps: Tensor, place: BranchModule, spec: HRNetSpec, *, folded: bool, gate: UnitWrapper | None) -> Tensor:
    channels, layers = spec.channels(place.branch), KerasLayers(folded=folded)
    for block in spec.blocks(place):
        block_gate = partial(gate, unit=block) if gate else None
        if spec.block == "basic":
            (inner,) = _inner_widths(spec, block, 1)
            maps = basic_block(layers, maps, (inner, channels), block.name, gate=block_gate)
        else:
            first, second = _inner_widths(spec, block, 2)
            maps = bottleneck_block(layers, maps, (first, second, channels), block.name, gate=block_gate)
    return maps
