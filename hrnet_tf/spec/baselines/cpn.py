"""The Cascaded Pyramid Network, for pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hrnet_tf.spec.baselines.base import AuxiliaryOutput, BaselineSpec
from hrnet_tf.spec.baselines.blocks import PROJECTED, bottleneck_block
from hrnet_tf.spec.baselines.layers import ALIGNED, Layers, T
from hrnet_tf.spec.baselines.resnet_trunk import ResNetTrunk
from hrnet_tf.spec.baselines.simple_baseline import COCO_KEYPOINTS, COCO_SIZE
from hrnet_tf.spec.network import MAX_SIZE
from mobile_eval.errors import HRNetError

DEPTHS = (50, 101)
LEVELS = 4
REFINED_SIGMA = 1.4  # of a 7x7 Gaussian of OpenCV, in heatmap pixels
GLOBAL_SIGMAS = (2.6, 2.0, 1.7, 1.4)  # of 15x15, 11x11, 9x9 and 7x7 Gaussians, from the coarsest level
GLOBAL_WEIGHT = 0.5  # the loss of a global map is half a mean squared error, that of the refined one a full one


@dataclass(frozen=True, kw_only=True)
class CPNSpec(BaselineSpec):
    """A ResNet, a GlobalNet that merges its four levels, and a RefineNet that concatenates them (Chen et al., arXiv 1711.07319).

    In training, GlobalNet predicts heatmaps from each level too. The layers are those of the PyTorch port
    (GengDavid/pytorch-cpn).

    Attributes:
        trunk: The ResNet, of output stride 32. Its style decides what the network costs: "caffe" gives the 6.20 GFLOPs of the
            papers, "pytorch" is the port's.
        width: Number of channels of each level, even.
    """

    trunk: ResNetTrunk
    width: int = 256

    architecture: ClassVar[str] = "cpn"
    title: ClassVar[str] = "CPN"
    task: ClassVar[str] = "pose"
    recipe: ClassVar[str] = "cpn"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.width <= MAX_SIZE or self.width % 2:
            raise HRNetError(f"`width` of a CPN must be an even number from 2 to {MAX_SIZE}, got {self.width}")
        if self.trunk.output_stride != 2 ** (LEVELS + 1):
            raise HRNetError(f"`output_stride` of a CPN's ResNet must be 32, got {self.trunk.output_stride}")

    @classmethod
    def presets(cls) -> tuple[CPNSpec, ...]:
        """Return those of the papers, and with the suffix "-pytorch" those of the PyTorch port."""
        return tuple(
            cls(
                name=f"cpn-r{depth}{suffix}",
                input_size=COCO_SIZE,
                classes=COCO_KEYPOINTS,
                trunk=ResNetTrunk.of_depth(depth, style=style),
            )
            for style, suffix in (("caffe", ""), ("pytorch", "-pytorch"))
            for depth in DEPTHS
        )

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        return tuple(AuxiliaryOutput(GLOBAL_WEIGHT, sigma / REFINED_SIGMA) for sigma in GLOBAL_SIGMAS)

    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        levels = self._global_net(layers, self.trunk.forward(layers, image))
        predicted = [self._global_map(layers, x, level) for level, x in enumerate(levels)] if auxiliary else []
        return (self._refine_net(layers, levels), *predicted)

    def _global_net(self, layers: Layers[T], features: tuple[T, ...]) -> list[T]:
        """Merge the levels from coarse to fine; the first is the coarsest."""
        levels: list[T] = []
        for level, x in enumerate(reversed(features)):
            lateral = layers.conv(x, self.width, 1, f"global_lateral{level}")
            if levels:
                up = layers.upsample(levels[-1], 2, f"global_up{level}", ALIGNED)
                up = layers.conv(up, self.width, 1, f"global_merge{level}", relu=False)
                lateral = layers.add([lateral, up], f"global_sum{level}")
            levels.append(lateral)
        return levels

    def _global_map(self, layers: Layers[T], x: T, level: int) -> T:
        """Predict heatmaps from a level."""
        name = f"global_predict{level}"
        x = layers.conv(layers.conv(x, self.width, 1, name), self.classes, 3, name, index=2, norm=False, relu=False)
        return layers.norm(self._full_size(layers, x, level, f"{name}_up"), name, relu=False)

    def _refine_net(self, layers: Layers[T], levels: list[T]) -> T:
        """Refine the coarser levels by more blocks, and predict heatmaps from all."""
        widths, refined = (self.width // 2, self.width // 2, self.width), []
        for level, x in enumerate(levels):
            for block in range(LEVELS - 1 - level):
                x = bottleneck_block(layers, x, widths, f"refine_level{level}_block{block}", PROJECTED)
            refined.append(self._full_size(layers, x, level, f"refine_level{level}_up"))
        x = bottleneck_block(layers, layers.concat(refined, "refine_gathered"), widths, "refine_merged", PROJECTED)
        return layers.conv(x, self.classes, 3, "head", relu=False, output=True)

    def _full_size(self, layers: Layers[T], x: T, level: int, name: str) -> T:
        """Upsample a level to the size of the finest."""
        return x if level == LEVELS - 1 else layers.upsample(x, 2 ** (LEVELS - 1 - level), name, ALIGNED)
