"""Fake quantization of a detector, stage by stage: each becomes a file of its own on the device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGNED_LEVELS, DetectorStages, JoinedDetector, stages_of
from hrnet_tf.models.inference import Inference, extremes_model
from hrnet_tf.spec.network import HRNetSpec

PROPOSALS_FOR_RANGES = 32  # per image; enough to estimate the ranges of the box head


def quantized_detector(network: KerasModel, spec: HRNetSpec, quantize: Callable[[KerasModel], KerasModel]) -> JoinedDetector:
    """A detector whose stages are those of the folded `network`, each passed through `quantize`."""
    stages = stages_of(network)
    return JoinedDetector(DetectorStages(quantize(stages.maps), quantize(stages.boxes)), spec)


def detector_extremes(network: KerasModel) -> Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """A function from images (N, H, W, 3) to the (minimum, maximum) of each layer's output in both stages."""
    stages, align = stages_of(network), RoIAlign()
    run_maps, run_boxes = (
        Inference(extremes_model(_copy(stage)), stage.input_shape[1:]) for stage in (stages.maps, stages.boxes)
    )

    def extremes(batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        maps, proposals = stages.maps(batch, training=False), network(batch, training=False)["proposals"]
        pooled = align([proposals[:, :PROPOSALS_FOR_RANGES], *(maps[level] for level in ALIGNED_LEVELS)])
        return {**run_maps(batch), **run_boxes(tf.reshape(pooled, (-1, *pooled.shape[2:])).numpy())}

    return extremes


def _copy(stage: KerasModel) -> KerasModel:
    """A copy with its outputs in a list, that shares no layers with the detector."""
    listed = keras.Model(stage.input, list(stage.output.values()), name=stage.name)
    copy = keras.models.clone_model(listed)
    copy.set_weights(listed.get_weights())
    return copy
