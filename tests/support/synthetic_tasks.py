"""Micro networks and synthetic data of every task."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.datasets.base import DataSource
from training.config import DataConfig, ScheduleConfig, TrainingConfig
from training.engine.inputs import load_data
from training.tasks.registry import settings_class

CLASSES = {"landmarks": 5, "segmentation": 5, "classification": 3}
SIZE = (64, 64)


def micro_spec(task: str) -> HRNetSpec:
    """Two branches and two modules of stage 2, so that links can be removed, and the interpolation of the task."""
    interpolation = "nearest" if task == "classification" else "bilinear"
    sizes = {"stem_width": 4, "stage1_blocks": 1, "stage1_width": 4, "head_width": 4}
    return HRNetSpec("micro", 4, SIZE, CLASSES[task], (StageSpec(2, 1),), task=task, interpolation=interpolation, **sizes).full()


def drawn_source(task: str, folder: Path, split: str) -> DataSource:
    """The source of a split written by `hrnet data synthetic --task`."""
    if task == "segmentation":
        return DataSource(folder / split / "images", masks=folder / split / "masks")
    if task == "classification":
        return DataSource(folder / split)
    return DataSource(folder / "images", folder / f"face_keypoints_{split}.json")


def micro_config(task: str, folder: Path) -> TrainingConfig:
    """One epoch on synthetic data."""
    train, val = (drawn_source(task, folder, split) for split in ("train", "val"))
    return TrainingConfig(task, settings_class(task)(), DataConfig(train, val, batch_size=8), ScheduleConfig(epochs=1))


def random_run(task: str, data: Path, path: Path) -> Run:
    """A run with random weights, and BatchNorm far from the identity, of which `data` is the synthetic data."""
    config, rng = micro_config(task, data), np.random.default_rng(0)
    run = Run(path, "train", micro_spec(task), load_data(config)[0].label_schema, config.to_json())
    weights = dict(model_weights(build_model(run.spec)))
    for name, array in weights.items():
        if name.endswith(("gamma", "moving_variance")):
            weights[name] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith(("beta", "moving_mean", "bias")):
            weights[name] = rng.uniform(-0.5, 0.5, array.shape).astype(np.float32)
        elif name.startswith(("head_heatmaps", "head_logits")):  # initially near zero
            weights[name] = (rng.standard_normal(array.shape) / array.shape[-2] ** 0.5).astype(np.float32)
    save_run(run)
    save_weights(run.weights_path, weights)
    return run
