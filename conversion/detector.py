"""Convert a detector's run to its two `.tflite` files.

`detector.tflite` takes the image; it outputs the feature pyramid and the region proposal network's objectness and deltas for
each anchor. `detector.boxes.tflite` takes the pooled features of the proposals; in int8 as one image, whose convolutions an
accelerator runs for all proposals at once. Non-maximum suppression and RoIAlign run between the two, in
`mobile_eval.tasks.detection`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.checks.parity import ErrorSums, Parity
from conversion.description import describe_boxes, describe_maps
from conversion.draft import ConversionResult, ConversionSettings, DescribedModel, make_draft, save_models, temporary_files
from conversion.flatbuffer import calibration_inputs
from conversion.metadata import with_metadata
from conversion.model_info import ModelInfo
from conversion.models import with_camera_input
from conversion.quantization.samples import Inputs, Samples
from conversion.targets.dense_layers import with_convolutions
from hrnet_tf.models.detection.two_stage import LEVELS, JoinedDetector
from hrnet_tf.models.trunk import detector_spec_of, is_quantized
from hrnet_tf.spec.detection import detection_widths, rounds_up
from mobile_eval.errors import HRNetError
from mobile_eval.files import sha256
from mobile_eval.model.description import BoxesFile, ModelDescription
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.constants import BOX_HEAD_LEVELS, BOX_HEAD_SUFFIX
from mobile_eval.tasks.detection.tensor_shapes import tensor_shapes

COMPARED_IMAGES = 8
BOX_IMAGES = 32  # images whose proposals calibrate the box head
PYRAMID, OBJECTNESS = LEVELS[:BOX_HEAD_LEVELS], tuple(f"{level}_objectness" for level in LEVELS)
DELTAS = tuple(f"{level}_deltas" for level in LEVELS)
MAP_TENSORS = (*PYRAMID, *OBJECTNESS, *DELTAS)  # outputs of the first file
BOX_TENSORS = ("class_logits", "box_deltas")  # outputs of the second


def boxes_path(path: Path | str) -> Path:
    """Return the path of the second file: detector.boxes.tflite for detector.tflite."""
    path = Path(path)
    return path.with_name(f"{path.stem}{BOX_HEAD_SUFFIX}{path.suffix}")


def convert_detector(
    detector: JoinedDetector, info: ModelInfo, output: Path, samples: Samples, settings: ConversionSettings
) -> ConversionResult:
    """Convert both stages of a detector, each compared with Keras before either is written; see `convert.convert_run`.

    Args:
        detector: The two stages, folded or quantized.
        info: What is known of the detector.
        output: The first file to write; the second goes to `boxes_path(output)`.
        samples: Images for calibration and comparison.
        settings: How to convert.
    """
    options, fake_quantized, maps = settings.options, is_quantized(detector), detector.maps
    compared = samples.head(COMPARED_IMAGES)
    pooled = samples.images.head(BOX_IMAGES).map(functools.partial(_pooled, detector, info)).cached(settings.memory_budget)
    if options.camera:
        maps = with_camera_input(maps, info.mean, info.std, integer=options.format == "int8")
    maps_draft = make_draft(maps, None if fake_quantized else calibration_inputs(samples.images, info, options), settings)
    # The second file takes the outputs of the first, in any case not a camera's bytes.
    box_settings = dataclasses.replace(settings, options=dataclasses.replace(options, input_type=None))
    proposals = detector.select_proposals.count
    rewrite = with_convolutions if options.format == "int8" else None
    boxes_draft = make_draft(detector.boxes, None if fake_quantized else pooled, box_settings, proposals, rewrite)
    spec = detector_spec_of(detector)
    boxes = BoxesFile(
        boxes_path(output).name,
        "",
        detection_widths(spec)[0],
        detector.select_proposals.candidates,
        proposals,
        rounds_up(spec),
    )
    boxes_description = describe_boxes(info, box_settings.options, boxes_draft, boxes, compared)
    boxes_flatbuffer = with_metadata(boxes_draft.flatbuffer, boxes_description)
    boxes = dataclasses.replace(boxes, sha256=sha256(boxes_flatbuffer))
    maps_description = describe_maps(info, options, maps_draft, boxes, compared)
    files = [
        DescribedModel(output, with_metadata(maps_draft.flatbuffer, maps_description), maps_description),
        DescribedModel(boxes_path(output), boxes_flatbuffer, dataclasses.replace(boxes_description, boxes=boxes)),
    ]
    for file in files:
        check_shapes_differ(file.description)
    with temporary_files(files) as paths:
        parities = _parities(detector, info, paths, compared, pooled.head(COMPARED_IMAGES))
    return save_models(files, parities, options)


def check_shapes_differ(description: ModelDescription) -> None:
    """Check that no two outputs of a file have the same shape, by which the device tells them apart.

    Raises:
        HRNetError: If two have the same shape.
    """
    shapes = tensor_shapes(description)[1]
    duplicate = next((shape for index, shape in enumerate(shapes) if shape in shapes[:index]), None)
    if duplicate:
        raise HRNetError(
            f"two outputs of the detector have the shape {duplicate}; train it with another `head_width` or input size"
        )


def _pooled(detector: JoinedDetector, info: ModelInfo, image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Features (R, 7, 7, C) that RoIAlign pools for the proposals of an image (H, W, 3)."""
    features = detector.pool_proposals(detector.maps(info.prepare(image[None]), training=False))["pooled"]
    return np.asarray(features.numpy()[0])


def _parities(
    detector: JoinedDetector, info: ModelInfo, paths: Sequence[Path], samples: Samples, pooled: Inputs[np.float32]
) -> list[Parity]:
    """Errors of the outputs of both files, the levels of the pyramid together; both stages take the inputs that Keras's take."""
    maps_model, boxes_model = map(TFLiteModel, paths)
    pooled_shape, _ = tensor_shapes(boxes_model.description)
    groups = {"maps": PYRAMID, "objectness": OBJECTNESS, "anchor deltas": DELTAS}
    sums = {name: ErrorSums() for name in (*groups, *BOX_TENSORS)}
    for image in samples.images:
        expected_maps = detector.maps(info.prepare(image[None]), training=False)
        actual_maps = maps_model.outputs(maps_model.to_input(image[None]))
        for group, names in groups.items():
            for name in names:
                sums[group].add(expected_maps[name].numpy(), actual_maps[MAP_TENSORS.index(name)])
    for features in pooled:
        expected_boxes = detector.boxes(features, training=False)
        actual_boxes = boxes_model.outputs(quantize(features.reshape(pooled_shape), boxes_model.description.input.tensor))
        for name, values in zip(BOX_TENSORS, actual_boxes, strict=True):
            sums[name].add(expected_boxes[name].numpy(), values.reshape(expected_boxes[name].shape))
    count = len(samples.images)
    return [total.parity(name.replace("_", " "), count, samples.kind) for name, total in sums.items()]
