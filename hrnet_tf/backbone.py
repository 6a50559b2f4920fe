"""A spec made into a Keras functional model."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras
from hrnet_tf.blocks import basic_block, bottleneck_block
from hrnet_tf.fusion import exchange_unit
from hrnet_tf.heads import heatmap_head
from hrnet_tf.layers import conv_unit
from hrnet_tf.spec import FIRST_STAGE, BranchModule, HRNetSpec


def build_model(spec: HRNetSpec, *, folded: bool = False) -> Any:
    """The Keras model of `spec`: images (N, H, W, 3), normalized float32, to heatmaps (N, H/4, W/4, joints).

    Only what can reach the output is built. `folded` builds the network with BatchNorm folded into the
    convolutions (same function; see `folding.fold_batch_norm` for its weights): half the layers, which is
    what quantization and conversion cost by.
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    x = conv_unit(image, spec.stem_width, 3, name="stem", index=1, stride=2, folded=folded)
    x = conv_unit(x, spec.stem_width, 3, name="stem", index=2, stride=2, folded=folded)
    for block in range(spec.stage1_blocks):
        x = bottleneck_block(x, spec.stage1_width, name=f"stage1_block{block}", folded=folded)
    branches = build_stages(x, spec, folded=folded)
    return keras.Model(image, heatmap_head(branches[0], spec.joints), name=spec.name)


def build_stages(x: Any, spec: HRNetSpec, *, folded: bool = False) -> dict[int, Any]:
    """Stages 2 and on, from the output of stage 1; maps each output branch to its feature maps."""
    live = spec.liveness()
    branches = {0: x}
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        branches = _transition(branches, stage, spec, folded=folded)
        for module in range(spec.stage(stage).modules):
            name = f"stage{stage}_module{module}"
            branches = {b: maps for b, maps in branches.items() if BranchModule(stage, module, b) in live.branches}
            for branch, maps in branches.items():
                for block in range(spec.stage(stage).blocks):
                    maps = basic_block(maps, spec.channels(branch), name=f"{name}_branch{branch}_block{block}", folded=folded)
                branches[branch] = maps
            links = [link for link in live.links if (link.stage, link.module) == (stage, module)]
            last = stage == spec.last_stage and module == spec.stage(stage).modules - 1
            targets = spec.outputs if last else sorted(branches)
            branches = exchange_unit(branches, links, targets, name=name, folded=folded)
    return branches


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
