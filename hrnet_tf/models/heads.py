"""What a network answers with: the heads of HRNetV1, V2, V2p and -C on the branches of the trunk.

Sources: arXiv 1908.07919, figure 4 and section 5; the official repositories for the biases.
"""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.blocks import bottleneck_block
from hrnet_tf.models.layers import Upsampling, add_all, conv_unit
from hrnet_tf.spec.detection import PYRAMID_CHANNELS
from hrnet_tf.spec.network import CLASSIFICATION_FEATURES
from mobile_eval.tasks.detection.constants import PYRAMID_LEVELS

Branches = dict[int, Any]
HEATMAP_LAYER = "head_heatmaps"  # of pose and landmarks


def heatmap_head(x: Any, joints: int) -> Any:
    """HRNetV1: one heatmap a joint at stride 4, a 1x1 convolution with bias: (N, H/4, W/4, joints)."""
    return _answer(x, joints, HEATMAP_LAYER)


def gathered(branches: Branches) -> Any:
    """HRNetV2's representation: all branches at stride 4, upsampled bilinearly, (N, H/4, W/4, 15 * width)."""
    first, *lower = sorted(branches)
    maps = [Upsampling(2**branch, "bilinear", name=f"head_up{branch}")(branches[branch]) for branch in lower]
    return keras.layers.Concatenate(name="head_gathered")([branches[first], *maps]) if maps else branches[first]


def dense_head(branches: Branches, channels: int, classes: int, *, answer: str, folded: bool = False) -> Any:
    """HRNetV2: the gathered branches mixed by a 1x1 convolution to so many `channels` (the paper: as many as before), and a
    1x1 convolution named `answer`, at stride 4."""
    maps = conv_unit(gathered(branches), channels, 1, name="head_mix", bias=True, folded=folded)
    return _answer(maps, classes, answer)


def classification_head(branches: Branches, width: int, classes: int, *, folded: bool = False) -> Any:
    """HRNet-W-C: branches widened by a bottleneck each, summed downwards, pooled: logits (N, classes).

    `width` is the inner width of branch 0's bottleneck, 32 in the paper.
    """
    total = None
    for branch in sorted(branches):
        wide = bottleneck_block(branches[branch], width * 2**branch, name=f"head_widen{branch}", folded=folded)
        if total is not None:
            total = conv_unit(total, wide.shape[-1], 3, name=f"head_down{branch}", stride=2, bias=True, folded=folded)
            wide = add_all([wide, total], name=f"head_sum{branch}")
        total = wide
    total = conv_unit(total, CLASSIFICATION_FEATURES * width, 1, name="head_features", bias=True, folded=folded)
    pooled = keras.layers.GlobalAveragePooling2D(name="head_pool")(total)
    return keras.layers.Dense(classes, name="head_logits")(pooled)


def feature_pyramid(branches: Branches, channels: int = PYRAMID_CHANNELS) -> dict[str, Any]:
    """HRNetV2p: the gathered branches reduced to 256 channels and average-pooled to "P2" ... "P6", strides 4 to 64."""
    reduced = keras.layers.Conv2D(channels, 1, name="neck_reduce")(gathered(branches))
    levels = {}
    for step in range(PYRAMID_LEVELS):
        level = f"P{step + 2}"
        pooled = keras.layers.AveragePooling2D(2**step, name=f"neck_{level}_pool")(reduced) if step else reduced
        levels[level] = keras.layers.Conv2D(channels, 3, padding="same", name=f"neck_{level}_conv")(pooled)
    return levels


def full_size(model: Any) -> Any:
    """A segmentation model whose logits are upsampled bilinearly to the image's size: (N, H, W, classes)."""
    factor = model.input_shape[1] // model.output_shape[1]
    return keras.Model(model.input, Upsampling(factor, "bilinear", name="head_full_size")(model.output), name=model.name)


def _answer(x: Any, channels: int, name: str) -> Any:
    initializer = keras.initializers.RandomNormal(stddev=0.001)  # as the official repositories
    return keras.layers.Conv2D(channels, 1, kernel_initializer=initializer, name=name)(x)
