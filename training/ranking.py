"""How much a network needs each of its fusion links: leave one out, look at what the loss becomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from hrnet_tf.fusion import link_gate_layer
from hrnet_tf.networks import build_model, check_is_pose
from hrnet_tf.runs import Run, save_ranking, write_atomically
from hrnet_tf.spec import FusionLink, HRNetSpec
from hrnet_tf.weights import load_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointDataset
from mobile_eval.decode import decode_heatmaps, keypoints_in_image
from mobile_eval.geometry import Array
from mobile_eval.link_diagram import link_diagram_svg
from mobile_eval.metrics.pck import pck
from training.config import TrainingConfig
from training.data import crop_target, plain_crops
from training.fit import check_category

BATCH = 64


@dataclass(frozen=True)
class LinkImportance:
    """What removing one link alone does, without any recovery: `loss_increase` in heatmap MSE, `pck_drop` in 0..1."""

    loss_increase: float
    pck_drop: float


@dataclass(frozen=True)
class HeldSet:
    """Persons made ready once: crops (N, H, W, 3), matrices (N, 2, 3), heatmaps (N, h, w, K), weights (N, K)."""

    data: KeypointDataset
    crops: NDArray[np.float32]
    matrices: Array
    heatmaps: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def prepare(cls, data: KeypointDataset, spec: HRNetSpec, sigma: float) -> HeldSet:
        """Crops and targets of all persons, without augmentation."""
        crops, matrices = plain_crops(data.persons, spec)
        targets = [crop_target(person, matrix, spec, sigma) for person, matrix in zip(data.persons, matrices, strict=True)]
        return cls(data, crops, matrices, np.stack([t[0] for t in targets]), np.stack([t[1] for t in targets]))

    def measure(self, model: Any) -> tuple[float, float]:
        """Loss (half the mean squared error of labelled joints' heatmaps) and PCK@0.1 of a Keras model."""
        batches = range(0, len(self.crops), BATCH)
        predicted = np.concatenate([model.predict_on_batch(self.crops[start : start + BATCH]) for start in batches])
        loss = 0.5 * np.mean((predicted - self.heatmaps) ** 2 * self.weights[:, None, None])
        keypoints = keypoints_in_image(decode_heatmaps(predicted), self.matrices)
        persons = self.data.persons
        return float(loss), pck(keypoints, np.stack([p.keypoints for p in persons]), [p.box for p in persons]).pck


@contextmanager
def link_silenced(model: Any, link: FusionLink) -> Iterator[None]:
    """Let `link` add nothing inside the `with` block: gamma and beta of its last BatchNorm are zero there."""
    layer = model.get_layer(link_gate_layer(link))
    kept = layer.gamma.numpy(), layer.beta.numpy()
    layer.gamma.assign(0 * kept[0])
    layer.beta.assign(0 * kept[1])
    try:
        yield
    finally:
        layer.gamma.assign(kept[0])
        layer.beta.assign(kept[1])


def rank_links(model: Any, spec: HRNetSpec, held: HeldSet) -> dict[FusionLink, LinkImportance]:
    """Importance of every link of `spec` on the held set, in order of the network."""
    loss, accuracy = held.measure(model)
    importance = {}
    for link in track(sorted(spec.links), "ranking fusion links"):
        with link_silenced(model, link):
            without = held.measure(model)
        importance[link] = LinkImportance(without[0] - loss, accuracy - without[1])
    return importance


def rank_run(run: Run, data: KeypointDataset) -> dict[FusionLink, LinkImportance]:
    """Rank a run's links on `data`; leaves ranking.json and ranking.svg in the run."""
    if run.quantized:
        raise ValueError(f"{run.path} is quantized; rank the run it came from: {run.parent}")
    spec = run.hrnet_spec
    check_is_pose(spec, "ranking")
    check_category(run, data)
    model = build_model(spec)
    set_model_weights(model, load_weights(run.weights_path))
    importance = rank_links(model, spec, HeldSet.prepare(data, spec, run.config.get("sigma", TrainingConfig.sigma)))
    losses = {link: score.loss_increase for link, score in importance.items()}
    about = {
        "method": "leave one out: increase of the heatmap loss",
        "persons": len(data),
        "pck_drop": {link.name: score.pck_drop for link, score in importance.items()},
    }
    save_ranking(run, losses, about)
    picture = link_diagram_svg(spec.network_description(), {link.name: value for link, value in losses.items()})
    write_atomically(run.path / "ranking.svg", lambda beside: beside.write_text(picture, encoding="utf-8"))
    return importance
