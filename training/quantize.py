"""Quantization-aware tuning of a trained or pruned run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.keras_choice import check_tf_keras
from hrnet_tf.networks import build_model
from hrnet_tf.quantization import QUANTIZATION, activation_ranges, build_quantized_model, initialize_ranges
from hrnet_tf.runs import PRUNING, RANKING, Run, load_pruning, load_ranking, save_ranking
from hrnet_tf.weights import load_weights, set_model_weights
from mobile_eval.files import write_json
from training.config import TrainingConfig
from training.examples import plain_inputs
from training.fit import check_category, fit, load_data
from training.inputs import inputs_of
from training.starting import check_same, check_startable
from training.tasks.task import settings_geometry

CALIBRATION_BATCHES = 8
CALIBRATION_BATCH = 32


def quantize(run: Run, config: TrainingConfig, output: Path | str, *, resume: bool = False) -> Run:
    """Tune `run` with fake quantization, from activation ranges measured on the first training items."""
    check_tf_keras(QUANTIZATION)
    output = Path(output)
    check_startable(output, "quantize", resume=resume)
    if run.quantized:
        raise ValueError(f"{run.path} is quantized already; quantize the run it came from: {run.parent}")
    train_data, val_data = load_data(config)
    check_category(run, train_data)
    folded = fold_batch_norm(load_weights(run.weights_path))
    inputs = inputs_of(config, train_data, val_data, parent=run)
    quantized = Run(output, "quantize", run.spec, run.category, config.to_json(), str(run.path), inputs)
    check_same(quantized)
    ranking, pruning = load_ranking(run) if (run.path / RANKING).is_file() else None, load_pruning(run)

    def companions() -> None:
        """What is known of the network before: it is that of this one too."""
        if ranking:
            save_ranking(quantized, dataclasses.replace(ranking, of_run=ranking.of_run or str(run.path)))
        if pruning:
            write_json(quantized.path / PRUNING, pruning)

    plain = build_model(run.spec, folded=True)
    set_model_weights(plain, folded)
    items = train_data.items[: CALIBRATION_BATCHES * CALIBRATION_BATCH]
    starts = range(0, len(items), CALIBRATION_BATCH)
    geometry = settings_geometry(config.settings)
    ranges = activation_ranges(plain, [plain_inputs(items[s : s + CALIBRATION_BATCH], run.spec, geometry) for s in starts])
    with Console(stderr=True).status("building the quantization-aware network"):
        model = build_quantized_model(run.spec, folded, keep_zeros=bool(run.config.get("sparsity")))
        initialize_ranges(model, ranges)
    fit(quantized, model, config, train_data, val_data, companions=companions)
    return quantized
