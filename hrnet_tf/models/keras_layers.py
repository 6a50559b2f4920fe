"""The layers of `hrnet_tf.spec.baselines.layers`, built with Keras."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Tensor
from hrnet_tf.models.baselines.attention import PixelAttention, RegionMeans
from hrnet_tf.models.baselines.resampling import AdaptiveMean, Resize, Scaling
from hrnet_tf.models.layers import (
    OUTPUT_DTYPE,
    StemPadding,
    Upsampling,
    add_all,
    convolution,
    deconv_unit,
    normalization,
    normalized,
    output_conv,
    output_dense,
)
from hrnet_tf.spec.baselines.layers import NEAREST, ConvUnit, Layers
from mobile_eval.typed import JsonObject

STEM = "stem"  # the convolution that reads the image


class KerasLayers(Layers[Tensor]):
    """Builds layers of Keras; see `hrnet_tf.spec.baselines.layers.Layers`.

    Args:
        spec: The network, as `hrnet_tf.spec.architectures.network_to_json` returns it, which the padding of the stem carries;
            None for layers without a stem.
        folded: Whether to build the network with BatchNorm folded into the convolutions.
    """

    def __init__(self, spec: JsonObject | None = None, *, folded: bool = False):
        self.spec = spec
        self.folded = folded

    def conv_unit(self, x: Tensor, unit: ConvUnit) -> Tensor:
        if unit.border:  # "same" pads an even size only at the bottom and right
            reads_image = (unit.name.rsplit("_")[-1], unit.index) == (STEM, 1)
            pad_name = f"{unit.name}_pad{unit.index}"
            pad = StemPadding(unit.border, self.spec) if reads_image else keras.layers.ZeroPadding2D(unit.border, name=pad_name)
            x = pad(x)
        fused, dtype = self.folded or not unit.norm, OUTPUT_DTYPE if unit.output else None
        x = convolution(
            unit,
            padding="valid" if unit.border else "same",
            use_bias=unit.bias or (self.folded and unit.norm),
            activation="relu" if fused and unit.relu else None,
            dtype=dtype,
        )(x)
        return x if fused else normalized(x, unit.name, unit.index, relu=unit.relu, dtype=dtype)

    def deconv(self, x: Tensor, channels: int, kernel: int, name: str) -> Tensor:
        return deconv_unit(x, channels, kernel, name=name, folded=self.folded)

    def output_conv(self, x: Tensor, channels: int, name: str) -> Tensor:
        return output_conv(x, channels, name)

    def norm(self, x: Tensor, name: str, *, relu: bool = True) -> Tensor:
        return normalization(x, name, relu=relu, folded=self.folded)

    def relu(self, x: Tensor, name: str) -> Tensor:
        return keras.layers.ReLU(name=name)(x)

    def dropout(self, x: Tensor, rate: float, name: str, *, channels: bool = False) -> Tensor:
        if self.folded:
            return x
        kind = keras.layers.SpatialDropout2D if channels else keras.layers.Dropout
        return kind(rate, name=name)(x)

    def max_pool(self, x: Tensor, kernel: int, name: str) -> Tensor:
        border = (kernel - 1) // 2
        if border:
            x = keras.layers.ZeroPadding2D(border, name=f"{name}_pad")(x)  # zeros do not change a maximum of ReLU outputs
        return keras.layers.MaxPooling2D(kernel, 2, name=name)(x)

    def upsample(self, x: Tensor, factor: int, name: str, interpolation: str = NEAREST) -> Tensor:
        return Upsampling(factor, interpolation, name=name)(x)

    def resize(self, x: Tensor, like: Tensor, name: str, interpolation: str = NEAREST) -> Tensor:
        source, target = tuple(x.shape[1:3]), tuple(like.shape[1:3])
        factor = target[0] // source[0]
        if source != (1, 1) and target == (factor * source[0], factor * source[1]):
            return self.upsample(x, factor, name, interpolation)
        return Resize(target, interpolation, name=name)(x)

    def add(self, maps: Sequence[Tensor], name: str, *, relu: bool = False) -> Tensor:
        total = add_all(list(maps), name=name)
        return keras.layers.ReLU(name=f"{name}_relu")(total) if relu else total

    def mean(self, maps: Sequence[Tensor], name: str) -> Tensor:
        total = add_all(list(maps), name=name)
        return Scaling(1 / len(maps), dtype=OUTPUT_DTYPE, name=name)(total)

    def concat(self, maps: Sequence[Tensor], name: str) -> Tensor:
        return keras.layers.Concatenate(name=name)(list(maps))

    def adaptive_mean(self, x: Tensor, bins: int, name: str) -> Tensor:
        height, width = x.shape[1:3]
        if bins == 1:
            return keras.layers.GlobalAveragePooling2D(keepdims=True, name=name)(x)
        if height % bins or width % bins:
            return AdaptiveMean(bins, name=name)(x)
        return keras.layers.AveragePooling2D((height // bins, width // bins), name=name)(x)

    def global_mean(self, x: Tensor, name: str) -> Tensor:
        return keras.layers.GlobalAveragePooling2D(name=name)(x)

    def region_means(self, features: Tensor, regions: Tensor, name: str) -> Tensor:
        return RegionMeans(name=name)([features, regions])

    def attention(self, query: Tensor, key: Tensor, value: Tensor, name: str) -> Tensor:
        return PixelAttention(name=name)([query, key, value])

    def dense(self, x: Tensor, outputs: int, name: str) -> Tensor:
        return output_dense(x, outputs, name)
