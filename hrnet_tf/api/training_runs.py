"""Networks with the weights of runs, and training into runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_tf.api.arguments import as_run, check_data, check_spec, execution_of, optional_run
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.api.arguments import RunOrPath
    from hrnet_tf.backend.types import KerasCallback, KerasModel
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.architectures import Network
    from mobile_eval.files import AnyPath
    from training.data.datasets import Dataset
    from training.execution import Execution


def build_model(spec: Network, weights: RunOrPath | None = None) -> KerasModel:
    """Build the Keras model of a spec.

    Args:
        spec: The network, such as `HRNet.preset("pose-w32")` or `run.spec`.
        weights: A run, or its folder, whose weights the model gets; None for initial weights.

    Returns:
        A functional model, not compiled.

    Raises:
        HRNetError: The weights are of another network, or of a quantized one.

    Example:
        >>> build_model(HRNet.preset("pose-small-v1"), weights="runs/full")  # doctest: +SKIP
    """
    from hrnet_tf.models import build
    from hrnet_tf.runs.weights import load_weights, set_model_weights

    model = build.build_model(spec)
    if weights is not None:
        run = as_run(weights, "weights")
        if run.quantized:
            raise HRNetError(f"`weights` {run.path} is quantized: use `Run.load({str(run.path)!r}).model()`")
        set_model_weights(model, load_weights(run.weights_path))
    return model


def train(
    spec: Network,
    data: Dataset,
    output: AnyPath,
    *,
    recipe: str | None = None,
    execution: Execution | None = None,
    callbacks: Sequence[KerasCallback] = (),
    resume: bool = False,
    init: RunOrPath | None = None,
    teacher: RunOrPath | None = None,
    **settings: object,
) -> Run:
    """Train a network on a data set, into a run.

    Args:
        spec: The network. It gets as many outputs as the data have key points or classes.
        data: The data set, such as `CocoKeypoints`.
        output: Folder of the run.
        recipe: Name of a recipe of the task, or a .yaml file; None for the one that goes with the network.
        execution: Devices, XLA, image cache, workers.
        callbacks: Keras callbacks.
        resume: Whether to continue an interrupted training in `output`.
        init: Run to start from: weights whose name and shape match are copied.
        teacher: Run to distill from.
        settings: Values that replace those of the recipe, such as `epochs`, `batch_size`, `learning_rate` and settings of the
            task.

    Returns:
        The run.

    Raises:
        HRNetError: The data, a setting or the folder cannot be used. For an unknown setting, the message lists the known ones.

    Example:
        >>> data = CocoKeypoints("images", train="train.json", val="val.json")  # doctest: +SKIP
        >>> spec = HRNet.preset("pose-small-v1", input_size=(128, 96))  # doctest: +SKIP
        >>> run = train(spec, data, "runs/full", epochs=30, batch_size=32)  # doctest: +SKIP
    """
    from training.recipe import TEACHER_WEIGHT, default_recipe, load_recipe, recipe_config
    from training.train import train as train_run

    check_spec(spec)
    check_data(data, spec.task, f"training {spec.name}")
    how = execution_of(execution, callbacks)
    recipe = recipe or default_recipe(spec)
    values = {**({"distill_weight": TEACHER_WEIGHT} if teacher else {}), **settings, "devices": how.devices.count}
    sources = data.source("train"), data.source("val") if data.has("val") else None
    config = recipe_config(spec.task, load_recipe(spec.task, recipe) if recipe else {}, *sources, values)
    init_run, teacher_run = optional_run(init, "init"), optional_run(teacher, "teacher")
    return train_run(spec, config, Path(output), init=init_run, teacher=teacher_run, execution=how, resume=resume)
