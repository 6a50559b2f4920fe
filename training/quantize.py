"""Quantization-aware tuning of a trained or pruned run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.quantization import QUANTIZATION, activation_ranges, build_quantized_model, initialize_ranges
from hrnet_tf.runs.pruning import load_pruning, save_pruning
from hrnet_tf.runs.ranking import RANKING_FILE, load_ranking, save_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import MEMORY_BUDGET, batch_size_for
from mobile_eval.datasets.base import TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Geometry
from mobile_eval.progress import tracked
from training.config import TrainingConfig
from training.data.examples import evaluation_batches
from training.engine.fit import check_category, fit, known_category, load_data
from training.engine.inputs import inputs_of
from training.engine.starting import check_same, check_startable
from training.execution import Execution

RANGE_GROUPS, GROUP_ITEMS = 8, 32  # ranges are those of a group's items together, averaged over groups


def quantize(
    run: Run, config: TrainingConfig, output: Path | str, *, resume: bool = False, memory_budget: int = MEMORY_BUDGET
) -> Run:
    """Tune `run` with fake quantization, from activation ranges measured on the first training items.

    `memory_budget` is how many bytes a batch's activations may take, but for those of the training itself.
    """
    check_tf_keras(QUANTIZATION)
    output = Path(output)
    check_startable(output, "quantize", resume=resume)
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized already; quantize the run it came from: {run.parent}")
    train_data, val_data = load_data(config, run.category)
    check_category(run, train_data)
    log_skipped(config.train, train_data)
    log_skipped(config.val, val_data)
    folded = fold_batch_norm(load_weights(run.weights_path))
    inputs = inputs_of(config, train_data, val_data, parent=run)
    category = known_category(run, train_data)
    quantized = Run(output, "quantize", run.spec, category, config.to_json(), str(run.path), inputs)
    check_same(quantized)
    ranking, pruning = load_ranking(run) if (run.path / RANKING_FILE).is_file() else None, load_pruning(run)

    def companions() -> None:
        """What is known of the network before: it is that of this one too."""
        if ranking:
            save_ranking(quantized, dataclasses.replace(ranking, source_run=ranking.source_run or str(run.path)))
        if pruning:
            save_pruning(quantized, pruning)

    plain = build_model(run.spec, folded=True)
    set_model_weights(plain, folded)
    ranges = activation_ranges(plain, range_groups(train_data, run.spec, config.settings.geometry, memory_budget))
    with Console(stderr=True).status("building the quantization-aware network"):
        model = build_quantized_model(run.spec, folded, keep_zeros=bool(run.config.get("sparsity")))
        initialize_ranges(model, ranges)
    how = Execution(memory_budget=memory_budget)
    fit(quantized, model, config, train_data, val_data, execution=how, companions=companions)
    return quantized


def range_groups(
    data: TaskDataset, spec: Network, geometry: Geometry, memory_budget: int = MEMORY_BUDGET
) -> Iterator[Iterator[NDArray[np.float32]]]:
    """Inputs (N, H, W, 3) of the first items, in groups of batches that fit into the budget.

    What a group is does not depend on the budget, nor do the ranges.
    """
    size = batch_size_for(spec, memory_budget, most=GROUP_ITEMS)
    items = data.items[: RANGE_GROUPS * GROUP_ITEMS]
    starts = tracked(range(0, len(items), GROUP_ITEMS), "ranges of activations")
    return (evaluation_batches(items[start : start + GROUP_ITEMS], size, spec, geometry) for start in starts)
