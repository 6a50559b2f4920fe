"""Train a network into a run, from scratch or from another run's weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hrnet_tf._keras import keras
from hrnet_tf.keras_choice import check_same_keras
from hrnet_tf.networks import Network, check_is_pose
from hrnet_tf.runs import Run
from hrnet_tf.weights import load_weights, model_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointDataset
from training.config import TrainingConfig
from training.execution import Execution
from training.fit import build_for_training, build_teacher, check_category, fit, load_data, start_run


def train(
    spec: Network,
    config: TrainingConfig,
    output: Path | str,
    *,
    init: Run | None = None,
    teacher: Run | None = None,
    execution: Execution | None = None,
    resume: bool = False,
) -> Run:
    """Train `spec`, with as many heatmaps as the annotations have joints, and keep it in the folder `output`.

    With `init` it starts from that run's weights, as far as they have a place in it. With `teacher`,
    `config.distill` is the share of the loss that is that run's heatmaps.
    """
    how = execution or Execution()
    check_same_keras(*how.callbacks)
    if how.devices.count != config.devices:
        raise ValueError(f"the config is for {config.devices} devices, but there are {how.devices.count}")
    if how.devices.count > 1 and config.accumulate > 1:
        raise ValueError("--accumulate goes with one device: with several, a larger --batch-size does the same")
    check_is_pose(spec, "training")
    train_data, val_data = load_data(config)
    spec = dataclasses.replace(spec, classes=len(train_data.category.joints))
    parent = str(init.path) if init else None
    run = Run(Path(output), "train", spec, train_data.category.to_json(), config.to_json(), parent)
    keras.utils.set_random_seed(config.seed)
    with how.devices.scope():
        model = build_for_training(spec, config)
        taught_by = build_teacher(teacher, config) if teacher else None
    if init:
        take_over_weights(model, init)
    if teacher:
        check_category(teacher, train_data)
    if how.devices.is_chief:
        start_run(run, resume=resume)
        print(people_line(train_data))
    fit(run, model, config, train_data, val_data, taught_by, how)
    return run


def people_line(data: KeypointDataset) -> str:
    """How many persons there are, and how many of the annotations are none."""
    left_out = len(data.coco["annotations"]) - len(data)
    why = f" ({left_out:,} annotations left out: a crowd, or no labelled joint)" if left_out else ""
    return f"{len(data):,} persons to learn from{why}"


def take_over_weights(model: Any, run: Run) -> None:
    """Give `model` the weights of `run` that it has a variable of the same name and shape for, such as another head's trunk.

    Raises ValueError where they do not even share the stem.
    """
    if run.quantized:
        raise ValueError(f"{run.path} is quantized; start from the run it came from: {run.parent}")
    own, given = model_weights(model), load_weights(run.weights_path)
    fitting = {name: array for name, array in given.items() if name in own and array.shape == own[name].shape}
    if not any(name.startswith("stem_") and name.endswith("/kernel") for name in fitting):
        raise ValueError(f"{run.path} is of another architecture or width: none of its stem's weights fit")
    set_model_weights(model, {**own, **fitting})
