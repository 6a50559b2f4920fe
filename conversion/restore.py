"""The way back: a float32 `.tflite` of this package as a run again, to prune or tune what is only there as a file.

The file's convolutions have BatchNorm folded in. With mean m and variance v of a convolution's output, measured
on real images, a BatchNorm of mean m, variance v, gamma = sqrt(v + epsilon) and beta = bias + m is the same
function, and one that training finds as it would have been.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conversion.quantization.samples import dataset_inputs
from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.inference import Inference
from hrnet_tf.models.normalization import BATCH_NORM
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights, set_model_weights
from hrnet_tf.spec.architectures import network_from_json
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder
from mobile_eval.image.geometry import UDP
from mobile_eval.image.preprocess import normalize
from mobile_eval.model.archive import read_description
from mobile_eval.model.graph import TFLiteGraph

SAMPLES = 256
LARGEST_BATCH = 64


def restore_run(path: Path | str, data: TaskDataset, output: Path | str, *, memory_budget: int = MEMORY_BUDGET) -> Run:
    """Write the network in the float32 `.tflite` at `path` as a run into the folder `output`.

    BatchNorm's statistics are those of the first items of `data`, taken on as many at a time as `memory_budget` (bytes) has room
    for the activations of. Raises HRNetError for a file of another
    precision or of a version that did not store the whole spec, and where `output` exists.
    """
    check_tf_keras("restoring from a .tflite file")
    output, description = Path(output), read_description(path)
    if description.precision != "float32":
        raise HRNetError(f"{path} is {description.precision}: only a float32 file holds the weights that were trained")
    if "spec" not in description.network:
        raise HRNetError(f"{path} does not hold the network's spec")
    if output.exists():
        raise HRNetError(f"{output} exists already; give another `output`")
    spec, folded = _folded_network(path, description.network["spec"])
    crops = dataset_inputs(data, spec, SAMPLES, geometry=description.input.geometry).map(normalize)
    model = build_model(spec)
    batches = crops.batches(batch_size_for(spec, memory_budget, most=LARGEST_BATCH))
    weights = unfolded(model_weights(model), folded, batches)
    set_model_weights(model, weights)
    answers = {"name": spec.task, "classes": list(description.classes)} if description.classes else description.category.to_json()
    config = {"restored": str(path), "heatmap_offset": description.output.offset}
    if description.input.geometry == UDP:
        config["targets"] = UDP
    run = Run(output, "import", spec, answers, config)
    with complete_folder(output) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / run.weights_path.name, weights)
    return run


def _folded_network(path: Path | str, described: Any) -> tuple[HRNetSpec, Any]:
    """The spec that the file's description holds, and its folded model with the file's weights."""
    try:
        spec = network_from_json(described)
        if not isinstance(spec, HRNetSpec):
            raise HRNetError(f"{path} is a {spec.name}: only HRNets can be restored")
        folded = build_model(spec, folded=True)
        set_model_weights(folded, folded_weights(TFLiteGraph(path)))
    except HRNetError as error:
        raise HRNetError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return spec, folded


def folded_weights(graph: TFLiteGraph) -> Weights:
    """Kernels (h, w, in, out), or (in, out), and biases of every convolution and dense layer, by the names of the folded
    network's variables."""
    weights: Weights = {}
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
            kernel, bias = graph.constant(operator.index, 1), graph.constant(operator.index, 2)
            if kernel is None or bias is None:
                raise HRNetError(f"{graph.path}: {operator.layer} has no constant kernel and bias")
            weights[f"{operator.layer}/kernel"] = np.moveaxis(kernel, 0, -1)
            weights[f"{operator.layer}/bias"] = bias
    return weights


def unfolded(weights: Weights, folded: Any, batches: Iterable[NDArray[np.float32]]) -> Weights:
    """`weights` (those of the network with BatchNorm) made to compute what `folded` does, with statistics on `batches`
    (N, H, W, 3)."""
    result, plain = dict(weights), model_weights(folded)
    norms = {name: name.replace("_bn", "_conv").removesuffix("/gamma") for name in weights if name.endswith("/gamma")}
    statistics = _statistics(folded, sorted(set(norms.values())), batches)
    for name, value in plain.items():
        if name in result:
            result[name] = value
    for gamma, conv in norms.items():
        norm, (mean, variance) = gamma.removesuffix("/gamma"), statistics[conv]
        result[gamma] = np.sqrt(variance + BATCH_NORM["epsilon"]).astype(np.float32)
        result[f"{norm}/beta"] = (plain[f"{conv}/bias"] + mean).astype(np.float32)
        if f"{conv}/bias" in result:
            result[f"{conv}/bias"] = np.zeros_like(mean)  # it is in beta
        result[f"{norm}/moving_mean"], result[f"{norm}/moving_variance"] = mean, variance
    return result


def _statistics(
    folded: Any, layers: list[str], batches: Iterable[NDArray[np.float32]]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Mean and variance (channels,) of what each convolution puts out, without its bias and activation."""
    outputs = []
    for name in layers:
        layer = folded.get_layer(name)
        alone = keras.layers.Conv2D(layer.filters, layer.kernel_size, layer.strides, layer.padding, use_bias=False)
        maps = keras.backend.reshape(alone(layer.input), (-1, layer.filters))
        alone.set_weights([layer.get_weights()[0]])
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
