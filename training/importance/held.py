"""What importance is measured on: a trained network, and persons that were made ready once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.gates import SUFFIX, Gate, UnitGate, on_units
from hrnet_tf.networks import Network, build_model
from hrnet_tf.spec import HRNetSpec, Unit
from hrnet_tf.weights import Weights, model_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.decode import decode_heatmaps, keypoints_in_image
from mobile_eval.geometry import Array
from mobile_eval.metrics.pck import pck
from training.examples import plain_crops
from training.targets import HeatmapTargets, heatmap_target

BATCH = 64

Scores = dict[Unit, float]
Score = Callable[["TrainedNetwork", "HeldSet"], Scores]


@dataclass(frozen=True)
class TrainedNetwork:
    """A spec, its trained weights (with BatchNorm), and the units of it that are asked about."""

    spec: HRNetSpec
    weights: Weights = field(repr=False)
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, spec: HRNetSpec, weights: Weights, *, blocks: bool = False) -> TrainedNetwork:
        """Ask about every link, and with `blocks` about every residual block of stages 2 and on too."""
        return cls(spec, weights, (*sorted(spec.links), *(sorted(spec.live_blocks) if blocks else ())))

    def gated(self, make: Callable[[str, Unit], Gate] | None = None) -> Any:
        """Its Keras model as at inference (BatchNorm folded), with a gate on each unit: a factor, or `make(name, unit)`."""
        model = build_model(self.spec, folded=True, gate=on_units(frozenset(self.units), make or _plain))
        gates = {name: array for name, array in model_weights(model).items() if f"{SUFFIX}/" in name}
        set_model_weights(model, {**fold_batch_norm(self.weights), **gates})
        return model


def _plain(name: str, unit: Unit) -> Gate:
    return UnitGate(name)


@dataclass(frozen=True)
class HeldSet:
    """Persons made ready once: crops (N, H, W, 3), matrices (N, 2, 3), heatmaps (N, h, w, K), weights (N, K)."""

    data: KeypointDataset
    crops: NDArray[np.float32]
    matrices: Array
    heatmaps: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def prepare(cls, data: KeypointDataset, spec: Network, targets: HeatmapTargets) -> HeldSet:
        """Crops and targets of all persons, without augmentation."""
        crops, matrices = plain_crops(data.persons, spec)
        size, placed = spec.resolution(0), zip(data.persons, matrices, strict=True)
        made = [heatmap_target(person.keypoints, matrix, size, targets) for person, matrix in placed]
        return cls(
            data, crops, matrices, np.stack([heatmaps for heatmaps, _ in made]), np.stack([weights for _, weights in made])
        )

    def __len__(self) -> int:
        return len(self.crops)

    def halves(self) -> tuple[HeldSet, HeldSet]:
        """Every other person, and the rest; both of the same size where their number is even."""
        return self._taken(slice(0, None, 2)), self._taken(slice(1, None, 2))

    def _taken(self, part: slice) -> HeldSet:
        data = KeypointDataset(self.data.category, self.data.persons[part], self.data.coco)
        return HeldSet(data, self.crops[part], self.matrices[part], self.heatmaps[part], self.weights[part])

    def measure(self, model: Any) -> tuple[float, float]:
        """Loss (half the mean squared error of labelled joints' heatmaps) and PCK@0.1 of a Keras model."""
        batches = range(0, len(self), BATCH)
        predicted = np.concatenate([model(self.crops[start : start + BATCH], training=False) for start in batches])
        loss = 0.5 * np.mean((predicted - self.heatmaps) ** 2 * self.weights[:, None, None])
        keypoints = keypoints_in_image(decode_heatmaps(predicted), self.matrices)
        persons = self.data.persons
        return float(loss), pck(keypoints, np.stack([p.keypoints for p in persons]), [p.box for p in persons]).pck
