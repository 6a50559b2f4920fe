"""A run made into a `.tflite`: float32, or int8 from a quantization-aware run or by post-training calibration.

The graph is that of the folded network, so BatchNorm costs nothing on the device and little time here.
"""

from __future__ import annotations

import importlib.metadata
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.verify import check_fully_int8, max_difference
from hrnet_tf._keras import quiet, tf
from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.networks import build_model, check_is_pose, complexity, network_description
from hrnet_tf.quantization import build_quantized_model
from hrnet_tf.runs import PRUNING, Run, load_ranking, read_json
from hrnet_tf.spec import FusionLink
from hrnet_tf.tflite import tflite_converter
from hrnet_tf.weights import load_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointCategory, KeypointDataset
from mobile_eval.decode import HEATMAP_STRIDE
from mobile_eval.geometry import box_matrix
from mobile_eval.model_file import ModelDescription, ModelInput, ModelOutput, TensorFormat, embed_description, save_model_file
from mobile_eval.preprocess import IMAGENET_MEAN, IMAGENET_STD, normalize, read_image, warp_crop
from mobile_eval.runtime import make_interpreter

PRECISIONS = ("float32", "int8")
CALIBRATION_PERSONS = 200
CHECKED_IMAGES = 4
FLOAT_TOLERANCE = 1e-4  # of heatmaps, whose peaks are 1
PACKAGES = ("tensorflow", "tf_keras", "tensorflow-model-optimization", "ai-edge-litert")


@dataclass(frozen=True)
class ConversionResult:
    """The file written, its size by itself and as DEFLATE makes it.

    `max_difference` is the largest of a heatmap value from the Keras model on the checked images.
    """

    path: Path
    size_bytes: int
    compressed_bytes: int
    max_difference: float
    description: ModelDescription

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e6:.2f} MB ({self.compressed_bytes / 1e6:.2f} MB compressed)"
        return f"{self.path}: {size}, heatmaps differ by at most {self.max_difference:.2g} from the Keras model"


def convert_run(run: Run, precision: str, output: Path | str, calibration: KeypointDataset | None = None) -> ConversionResult:
    """Convert `run` to `precision` and check the file against the Keras model before it is written to `output`.

    int8 of a run that was not tuned quantization-aware needs `calibration` persons. The description lies in
    the file and beside it as JSON.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown format {precision!r}; there are {', '.join(PRECISIONS)}")
    check_is_pose(run.spec, "conversion")
    if precision == "float32" and run.quantized:
        raise ValueError(f"{run.path} is quantized; convert the run it came from to float32: {run.parent}")
    if precision == "int8" and not run.quantized and calibration is None:
        raise ValueError(f"{run.path} was not tuned quantization-aware: int8 needs calibration, give --annotations and --images")
    model = load_folded_model(run)
    images = _crops(calibration.head(CALIBRATION_PERSONS), run) if calibration else _random_images(run)
    flatbuffer = _convert(model, precision, None if run.quantized else images)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "draft.tflite")
        draft.write_bytes(flatbuffer)
        interpreter = make_interpreter(draft)
        if precision == "int8":
            check_fully_int8(interpreter)
        description = embed_description(draft, describe(run, precision, interpreter))
        difference = max_difference(model, draft, images[:CHECKED_IMAGES])
    if precision == "float32" and not difference <= FLOAT_TOLERANCE:
        raise ValueError(
            f"the converted heatmaps differ by {difference:.2g} from the Keras model, over {FLOAT_TOLERANCE}: not written"
        )
    save_model_file(output, flatbuffer, description)
    compressed = len(zlib.compress(flatbuffer, 9))
    return ConversionResult(Path(output), Path(output).stat().st_size, compressed, difference, description)


def load_folded_model(run: Run) -> Any:
    """The trained network of a run in the form that is converted: BatchNorm folded, fake quantization if tuned with it."""
    weights = load_weights(run.weights_path)
    model = build_quantized_model(run.spec) if run.quantized else build_model(run.spec, folded=True)
    set_model_weights(model, weights if run.quantized else fold_batch_norm(weights))
    return model


def _convert(model: Any, precision: str, calibration: NDArray[np.float32] | None) -> bytes:
    converter = tflite_converter(model)
    if precision == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        if calibration is not None:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
    with quiet():
        return bytes(converter.convert())


def _crops(data: KeypointDataset, run: Run) -> NDArray[np.float32]:
    """(N, H, W, 3), through the device's own preprocessing."""
    size = run.spec.input_size
    return normalize(np.stack([warp_crop(read_image(p.image_path), box_matrix(p.box, size), size) for p in data.persons]))


def _random_images(run: Run) -> NDArray[np.float32]:
    """Smooth random images, for checking where no real ones are given."""
    rng = np.random.default_rng(0)
    height, width = run.spec.input_size
    coarse = rng.integers(0, 256, (CHECKED_IMAGES, height // 16, width // 16, 3), dtype=np.uint8)
    return normalize(coarse.repeat(16, axis=1).repeat(16, axis=2))


def describe(run: Run, precision: str, interpreter: Any) -> ModelDescription:
    """What the file says of itself."""
    cost = complexity(run.spec)
    importance = None
    if (run.path / "ranking.json").is_file():
        importance = {str(unit): value for unit, value in load_ranking(run).of().items() if isinstance(unit, FusionLink)}
    return ModelDescription(
        name=run.spec.name,
        precision=precision,
        input=ModelInput(run.spec.input_size, IMAGENET_MEAN, IMAGENET_STD, _tensor_format(interpreter.get_input_details()[0])),
        output=ModelOutput("heatmaps", HEATMAP_STRIDE, _tensor_format(interpreter.get_output_details()[0])),
        category=KeypointCategory.from_json(run.category),
        network=network_description(run.spec),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        importance=importance,
        source={"run": str(run.path), "step": run.step, "parent": run.parent, "removal": _removal(run)},
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def _removal(run: Run) -> dict[str, Any] | None:
    """The way to a pruned network, as `hrnet prune` wrote it."""
    if not (run.path / PRUNING).is_file():
        return None
    plan = read_json(run.path / PRUNING)
    return {name: plan[name] for name in ("priced_in", "whole_pck", "steps")}


def _tensor_format(details: dict[str, Any]) -> TensorFormat:
    dtype = np.dtype(details["dtype"]).name
    if dtype == "float32":
        return TensorFormat(dtype)
    scale, zero_point = details["quantization"]
    return TensorFormat(dtype, float(scale), int(zero_point))
