"""Restore a run from a float32 `.tflite`, to prune or fine-tune a network whose run is lost.

The convolutions of the file have BatchNorm folded in. With mean m and variance v of a convolution's output, measured on
images, BatchNorm with mean m, variance v, gamma = sqrt(v + epsilon) and beta = bias + m computes the same function, and
training continues from it as from the original.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.samples import dataset_inputs
from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.inference import Inference
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights, set_model_weights
from hrnet_tf.spec.architectures import network_from_json
from hrnet_tf.spec.baselines.layers import epsilon_of
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import PYRAMID, HRNetSpec
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder
from mobile_eval.image.geometry import UDP
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import ModelDescription
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.typed import Json, JsonObject

BATCH_NORM_SAMPLES = 256
MAX_BATCH_SIZE = 64


def restore_run(path: Path | str, data: TaskDataset, output: Path | str, *, memory_budget: int = MEMORY_BUDGET) -> Run:
    """Restore a run from a float32 `.tflite`.

    Args:
        path: A float32 file that `hrnet convert` wrote.
        data: Dataset of the network's task; BatchNorm statistics are measured on its first items.
        output: Run folder to write.
        memory_budget: Memory for activations, in bytes.

    Returns:
        The run.

    Raises:
        HRNetError: If the file is not float32, not of an HRNet or does not hold the spec, or if `output` exists.
    """
    check_tf_keras("restoring from a .tflite file")
    output, description = Path(output), read_description(path)
    if description.precision != "float32":
        raise HRNetError(f"{path} is {description.precision}; only a float32 file holds the trained weights")
    if "spec" not in description.network:
        raise HRNetError(f"{path} does not hold the spec of its network")
    if output.exists():
        raise HRNetError(f"{output} already exists; give another `output`")
    spec, folded = _load_folded(path, description.network["spec"])
    crops = dataset_inputs(data, spec, BATCH_NORM_SAMPLES, geometry=description.input.geometry).map(normalize)
    model = build_model(spec)
    batches = crops.batches(batch_size_for(spec, memory_budget, most=MAX_BATCH_SIZE))
    weights = unfold_batch_norm(model_weights(model), folded, batches)
    set_model_weights(model, weights)
    run = Run(output, "import", spec, *_category_and_config(path, description))
    with complete_folder(output) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / run.weights_path.name, weights)
    return run


def _category_and_config(path: Path | str, description: ModelDescription) -> tuple[JsonObject, JsonObject]:
    """The entries of run.json that a file's description knows."""
    category = description.category.to_json()
    if description.classes:
        category = {"name": description.task, "classes": list(description.classes)}
    config: JsonObject = {"restored": str(path), "heatmap_offset": description.output.offset}
    if description.input.geometry == UDP:
        config["targets"] = UDP
    return category, config


def _load_folded(path: Path | str, stored_spec: Json) -> tuple[HRNetSpec, KerasModel]:
    """The spec in a file's description, and its folded model with the file's weights."""
    try:
        spec = network_from_json(stored_spec)
        if not isinstance(spec, HRNetSpec):
            raise HRNetError(f"{path} is a {spec.name}; only HRNets can be restored")
        if spec.head_kind == PYRAMID:
            raise HRNetError(f"{path} has a head of its own; only networks of the package can be restored")
        folded = build_model(spec, folded=True)
        set_model_weights(folded, folded_weights(TFLiteGraph(path)))
    except HRNetError as error:
        raise HRNetError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return spec, folded


def folded_weights(graph: TFLiteGraph) -> Weights:
    """Read the kernels and biases of all convolutions and dense layers.

    Args:
        graph: A float32 file.

    Returns:
        Kernels (h, w, in, out) or (in, out) and biases (out,), by the names of the folded network's variables.

    Raises:
        HRNetError: If a kernel or bias is not constant.
    """
    weights: Weights = {}
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
            kernel, bias = graph.constant(operator.index, 1), graph.constant(operator.index, 2)
            if kernel is None or bias is None:
                raise HRNetError(f"{graph.path}: {operator.layer} has no constant kernel and bias")
            weights[f"{operator.layer}/kernel"] = np.moveaxis(kernel, 0, -1)
            weights[f"{operator.layer}/bias"] = bias
    return weights


def unfold_batch_norm(weights: Weights, folded: KerasModel, batches: Iterable[NDArray[np.float32]]) -> Weights:
    """Compute weights with BatchNorm for the function of a folded network.

    Args:
        weights: Weights of the network with BatchNorm, for their names and for those that the folded network lacks.
        folded: The folded network.
        batches: Images (N, H, W, 3), normalized, to measure BatchNorm statistics on.
    """
    result, folded_values = dict(weights), model_weights(folded)
    conv_of_norm = {
        name.removesuffix("/gamma"): name.replace("_bn", "_conv").removesuffix("/gamma")
        for name in weights
        if name.endswith("/gamma")
    }
    statistics = _statistics(folded, sorted(set(conv_of_norm.values())), batches)
    for name, value in folded_values.items():
        if name in result:
            result[name] = value
    for norm, conv in conv_of_norm.items():
        mean, variance = statistics[conv]
        result[f"{norm}/gamma"] = np.sqrt(variance + epsilon_of(norm)).astype(np.float32)
        result[f"{norm}/beta"] = (folded_values[f"{conv}/bias"] + mean).astype(np.float32)
        if f"{conv}/bias" in result:
            result[f"{conv}/bias"] = np.zeros_like(mean)  # beta includes it
        result[f"{norm}/moving_mean"], result[f"{norm}/moving_variance"] = mean, variance
    return result


def _statistics(
    folded: KerasModel, layers: list[str], batches: Iterable[NDArray[np.float32]]
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Mean and variance (channels,) of the output of each convolution, without its bias and activation."""
    outputs = []
    for name in layers:
        layer = folded.get_layer(name)
        linear = keras.layers.Conv2D(layer.filters, layer.kernel_size, layer.strides, layer.padding, use_bias=False)
        maps = keras.backend.reshape(linear(layer.input), (-1, layer.filters))
        linear.set_weights([layer.get_weights()[0]])
        outputs.append(keras.backend.stack([keras.backend.mean(maps, 0), keras.backend.mean(maps**2, 0)]))
    model = keras.Model(folded.input, dict(zip(layers, outputs, strict=True)))
    inference = Inference(model, folded.input_shape[1:])
    sums, count = {name: np.zeros((2, folded.get_layer(name).filters)) for name in layers}, 0
    for batch in batches:
        for name, moments in inference(batch).items():
            sums[name] += len(batch) * moments.astype(np.float64)
        count += len(batch)
    result = {}
    for name, moments in sums.items():
        mean, square = moments / count
        result[name] = mean.astype(np.float32), np.maximum(square - mean**2, 0).astype(np.float32)
    return result
