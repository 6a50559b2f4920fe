"""Quantization-aware training of a trained or pruned network, with BatchNorm folded."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.choice import check_same_keras, check_tf_keras
from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import QUANTIZATION, activation_ranges, build_quantized_model, initialize_ranges
from hrnet_tf.runs.pruning import load_pruning, save_pruning
from hrnet_tf.runs.ranking import save_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
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

Calibration = Iterable[Iterable[NDArray[np.float32]]]  # groups of batches (N, H, W, 3)


def quantization_aware_model(
    spec: Network, weights: Weights, calibration: Calibration, *, keep_zeros: bool = False
) -> KerasModel:
    """Build the quantization-aware model of a trained network.

    Args:
        spec: The network.
        weights: Its weights. BatchNorm is folded into the convolutions.
        calibration: Groups of batches of normalized inputs (N, H, W, 3), on which the initial activation ranges are measured.
        keep_zeros: Keep weights at zero that are zero, as in a sparse network.

    Returns:
        A Keras model with fake quantization to int8, to be trained with the loss of the network.

    Example:
        >>> model = quantization_aware_model(spec, load_weights(run.weights_path), [[inputs]])  # doctest: +SKIP
        >>> model.compile(optimizer, loss)  # doctest: +SKIP
    """
    folded_weights = fold_batch_norm(weights)
    float_model = build_model(spec, folded=True)
    set_model_weights(float_model, folded_weights)
    ranges = activation_ranges(float_model, calibration)
    with working("building the quantization-aware network"):
        model = build_quantized_model(spec, folded_weights, keep_zeros=keep_zeros)
        initialize_ranges(model, ranges)
    return model


def quantize(
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
    train_data, val_data = load_data(config, run.category)
    check_category(run, train_data)
    log_skipped(config.data.train, train_data)
    log_skipped(config.data.val, val_data)
    weights = load_weights(run.weights_path)
    inputs = inputs_of(config, train_data, val_data, parent=run)
    category = known_category(run, train_data)
    quantized = Run(output, "quantize", run.spec, category, config.to_json(), str(run.path), inputs)
    check_same(quantized)
    calibration = calibration_groups(train_data, run.spec, config.settings.geometry, execution.memory_budget)
    with execution.devices.scope():
        model = quantization_aware_model(run.spec, weights, calibration, keep_zeros=bool(run.config.get("sparsity")))
    companions = functools.partial(_copy_companions, run, quantized)
    fit(quantized, model, config, train_data, val_data, execution=execution, companions=companions)
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


def _copy_companions(run: Run, quantized: Run) -> None:
    """Copy the ranking and the pruning of the network, if any, to the quantized run."""
    if run.is_ranked:
        ranking = run.ranking
        save_ranking(quantized.path, dataclasses.replace(ranking, source_run=ranking.source_run or str(run.path)))
    if pruning := load_pruning(run):
        save_pruning(quantized, pruning)


def calibration_groups(
    data: TaskDataset, spec: Network, geometry: Geometry, memory_budget: int = MEMORY_BUDGET
) -> Iterator[Iterator[NDArray[np.float32]]]:
    """Return the inputs of the first items of a data set, in groups of batches.

    The memory budget sets the size of the batches (N, H, W, 3), but not the groups, nor the ranges.

    Args:
        data: The training set.
        spec: The network.
        geometry: Geometry of its inputs.
        memory_budget: Memory in bytes for the activations of a batch.
    """
    size = batch_size_for(spec, memory_budget, most=GROUP_ITEMS)
    items = data.items[: CALIBRATION_GROUPS * GROUP_ITEMS]
    starts = tracked(range(0, len(items), GROUP_ITEMS), "activation ranges")
    return (evaluation_batches(items[start : start + GROUP_ITEMS], size, spec, geometry) for start in starts)
