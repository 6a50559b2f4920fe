"""Train a network from scratch (or from given weights) into a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hrnet_tf._keras import keras
from hrnet_tf.backbone import build_model
from hrnet_tf.runs import Run
from hrnet_tf.spec import HRNetSpec
from training.config import TrainingConfig
from training.fit import fit, load_data, start_run


def train(spec: HRNetSpec, config: TrainingConfig, output: Path | str, *, resume: bool = False) -> Run:
    """Train `spec`, with as many heatmaps as the annotations have joints, and keep it in the folder `output`."""
    train_data, val_data = load_data(config)
    spec = dataclasses.replace(spec, joints=len(train_data.category.joints))
    run = Run(Path(output), "train", spec, train_data.category.to_json(), config.to_json())
    start_run(run, resume=resume)
    keras.utils.set_random_seed(config.seed)
    fit(run, build_model(spec), config, train_data, val_data)
    return run
