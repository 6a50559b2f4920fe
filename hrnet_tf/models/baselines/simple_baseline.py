"""Build the Keras model of a SimpleBaseline (Xiao et al., arXiv 1804.06208)."""

from __future__ import annotations

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.blocks import bottleneck_block, bottleneck_widths
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.heads import heatmap_head
from hrnet_tf.models.layers import DECONVOLUTION, StemPadding, conv_unit, deconv_unit
from hrnet_tf.spec.architectures import network_to_json
from hrnet_tf.spec.baseline import DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL, DECONVOLUTIONS, RESNET_WIDTH, SimpleBaselineSpec


def build_simple_baseline(spec: SimpleBaselineSpec, *, folded: bool = False) -> KerasModel:
    """Build the Keras model of a SimpleBaseline.

    Args:
        spec: The network.
        folded: Whether to build the network with BatchNorm folded into the convolutions, see `folding.fold_batch_norm`.

    Returns:
        A functional model from normalized float32 images (N, H, W, 3) to heatmaps (N, H/4, W/4, classes).
    """
    image = keras.Input((*spec.input_size, 3), name="image")
    x = build_resnet(image, spec, folded=folded)
    for step in range(1, DECONVOLUTIONS + 1):
        x = deconv_unit(x, DECONVOLUTION_CHANNELS, DECONVOLUTION_KERNEL, name=f"{DECONVOLUTION}{step}", folded=folded)
    return HRNetModel(image, heatmap_head({0: x}, spec.classes), name=spec.name)


def build_resnet(image: Tensor, spec: SimpleBaselineSpec, *, folded: bool = False) -> Tensor:
    """Build PyTorch's ResNet, with the strides in the 3x3 convolutions; return features (N, H/32, W/32, 2048)."""
    padding = StemPadding(3, network_to_json(spec))
    x = conv_unit(image, RESNET_WIDTH, 7, name="stem", stride=2, folded=folded, padding=padding)
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zeros do not change a maximum of ReLU outputs
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, blocks in enumerate(spec.resnet_blocks, 1):
        width = RESNET_WIDTH * 2 ** (stage - 1)
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            widths, name = bottleneck_widths(width), f"stage{stage}_block{block}"
            x = bottleneck_block(x, widths, name=name, project=block == 0, stride=stride, folded=folded)
    return x
