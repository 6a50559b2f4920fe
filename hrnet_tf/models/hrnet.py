"""A spec made into a Keras functional model."""

from __future__ import annotations

from functools import partial
from typing import Any

from hrnet_tf.backend.choice import check_tensorflow
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.blocks import bottleneck_block, residual_block
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.fusion import exchange_unit
from hrnet_tf.models.heads import HEATMAP_LAYER, classification_head, dense_head, heatmap_head
from hrnet_tf.models.layers import UnitWrapper, conv_unit
from hrnet_tf.spec.network import FIRST_STAGE, BranchModule, HRNetSpec


def build_hrnet(spec: HRNetSpec, *, folded: bool = False, gate: UnitWrapper | None = None) -> Any:
    """The Keras model of `spec`, from images (N, H, W, 3), normalized float32, to what its task asks for.

    - pose, landmarks: heatmaps (N, H/4, W/4, classes)
    - segmentation: logits (N, H/4, W/4, classes); see `heads.full_size` for those of the image's size
    - classification: logits (N, classes)
    - detection: see `detection.detector_outputs`

    Only what can reach the output is built. `folded` builds the network with BatchNorm folded into the
    convolutions (same function; see `folding.fold_batch_norm` for its weights): half the layers, which is
    what quantization and conversion cost by. `gate`, where given, is applied to what each removable unit adds:
    what a link brings its target, what a residual block adds to its identity path (see `gates`).
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    branches = build_trunk(image, spec, folded=folded, gate=gate)
    if spec.head_kind == "heatmap":
        answer = heatmap_head(branches[0], spec.classes)
    elif spec.head_kind == "multiscale_heatmap":
        answer = dense_head(branches, spec.head_channels, spec.classes, answer=HEATMAP_LAYER, folded=folded)
    elif spec.head_kind == "dense":
        answer = dense_head(branches, spec.head_channels, spec.classes, answer="head_logits", folded=folded)
    elif spec.head_kind == "classification":
        answer = classification_head(branches, spec.head_channels, spec.classes, folded=folded)
    else:
        check_tensorflow("detection")
        from hrnet_tf.models.detection.faster_rcnn import detector_outputs  # keras-cv is heavy and only needed here

        answer = detector_outputs(image, branches, spec)
    return HRNetModel(image, answer, name=spec.name)


def build_trunk(image: Any, spec: HRNetSpec, *, folded: bool = False, gate: UnitWrapper | None = None) -> dict[int, Any]:
    """Stem and all stages: images (N, H, W, 3) to the feature maps of each output branch."""
    x = conv_unit(image, spec.stem_width, 3, name="stem", index=1, stride=2, folded=folded)
    x = conv_unit(x, spec.stem_width, 3, name="stem", index=2, stride=2, folded=folded)
    for block in range(spec.stage1_blocks):
        x = bottleneck_block(x, spec.stage1_width, name=f"stage1_block{block}", folded=folded)
    return build_stages(x, spec, folded=folded, gate=gate)


def build_stages(x: Any, spec: HRNetSpec, *, folded: bool = False, gate: UnitWrapper | None = None) -> dict[int, Any]:
    """Stages 2 and on, from the output of stage 1; maps each output branch to its feature maps."""
    live = spec.liveness()
    branches = {0: x}
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        branches = _transition(branches, stage, spec, folded=folded)
        for module in range(spec.stage(stage).modules):
            name = f"stage{stage}_module{module}"
            branches = {b: maps for b, maps in branches.items() if BranchModule(stage, module, b) in live.branches}
            for branch, maps in branches.items():
                branches[branch] = _branch_module(maps, BranchModule(stage, module, branch), spec, folded=folded, gate=gate)
            links = [link for link in live.links if (link.stage, link.module) == (stage, module)]
            last = stage == spec.last_stage and module == spec.stage(stage).modules - 1
            targets = spec.outputs if last else sorted(branches)
            branches = exchange_unit(
                branches, links, targets, name=name, interpolation=spec.interpolation, folded=folded, gate=gate
            )
    return branches


def _branch_module(maps: Any, place: BranchModule, spec: HRNetSpec, *, folded: bool, gate: UnitWrapper | None) -> Any:
    """The residual blocks that are left of one branch in one module."""
    for block in spec.blocks(place):
        own = partial(gate, unit=block) if gate else None
        maps = residual_block(maps, spec.channels(place.branch), spec.block, name=block.name, folded=folded, gate=own)
    return maps


def _transition(branches: dict[int, Any], stage: int, spec: HRNetSpec, *, folded: bool) -> dict[int, Any]:
    """Start the newest branch of `stage` from the lowest resolution before it; give branch 0 its width once."""
    name = f"transition{stage - 1}"
    started = dict(branches)
    newest = stage - 1
    if BranchModule(stage, 0, newest) in spec.liveness().branches:
        started[newest] = conv_unit(
            branches[newest - 1], spec.channels(newest), 3, name=f"{name}_branch{newest}", stride=2, folded=folded
        )
    if stage == FIRST_STAGE and branches[0].shape[-1] != spec.channels(0):
        started[0] = conv_unit(branches[0], spec.channels(0), 3, name=f"{name}_branch0", folded=folded)
    return started
