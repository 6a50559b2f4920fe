"""Quantization-aware tuning of a trained or pruned run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.keras_choice import check_tf_keras
from hrnet_tf.networks import build_model
from hrnet_tf.quantization import QUANTIZATION, activation_ranges, build_quantized_model, initialize_ranges
from hrnet_tf.runs import PRUNING, Run, load_ranking, read_json, save_ranking, write_json
from hrnet_tf.weights import load_weights, set_model_weights
from training.config import TrainingConfig
from training.examples import plain_inputs
from training.fit import check_category, fit, known_category, load_data, start_run
from training.tasks.task import settings_geometry

CALIBRATION_BATCHES = 8
CALIBRATION_BATCH = 32


def quantize(run: Run, config: TrainingConfig, output: Path | str, *, resume: bool = False) -> Run:
    """Tune `run` with fake quantization, from activation ranges measured on the first training items."""
    check_tf_keras(QUANTIZATION)
    if run.quantized:
        raise ValueError(f"{run.path} is quantized already; quantize the run it came from: {run.parent}")
    train_data, val_data = load_data(config, run.category)
    check_category(run, train_data)
    folded = fold_batch_norm(load_weights(run.weights_path))
    quantized = Run(Path(output), "quantize", run.spec, known_category(run, train_data), config.to_json(), str(run.path))
    start_run(quantized, resume=resume)
    if (run.path / "ranking.json").is_file():
        ranking = load_ranking(run)
        save_ranking(quantized, dataclasses.replace(ranking, of_run=ranking.of_run or str(run.path)))
    if (run.path / PRUNING).is_file():
        write_json(quantized.path / PRUNING, read_json(run.path / PRUNING))
    plain = build_model(run.spec, folded=True)
    set_model_weights(plain, folded)
    items = train_data.items[: CALIBRATION_BATCHES * CALIBRATION_BATCH]
    starts = range(0, len(items), CALIBRATION_BATCH)
    geometry = settings_geometry(config.settings)
    ranges = activation_ranges(plain, [plain_inputs(items[s : s + CALIBRATION_BATCH], run.spec, geometry) for s in starts])
    with Console(stderr=True).status("building the quantization-aware network"):
        model = build_quantized_model(run.spec, folded, keep_zeros=bool(run.config.get("sparsity")))
        initialize_ranges(model, ranges)
    fit(quantized, model, config, train_data, val_data)
    return quantized
