"""A detector's run made into its two `.tflite` files, which are one model for the user.

`detector.tflite` takes the image and gives out the pyramid's maps and what the region proposal network says of the anchors;
`detector.boxes.tflite` takes what the proposals cover. Suppression and RoIAlign lie between them, in `mobile_eval.detector`.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.checks.verify import ErrorSums, Parity, check_finite, check_fully_int8, check_loads, check_versions
from conversion.detector_description import describe_boxes, describe_maps
from conversion.flatbuffer import all_bytes, to_flatbuffer, with_camera_input
from conversion.metadata import with_metadata
from conversion.options import ConvertOptions
from conversion.quantization.samples import CHECKED_ON_RANDOM, SAMPLES, Inputs, Samples, sample_inputs
from hrnet_tf.models.build import build_model
from hrnet_tf.models.detection.joined import JoinedDetector
from hrnet_tf.models.detection.sizes import detection_widths
from hrnet_tf.models.detection.stages import LEVELS, stages_of
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import build_quantized_model
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import sha256, write_bytes
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import save_model_file
from mobile_eval.model.description import RANDOM_IMAGES, BoxesFile, ModelDescription
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.runtime.quantization import quantize
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.detection.constants import BEHIND_IT, LEVELS_READ, tensor_shapes

CHECKED = 8  # images
BOX_IMAGES = 32  # images whose proposals the box head is calibrated on
REJECTED = ".rejected"
MAPS = (*LEVELS[:LEVELS_READ], *(f"{level}_objectness" for level in LEVELS), *(f"{level}_deltas" for level in LEVELS))
ANSWERS = ("class_logits", "box_deltas")


@dataclass(frozen=True)
class DetectorConversion:
    """The two files, their sizes together by themselves and as DEFLATE makes them, and how far each output is from Keras's."""

    path: Path
    boxes_path: Path
    size_bytes: int
    compressed_bytes: int
    parities: tuple[Parity, ...]
    description: ModelDescription
    layers: tuple[Any, ...] = ()

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e6:.2f} MB ({self.compressed_bytes / 1e6:.2f} MB compressed)"
        head = f"{self.path} and {self.boxes_path.name}, which belongs beside it: {size}; load with and without XNNPACK"
        lines = [head, *(f"  {one}" for one in self.parities)]
        return "\n".join([*lines, f"  {CHECKED_ON_RANDOM}"] if self.parities[0].of == RANDOM_IMAGES else lines)


def boxes_path(path: Path | str) -> Path:
    """Where the second file lies: detector.boxes.tflite beside detector.tflite."""
    path = Path(path)
    return path.with_name(f"{path.stem}{BEHIND_IT}{path.suffix}")


def convert_detector(
    run: Run,
    options: ConvertOptions,
    output: Path | str,
    data: TaskDataset | None = None,
    *,
    samples: int = SAMPLES,
    seed: int | None = None,
    runtime: str = "auto",
    memory_budget: int = MEMORY_BUDGET,
) -> DetectorConversion:
    """Convert both stages of `run`, and check each against Keras's before either is written; see `convert.convert_run`."""
    if options.decode:
        raise HRNetError("`decode` is for keypoints: a detector's boxes are found outside of its files")
    if options.softmax:
        raise HRNetError("`softmax` is for classification: a detector's probabilities are found outside of its files")
    tuned = run.quantized and options.format == "int8"
    drawn = sample_inputs(run, options, data, samples, seed, memory_budget)
    images, checked = drawn.images, drawn.head(CHECKED)
    network = load_detector(run, tuned=tuned)
    own = dataclasses.replace(options, input_type=None)  # of the second file: what comes out of the first
    maps = with_camera_input(network.maps, integer=options.format == "int8") if options.camera else network.maps
    inputs = all_bytes(images) if options.camera else images.map(normalize)
    pooled = images.head(BOX_IMAGES).map(functools.partial(_pooled, network)).kept_within(memory_budget)
    proposals, channels = network.find.count, detection_widths(run.hrnet_spec)[0]
    first = to_flatbuffer(maps, options, None if tuned else inputs, memory_budget=memory_budget)
    second = to_flatbuffer(network.boxes, own, None if tuned else pooled, proposals, memory_budget)
    boxes = BoxesFile(boxes_path(output).name, "", channels, network.find.candidates, proposals)
    with tempfile.TemporaryDirectory() as folder:
        drafts = Path(folder, "draft.tflite"), Path(folder, boxes.name)
        for draft, flatbuffer in zip(drafts, (first, second), strict=True):
            draft.write_bytes(flatbuffer)
        interpreters = [_checked(draft, options, runtime) for draft in drafts]
        of_boxes = describe_boxes(run, own, interpreters[1], boxes, checked)
        second = with_metadata(second, of_boxes)
        boxes = dataclasses.replace(boxes, sha256=sha256(second))
        of_maps = describe_maps(run, options, interpreters[0], boxes, checked)
        first = with_metadata(first, of_maps)
        descriptions = of_maps, dataclasses.replace(of_boxes, boxes=boxes)
        for draft, flatbuffer, description in zip(drafts, (first, second), descriptions, strict=True):
            check_told_apart(description)
            save_model_file(draft, flatbuffer, description)
        found = _parities(network, drafts, checked, pooled.head(CHECKED))
    _check_limits(found, options, Path(output), (first, second))
    paths = Path(output), boxes_path(output)
    save_model_file(paths[1], second, descriptions[1])
    save_model_file(paths[0], first, descriptions[0])  # last: where the first file is, the detector is complete
    compressed = sum(len(zlib.compress(flatbuffer, 9)) for flatbuffer in (first, second))
    size = sum(path.stat().st_size for path in paths)
    return DetectorConversion(*paths, size, compressed, tuple(found), descriptions[0])


