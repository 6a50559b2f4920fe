"""ResNets for classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import DEPTHS, ResNetTrunk

IMAGENET_SIZE, IMAGENET_CLASSES = (224, 224), 1000
TORCHVISION_DEPTHS = (50, 101, 152)


@dataclass(frozen=True, kw_only=True)
class ResNetSpec(BaselineSpec):
    """A ResNet, the mean of its features, and a dense layer (He et al., arXiv 1512.03385).

    Attributes:
        trunk: The ResNet.
    """

    trunk: ResNetTrunk

    architecture: ClassVar[str] = "resnet"
    title: ClassVar[str] = "ResNet"
    task: ClassVar[str] = "classification"
    recipe: ClassVar[str] = "imagenet"

    @classmethod
    def presets(cls) -> tuple[ResNetSpec, ...]:
        """Return those of the HRNet paper, whose stem is two strided 3x3 convolutions, and torchvision's."""

        def network(name: str, trunk: ResNetTrunk) -> ResNetSpec:
            return cls(name=name, input_size=IMAGENET_SIZE, classes=IMAGENET_CLASSES, trunk=trunk)

        paper = (network(f"resnet-{depth}", ResNetTrunk.of_depth(depth, stem="3x3")) for depth in DEPTHS)
        torchvision = (network(f"resnet-{depth}-torchvision", ResNetTrunk.of_depth(depth)) for depth in TORCHVISION_DEPTHS)
        return (*paper, *torchvision)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        features = layers.global_mean(self.trunk.forward(layers, image)[-1], "head_pool")
        return (layers.dense(features, self.classes, "head_logits"),)
