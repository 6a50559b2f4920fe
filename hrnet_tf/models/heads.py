"""The heads on the branches of the trunk: HRNetV1, V2, V2p and -C, and that of a detector by centers.

Sources: arXiv 1908.07919, figure 4 and section 5; the official repositories for the biases. Objects as Points, arXiv 1904.07850.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.baselines.resampling import Resize
from hrnet_tf.models.keras_layers import KerasLayers
from hrnet_tf.models.layers import Upsampling, add_all, output_conv, output_dense
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.spec.baselines.blocks import BlockOptions, bottleneck_block, bottleneck_widths
from hrnet_tf.spec.baselines.faster_rcnn import PYRAMID_CHANNELS
from hrnet_tf.spec.baselines.layers import ALIGNED, BILINEAR
from hrnet_tf.spec.baselines.object_context import object_context_head
from hrnet_tf.spec.network import CLASSIFICATION_FEATURES, HRNetSpec
from mobile_eval.tasks.detection.constants import CENTERS, OFFSETS, PYRAMID_LEVELS, SIZES

Branches: TypeAlias = Mapping[int, Tensor]  # feature maps (N, H, W, C) by branch
HEATMAP_LAYER, HEATMAP_UPSAMPLING, LOGITS_LAYER = "head_heatmaps", "head_heatmaps_up", "head_logits"
PRIOR_LOGIT = -2.19  # of a center, 0.1 as a probability, as in Objects as Points


def heatmap_head(branches: Branches, joints: int) -> Tensor:
    """HRNetV1: a 1x1 convolution with bias to one heatmap per joint, (N, H/4, W/4, joints).

    The heatmaps of a lower branch than the first are upsampled to stride 4.
    """
    ((branch, x),) = branches.items()
    return heatmap_upsampling(output_conv(x, joints, HEATMAP_LAYER), branch)


def heatmap_upsampling(heatmaps: Tensor, branch: int) -> Tensor:
    """Upsample the heatmaps of a branch to stride 4."""
    return Upsampling(2**branch, "bilinear", name=HEATMAP_UPSAMPLING)(heatmaps) if branch else heatmaps


def dense_head(branches: Branches, spec: HRNetSpec, output_layer: str, *, folded: bool = False) -> Tensor:
    """HRNetV2: all branches mixed by a 1x1 convolution, and a 1x1 convolution named `output_layer`.

    Returns:
        Maps at stride 4, (N, H/4, W/4, classes).
    """
    maps = KerasLayers(folded=folded).conv(_gather(branches), spec.head_channels, 1, "head_mix", bias=True)
    return output_conv(maps, spec.classes, output_layer)


def object_context_logits(branches: Branches, spec: HRNetSpec, *, folded: bool = False) -> tuple[Tensor, Tensor]:
    """HRNet-OCR: logits and soft regions, both (N, H/4, W/4, classes)."""
    interpolation = ALIGNED if spec.is_aligned else BILINEAR
    widths = spec.full_gathered_channels, spec.head_channels, spec.classes
    return object_context_head(KerasLayers(folded=folded), _gather(branches, interpolation), *widths)


def classification_head(branches: Branches, spec: HRNetSpec, *, folded: bool = False) -> Tensor:
    """HRNet-W-C: each branch widened by a bottleneck, summed downwards, and pooled, to logits (N, classes)."""
    layers, width, total = KerasLayers(folded=folded), spec.head_channels, None
    for branch in sorted(branches):
        widths, name = bottleneck_widths(width * 2**branch), f"head_widen{branch}"
        options = BlockOptions(project=spec.full_channels(branch) != widths[2])
        wide = bottleneck_block(layers, branches[branch], widths, name, options)
        if total is not None:
            total = layers.conv(total, wide.shape[-1], 3, f"head_down{branch}", stride=2, bias=True)
            wide = add_all([wide, total], name=f"head_sum{branch}")
        total = wide
    total = layers.conv(total, CLASSIFICATION_FEATURES * width, 1, "head_features", bias=True)
    pooled = keras.layers.GlobalAveragePooling2D(name="head_pool")(total)
    return output_dense(pooled, spec.classes, LOGITS_LAYER)


def feature_pyramid(branches: Branches, channels: int = PYRAMID_CHANNELS) -> dict[str, Tensor]:
    """HRNetV2p: all branches reduced to `channels`, and average-pooled to "P2" ... "P6" with strides 4 to 64."""
    reduced = keras.layers.Conv2D(channels, 1, name="neck_reduce")(_gather(branches))
    levels = {}
    for step in range(PYRAMID_LEVELS):
        level = f"P{step + 2}"
        pooled = keras.layers.AveragePooling2D(2**step, name=f"neck_{level}_pool")(reduced) if step else reduced
        levels[level] = keras.layers.Conv2D(channels, 3, padding="same", name=f"neck_{level}_conv")(pooled)
    return levels


def center_head(branches: Branches, spec: HRNetSpec, *, folded: bool = False) -> dict[str, Tensor]:
    """A detector by centers: all branches reduced, upsampled and summed as links are, a 3x3 convolution, and three outputs.

    Upsampling is nearest, and sums come before it where they can, so that all operators are those of the trunk.

    Returns:
        Maps at stride 4: the logits of centers, "centers" (N, H/4, W/4, classes); the logarithms of width and height in pixels of
        the maps, "sizes" (N, H/4, W/4, 2); x and y of the center from the upper left corner of the pixel, "offsets"
        (N, H/4, W/4, 2).
    """
    layers, width, total = KerasLayers(folded=folded), spec.head_channels, None
    for branch in sorted(branches, reverse=True):
        maps = layers.conv(branches[branch], width, 1, f"head_reduce{branch}", relu=False)
        if total is not None:
            maps = add_all([maps, Upsampling(2, name=f"head_up{branch + 1}")(total)], name=f"head_sum{branch}")
        total = maps
    mixed = layers.conv(layers.relu(total, "head_sum_relu"), width, 3, "head_mix")
    return {
        CENTERS: output_conv(mixed, spec.classes, f"head_{CENTERS}", PRIOR_LOGIT),
        SIZES: output_conv(mixed, 2, f"head_{SIZES}"),
        OFFSETS: output_conv(mixed, 2, f"head_{OFFSETS}", 0.5),
    }


def full_size(model: KerasModel) -> KerasModel:
    """Return a model whose maps are upsampled bilinearly to the size of the image: (N, H, W, classes).

    Half-pixel centers, or the corners in one place for networks that are trained so (`is_aligned` of their spec).
    """
    interpolation = ALIGNED if getattr(spec_of(model), "is_aligned", False) else BILINEAR
    logits = Resize(model.input_shape[1:3], interpolation, name="head_full_size")(model.output)
    return keras.Model(model.input, logits, name=model.name)


def _gather(branches: Branches, interpolation: str = BILINEAR) -> Tensor:
    """HRNetV2's representation: all branches upsampled bilinearly to stride 4 and concatenated, (N, H/4, W/4, 15 * width)."""
    first, *lower = sorted(branches)
    maps = [Upsampling(2**branch, interpolation, name=f"head_up{branch}")(branches[branch]) for branch in lower]
    return keras.layers.Concatenate(name="head_gathered")([branches[first], *maps]) if maps else branches[first]
