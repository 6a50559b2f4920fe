"""A SimpleBaseline spec made into a Keras functional model (Xiao et al., arXiv 1804.06208)."""

from __future__ import annotations

from typing import Any

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.blocks import bottleneck_block
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.heads import heatmap_head
from hrnet_tf.models.layers import DECONVOLUTION, conv_unit, deconv_unit
from hrnet_tf.spec.baseline import DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL, DECONVOLUTIONS, RESNET_WIDTH, SimpleBaselineSpec


def build_simple_baseline(spec: SimpleBaselineSpec, *, folded: bool = False) -> Any:
    """The Keras model of `spec`, from images (N, H, W, 3), normalized float32, to heatmaps (N, H/4, W/4, classes).

    `folded` builds the network with BatchNorm folded into the convolutions; see `folding.fold_batch_norm`.
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    x = build_resnet(image, spec, folded=folded)
    for step in range(1, DECONVOLUTIONS + 1):
        x = deconv_unit(x, DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL, name=f"{DECONVOLUTION}{step}", folded=folded)
    return HRNetModel(image, heatmap_head(x, spec.classes), name=spec.name)


def build_resnet(image: Any, spec: SimpleBaselineSpec, *, folded: bool = False) -> Any:
    """PyTorch's ResNet, whose bottlenecks have their stride in the 3x3: images to features (N, H/32, W/32, 2048)."""
    x = conv_unit(image, RESNET_WIDTH, 7, name="stem", stride=2, folded=folded)
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zeros never exceed what ReLU puts out
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, blocks in enumerate(spec.resnet_blocks, 1):
        width = RESNET_WIDTH * 2 ** (stage - 1)
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            x = bottleneck_block(x, width, name=f"stage{stage}_block{block}", stride=stride, folded=folded)
    return x