def load_detector(run: Run, *, tuned: bool) -> JoinedDetector:
    """The trained detector of a run with BatchNorm folded; with fake quantization if `tuned`."""
    weights = load_weights(run.weights_path)
    model = build_quantized_model(run.spec) if tuned else build_model(run.spec, folded=True)
    if tuned:
        model(np.zeros((1, *run.spec.input_size, 3), np.float32))
    set_model_weights(model, weights if run.quantized else fold_batch_norm(weights))
    check_finite(model, run)
    return model if tuned else JoinedDetector(stages_of(model), run.hrnet_spec)


def _pooled(network: JoinedDetector, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the proposals of an image (H, W, 3) cover (R, 7, 7, C)."""
    found = network.pooled(network.maps(normalize(image[None]), training=False))
    return np.asarray(found["pooled"].numpy()[0])


def check_told_apart(description: ModelDescription) -> None:
    """Raise HRNetError where two outputs of a file have the same shape, by which the device knows them."""
    shapes = tensor_shapes(description)[1]
    same = next((shape for index, shape in enumerate(shapes) if shape in shapes[:index]), None)
    if same:
        raise HRNetError(f"two outputs of the detector would be {same}: train it with another head width or input size")


def _checked(draft: Path, options: ConvertOptions, runtime: str) -> Any:
    check_loads(draft)
    check_versions(draft, runtime)
    interpreter = make_interpreter(draft)
    if options.format == "int8" and "float32" not in (options.input_dtype, options.output_dtype):
        check_fully_int8(interpreter)
    return interpreter


def _parities(network: JoinedDetector, drafts: Sequence[Path], checked: Samples, pooled: Inputs) -> list[Parity]:
    """Each output of both files against Keras's, the levels of one kind together; both stages are given the same."""
    first, second = map(TFLiteModel, drafts)
    groups = {"maps": MAPS[:LEVELS_READ], "objectness": MAPS[LEVELS_READ : -len(LEVELS)], "anchor deltas": MAPS[-len(LEVELS) :]}
    sums = {name: ErrorSums() for name in (*groups, *ANSWERS)}
    for image in checked.images:
        maps, found = network.maps(normalize(image[None]), training=False), first.outputs(first.to_input(image[None]))
        for group, names in groups.items():
            for name in names:
                sums[group].add(maps[name].numpy(), found[MAPS.index(name)])
    for one in pooled:
        answers = network.boxes(one, training=False)
        found = second.outputs(quantize(one, second.description.input.tensor))
        for index, name in enumerate(ANSWERS):
            sums[name].add(answers[name].numpy(), found[index])
    return [one.parity(name.replace("_", " "), checked) for name, one in sums.items()]


def _check_limits(parities: Sequence[Parity], options: ConvertOptions, output: Path, flatbuffers: Sequence[bytes]) -> None:
    for one in parities:
        limit = options.error_limit(one.largest)
        if limit is not None and not one.max_error <= limit:
            rejected = [Path(f"{path}{REJECTED}") for path in (output, boxes_path(output))]
            for path, flatbuffer in zip(rejected, flatbuffers, strict=True):
                write_bytes(path, flatbuffer)
            raise HRNetError(f"{one}: over the limit of {limit:g}, kept as {rejected[0]} and {rejected[1].name}")
