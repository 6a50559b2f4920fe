"""Fake quantization of a detector, stage by stage: each becomes a file of its own on the device."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.models.detection.roi_align import RoIAlign
from hrnet_tf.models.detection.two_stage import ALIGNED_LEVELS, DetectorStages, JoinedDetector, stages_of
from hrnet_tf.models.inference import Inference, extremes, layer_outputs
from hrnet_tf.spec.detection import DetectorSpec

PROPOSALS_FOR_RANGES = 32  # per image; enough to estimate the ranges of the box head


def quantized_detector(network: KerasModel, spec: DetectorSpec, quantize: Callable[[KerasModel], KerasModel]) -> JoinedDetector:
    """A detector whose stages are those of the folded `network`, each passed through `quantize`."""
    stages = stages_of(network)
    return JoinedDetector(DetectorStages(quantize(stages.maps), quantize(stages.boxes)), spec)


def detector_extremes(network: KerasModel) -> Inference:
    """A function from images (N, H, W, 3) to the (minimum, maximum) of each layer's output in both stages."""
    stages, align = stages_of(network), RoIAlign()
    aligned = {level: stages.maps.output[level] for level in ALIGNED_LEVELS}
    tensors = {**aligned, "proposals": network.output["proposals"], "layers": layer_outputs(stages.maps)}
    first, second = keras.Model(network.input, tensors), keras.Model(stages.boxes.input, layer_outputs(stages.boxes))

    def both(batch: Tensor, training: bool) -> dict[str, Tensor]:
        outputs = first(batch, training=training)
        pooled = align([outputs["proposals"][:, :PROPOSALS_FOR_RANGES], *(outputs[level] for level in ALIGNED_LEVELS)])
        boxes = second(tf.reshape(pooled, (-1, *pooled.shape[2:])), training=training)
        return {**extremes(outputs["layers"]), **extremes(boxes)}

    return Inference(both, network.input_shape[1:])
