"""What the specs of all networks that HRNet is compared with have in common."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.network import MAX_SIZE, TASK_HEADS, check_input_size
from hrnet_tf.spec.units import FusionLink
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject, Size, checked

if TYPE_CHECKING:
    from typing_extensions import Self  # in `typing` from Python 3.11 on

HEATMAP_STRIDE = 4


@dataclass(frozen=True)
class AuxiliaryOutput:
    """An output that only training needs.

    Attributes:
        weight: Weight of its loss; that of the network's output has 1.
        sigma_ratio: Standard deviation of the Gaussians of its target heatmaps, relative to those of the network's output.
    """

    weight: float
    sigma_ratio: float = 1.0


@dataclass(frozen=True, kw_only=True)
class BaselineSpec(abc.ABC):
    """A network that HRNet is compared with, as frozen data.

    Attributes:
        name: The name of the network.
        input_size: (height, width) of the input image in pixels.
        classes: Number of key points or classes.
        architecture: Name of the class in `spec.json`.
        title: What the network is called in messages.
        task: The task of the network.
        recipe: Name of the recipe that the network is trained with if none is named.
        input_multiple: What height and width of the input must be multiples of.
    """

    name: str
    input_size: Size
    classes: int

    architecture: ClassVar[str]
    title: ClassVar[str]
    task: ClassVar[str]
    recipe: ClassVar[str] = "small"
    input_multiple: ClassVar[int] = 32

    def __post_init__(self) -> None:
        if not 1 <= self.classes <= MAX_SIZE:
            raise HRNetError(f"`classes` must be between 1 and {MAX_SIZE}, got {self.classes}")
        self.check_input_size()

    def check_input_size(self) -> None:
        """Raise HRNetError unless the network takes images of its input size."""
        check_input_size(self.input_size, self.input_multiple)

    @classmethod
    @abc.abstractmethod
    def presets(cls) -> Sequence[BaselineSpec]:
        """Return the named networks of this kind."""

    @abc.abstractmethod
    def forward(self, layers: Layers[T], image: T, *, auxiliary: bool = False) -> tuple[T, ...]:
        """Build the network.

        Args:
            layers: Builds or counts layers.
            image: Normalized images (N, H, W, 3).
            auxiliary: Whether to build the outputs that only training needs, too.

        Returns:
            The output of the network, and with `auxiliary` those of `auxiliary_outputs`.
        """

    @property
    def auxiliary_outputs(self) -> tuple[AuxiliaryOutput, ...]:
        """The outputs that only training needs."""
        return ()

    @property
    def head_kind(self) -> str:
        """The kind of the head, see `HRNetSpec.head_kind`."""
        return TASK_HEADS[self.task]

    @property
    def output_stride(self) -> int:
        """Input pixels per pixel of heatmaps or logits."""
        return HEATMAP_STRIDE

    @property
    def links(self) -> frozenset[FusionLink]:
        """An empty set: the network has no fusion links."""
        return frozenset()

    def resolution(self, branch: int) -> Size:
        """The (height, width) at stride `4 * 2**branch`; heatmaps and logits have that of branch 0."""
        stride = HEATMAP_STRIDE * 2**branch
        return self.input_size[0] // stride, self.input_size[1] // stride

    def to_json(self) -> JsonObject:
        """Return plain data for `spec.json`."""
        return dataclasses.asdict(self)

    def network_description(self) -> JsonObject:
        """Describe the shape of the network as plain data, for readers that do not know this package."""
        common = {field.name for field in dataclasses.fields(BaselineSpec)}
        return {name: value for name, value in self.to_json().items() if name not in common}

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Return the spec that `to_json` wrote.

        Raises:
            HRNetError: If the data are not those of a spec.
        """
        spec: Self = checked(data, cls, f"not the spec of a {cls.title}")
        return spec


def named(spec: BaselineSpec) -> BaselineSpec:
    """Return a spec with the name of the preset that it differs from at most in input size and number of classes, if any."""
    for preset in spec.presets():
        if dataclasses.replace(preset, name=spec.name, input_size=spec.input_size, classes=spec.classes) == spec:
            return dataclasses.replace(spec, name=preset.name)
    return spec
