"""Quantization-aware training: of any Keras model that contains a network of the package, and of a run.

Example:
    >>> quantized = quantize(model, calibration=train.take(8))  # doctest: +SKIP
    >>> quantized.compile("adam", loss)  # doctest: +SKIP
    >>> quantized.fit(train, epochs=2)  # doctest: +SKIP
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import check_same_keras, check_tf_keras
from hrnet_tf.backend.datasets import InputData, input_batches
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.quantization import (
    QUANTIZATION,
    activation_ranges,
    check_quantizable,
    fake_quantized,
    initialize_ranges,
)
from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.models.trunk import input_shape_of, spec_of
from hrnet_tf.runs.pruning import load_pruning, save_pruning
from hrnet_tf.runs.ranking import save_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Geometry
from mobile_eval.progress import tracked, working
from training.config import TrainingConfig
from training.data.examples import evaluation_batches
from training.engine.fit import fit
from training.engine.inputs import check_category, inputs_of, known_category, load_data
from training.engine.starting import check_same, check_startable
from training.execution import Execution, check_devices

CALIBRATION_GROUPS, GROUP_ITEMS = 8, 32  # ranges are those of the items of a group together, averaged over the groups


def quantize(
    model: KerasModel, calibration: InputData, *, keep_zeros: bool = False, memory_budget: int = MEMORY_BUDGET
) -> KerasModel:
    """Return a copy of a model for quantization-aware training: it rounds weights and activations as int8 does.

    BatchNorm is folded into the convolutions, so that training rounds the weights that the device holds. Compile the model with
    the loss of the original one, train it with a tenth of its learning rate or less, and pass it to `convert`.

    Args:
        model: A functional model that contains a network of the package, also with layers before it, and with a head or several
            outputs of the user's own. It is not changed. Nested models are dissolved; a model of mixed precision becomes float32.
        calibration: Inputs on which the initial ranges of activations are measured: any data set that `fit` takes (targets are
            ignored), inputs (N, H, W, 3) as the model takes them, or batches of these. The first 256 are used.
        keep_zeros: Whether kernel weights that are zero stay zero in training, as in a sparse network.
        memory_budget: Memory for activations while ranges are measured, in bytes.

    Returns:
        A model with the inputs and the structure of outputs of `model`, not compiled.

    Raises:
        HRNetError: The model contains no network of the package or is quantized already, a layer cannot be quantized (the message
            names it), or there is no input for calibration.

    Example:
        >>> from hrnet_tf.networks import HRNet
        >>> model = HRNet("pose-small-v1", input_size=32, width=4, modules=(1,), blocks=1, outputs=5)
        >>> quantize(model, np.zeros((8, 32, 32, 3), np.float32)).output_shape
        (None, 8, 8, 5)
    """
    check_tf_keras(QUANTIZATION)
    shape = input_shape_of(model)
    folded = rebuild(model, folded=True)
    check_quantizable(folded)
    size = batch_size_for(spec_of(folded), memory_budget, most=GROUP_ITEMS)
    ranges = activation_ranges(folded, calibration_groups(input_batches(calibration, shape, "calibration"), size))
    with working("building the quantization-aware network"):
        quantized = fake_quantized(folded, keep_zeros=keep_zeros)
        initialize_ranges(quantized, ranges)
    return quantized


def calibration_groups(batches: Iterable[NDArray[np.generic]], size: int) -> Iterator[Iterator[NDArray[np.float32]]]:
    """Yield the first inputs of a data set in groups, whose batches do not depend on those of the data set.

    Args:
        batches: Batches (N, H, W, 3) of inputs.
        size: Largest number of inputs in a batch; it does not change the groups, nor the ranges.

    Yields:
        The batches (N, H, W, 3) of a group of `GROUP_ITEMS` inputs; the last group may be smaller. They must be consumed in turn.
    """
    inputs = (x for batch in batches for x in np.asarray(batch, np.float32))
    for _ in tracked(range(CALIBRATION_GROUPS), "activation ranges"):
        first = list(itertools.islice(inputs, 1))
        if not first:
            return
        yield _rebatched(itertools.chain(first, itertools.islice(inputs, GROUP_ITEMS - 1)), size)


def _rebatched(inputs: Iterator[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    while batch := list(itertools.islice(inputs, size)):
        yield np.stack(batch)


def quantize_run(
    run: Run,
    config: TrainingConfig,
    output: Path | str,
    *,
    execution: Execution | None = None,
    resume: bool = False,
) -> Run:
    """Fine-tune a run quantization-aware, from activation ranges measured on the first training items.

    Args:
        run: A trained or pruned run.
        config: Settings of the fine-tuning (see `fine_tuning_config`).
        output: Folder of the new run.
        execution: How to run the training; its memory budget also bounds the calibration.
        resume: Go on with the interrupted run in the folder.

    Returns:
        The quantized run.

    Raises:
        HRNetError: The run is quantized already, or the settings, the data or the folder cannot be used.
    """
    output, execution = Path(output), execution or Execution()
    _check_quantizable(run, config, output, execution, resume=resume)
    save_companions = _companions(run)
    train_data, val_data = load_data(config, run.category)
    check_category(run, train_data)
    log_skipped(config.data.train, train_data)
    log_skipped(config.data.val, val_data)
    inputs = inputs_of(config, train_data, val_data, parent=run)
    category = known_category(run, train_data)
    quantized = Run(output, "quantize", run.spec, category, config.to_json(), str(run.path), inputs)
    check_same(quantized)
    calibration = calibration_batches(train_data, run.spec, config.settings.geometry, execution.memory_budget)
    with execution.devices.scope():
        float_model = run.model()
        keras.backend.reset_uids()  # the input layer is named by a counter; weights on disk need one name for it
        model = quantize(
            float_model, calibration, keep_zeros=bool(run.config.get("sparsity")), memory_budget=execution.memory_budget
        )
    fit(quantized, model, config, train_data, val_data, execution=execution, companions=lambda: save_companions(quantized))
    return quantized


def _check_quantizable(run: Run, config: TrainingConfig, output: Path, execution: Execution, *, resume: bool) -> None:
    """Raise HRNetError, before anything is loaded, if the quantization cannot start."""
    check_tf_keras(QUANTIZATION)
    check_same_keras(*execution.callbacks)
    check_devices(config, execution)
    if execution.devices.is_chief:
        check_startable(output, "quantize", resume=resume)
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized already; quantize the run it was made from: {run.parent_path}")


def _companions(run: Run) -> Callable[[Run], None]:
    """Read the ranking and the pruning of a run, if any, and return a function that writes them to another run."""
    ranking, pruning = run.ranking if run.is_ranked else None, load_pruning(run)

    def save(other: Run) -> None:
        if ranking:
            save_ranking(other.path, dataclasses.replace(ranking, source_run=ranking.source_run or str(run.path)))
        if pruning:
            save_pruning(other, pruning)

    return save


def calibration_batches(
    data: TaskDataset, spec: Network, geometry: Geometry, memory_budget: int = MEMORY_BUDGET
) -> Iterator[NDArray[np.float32]]:
    """Yield the inputs of the first items of a data set in batches (N, H, W, 3), whose size the memory budget in bytes sets."""
    size = batch_size_for(spec, memory_budget, most=GROUP_ITEMS)
    return evaluation_batches(data.items[: CALIBRATION_GROUPS * GROUP_ITEMS], size, spec, geometry)
