"""`model.fit` on a run: the optimizer and its schedule, saving after each epoch, and resuming."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import BACKEND, keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.gates import on_units, unit_dropout
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource, TaskDataset, label_names
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP, Geometry, geometry_of
from mobile_eval.image.image_file import read_item
from mobile_eval.tasks.registry import TASKS
from training.callbacks.progress import ProgressLine
from training.callbacks.run_checkpoint import RunCheckpoint, out_of_patience
from training.callbacks.terminate_on_nan import TerminateOnNonFinite
from training.callbacks.validation import Validation
from training.config import FLOAT16, FLOAT32, TrainingConfig
from training.data.examples import Examples, examples_for, steps_per_epoch
from training.data.image_cache import ImageCache
from training.data.tf_pipeline import PipelineEpochEnd, reraised_data_errors, training_dataset
from training.engine.checkpoint import Checkpoint
from training.engine.history import read_history
from training.engine.starting import CHECKPOINT, check_same, started
from training.engine.strategies import reraised_worker_errors
from training.execution import Execution
from training.optim.optimizers import AveragedWeights, make_optimizer
from training.optim.schedules import learning_rates
from training.optim.sparsity import sparsified, sparsity_callbacks
from training.optim.trainer_models import compile_trainer, distillation_model, trainer_model
from training.tasks.base import AnyTrainingTask
from training.tasks.registry import training_task


def build_for_training(spec: Network, config: TrainingConfig, *, folded: bool = False) -> Any:
    """The Keras model of `spec`, in mixed precision and with dropped links where the config says so."""
    links = spec.links if isinstance(spec, HRNetSpec) and not folded else frozenset()
    gate = on_units(links, unit_dropout(config.link_dropout)) if config.link_dropout and links else None
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(config.precision if config.precision == FLOAT32 else f"mixed_{config.precision}")
    try:
        model = build_model(spec, folded=folded, gate=gate)
    finally:
        keras.mixed_precision.set_global_policy(before)
    if not folded:
        freeze(model, config.freeze)
    return model


def freeze(model: Any, parts: Collection[str]) -> None:
    """Let the layers of these parts (by how their names begin, such as stem or stage2) stay as they are, statistics and all."""
    known = list(dict.fromkeys(layer.name.split("_")[0] for layer in model.layers if layer.weights))
    for part in parts:
        if part not in known:
            raise HRNetError(f"`freeze`: the network has no part {part!r}; there are {', '.join(known)}")
    for layer in model.layers:
        layer.trainable = layer.name.split("_")[0] not in parts
    if not model.trainable_variables:
        raise HRNetError("`freeze` leaves nothing to learn")


def build_teacher(run: Run, config: TrainingConfig) -> Any:
    """The trained network of `run`, BatchNorm folded: a teacher only looks, and so it costs least."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; take the run it came from as teacher: {run.parent}")
    if geometry_of(run.config.get("targets")) != config.settings.geometry:
        raise HRNetError(f"{run.path} and its student must both learn `targets` {UDP}, or neither: their crops differ")
    model = build_for_training(run.spec, config, folded=True)
    set_model_weights(model, fold_batch_norm(load_weights(run.weights_path)))
    return model


def load_data(config: TrainingConfig, category: dict[str, Any] | None = None) -> tuple[TaskDataset, TaskDataset | None]:
    """Training and (if named) validation data; HRNetError where an image to measure on cannot be read.

    `category` is that of the run that is trained on, if any: what it knows of its keypoints holds for the data.
    """

    def load(source: DataSource) -> TaskDataset:
        data = TASKS[config.task].load(source)
        return prepare(data, config.settings, category) if prepare else data

    prepare = training_task(config.task).prepare
    train = load(config.train)
    steps_per_epoch(train, config.items_a_step)  # refuses data that fill no batch, before anything is written
    check = training_task(config.task).check or (lambda data, settings, learning: None)
    check(train, config.settings, True)
    if config.val is None:
        return train, None
    val = load(config.val)
    if val.names != train.names:
        raise HRNetError(
            f"the validation data are of other joints or classes ({', '.join(val.names[:3])}, ...) than the training data "
            f"({', '.join(train.names[:3])}, ...)"
        )
    check(val, config.settings, False)
    for item in {item.image_path: item for item in val.items}.values():
        read_item(item)  # one that is damaged would end the training after its first epoch
    return train, val


def check_category(run: Run, data: TaskDataset) -> None:
    """Raise HRNetError unless the data's joints or classes are those that the run knows."""
    if label_names(run.category) != data.names:
        kind = "keypoints" if "keypoints" in run.category else "classes"
        raise HRNetError(
            f"{run.path} was trained for {run.spec.classes} {kind} of {run.category['name']!r}; "
            f"the data have others ({', '.join(data.names[:3])}, ...)"
        )


def known_category(run: Run, data: TaskDataset) -> dict[str, Any]:
    """The run's category, with the flip pairs that it is trained with."""
    pairs = data.label_schema.get("flip_pairs")
    return run.category if pairs is None else {**run.category, "flip_pairs": pairs}


def fit(
    run: Run,
    model: Any,
    config: TrainingConfig,
    train: TaskDataset,
    val: TaskDataset | None,
    teacher: Any | None = None,
    execution: Execution | None = None,
    companions: Callable[[], None] | None = None,
) -> None:
    """Train `model` until `config.epochs`, or until patience ends, from the run's checkpoint where there is one.

    With a `teacher` (a Keras model of the same answers), `config.distill_weight` is its share of the loss. Callbacks of the
    user's are called with the validation's figures, before the epoch is kept. The run's folder is begun, with what `companions`
    writes, once all that can be refused beforehand has been checked.
    """
    how = execution or Execution()
    check_same_keras(*how.callbacks)
    if how.devices.is_chief:
        check_same(run)
    task, rows, geometry = training_task(config.task), read_history(run.path), config.settings.geometry
    if len(rows) >= config.epochs or out_of_patience(rows, config.patience, task.metric):
        return
    examples = examples_for(train, run.spec, config, ImageCache(how.cache, train.items) if how.cache else None)
    total = config.epochs * examples.steps
    if total < config.accumulate:
        raise HRNetError(f"the training has {total} steps, fewer than the {config.accumulate} that `accumulate` wants")
    with how.devices.scope():
        student = sparsified(model, config.sparsity, total) if config.sparsity else model
        learner, optimizer = _compiled(task, student, teacher, config, examples.steps, jit=how.jit or BACKEND == "jax")
    checkpoint = Checkpoint(run.path / CHECKPOINT, student, optimizer)
    done = checkpoint.restore()
    averaged = AveragedWeights(optimizer, student.trainable_variables)
    keeping = RunCheckpoint(
        run,
        model,
        checkpoint,
        rows[:done],
        averaged,
        task.metric,
        keep=config.keep,
        patience=config.patience,
        writes=how.devices.is_chief,
    )
    own = [TerminateOnNonFinite(run, examples), *(sparsity_callbacks() if config.sparsity else []), averaged]
    own += [Validation(val, run.spec, _looking(model, run.spec, how), model, geometry, how.memory_budget)] if val else []
    last = [keeping, PipelineEpochEnd(examples), *(_watching(run, examples, val or train, geometry) if how.tensorboard else [])]
    line = ProgressLine(config.items_a_step, examples.steps, config.epochs)
    try:
        with (
            started(run, companions=companions, writes=how.devices.is_chief),
            reraised_data_errors(examples),
            reraised_worker_errors(how.devices),
        ):
            learner.fit(
                _batches(examples, range(done, config.epochs), how),
                steps_per_epoch=examples.steps,
                initial_epoch=done,
                epochs=config.epochs,
                callbacks=[*own, *how.callbacks, *last, *([line] if how.devices.is_chief else [])],
                shuffle=False,  # the pipeline did
                verbose=0,
            )
    finally:
        line.close()


def _compiled(
    task: AnyTrainingTask, student: Any, teacher: Any, config: TrainingConfig, steps: int, *, jit: bool
) -> tuple[Any, Any]:
    """The Keras model that `fit` trains, ready for it, and its optimizer; an epoch has so many steps."""
    loss = task.loss(config.settings)
    learner = trainer_model(task, student, loss)
    if teacher is not None:
        learner = distillation_model(task, learner, loss, teacher, config.distill_weight)
    optimizer = make_optimizer(
        learning_rates(config, steps),
        config.optimizer,
        weight_decay=config.weight_decay,
        accumulate=config.accumulate,
        ema=config.ema,
        scaled=config.precision == FLOAT16,
    )
    compile_trainer(learner, loss, optimizer, jit=jit)
    optimizer.build(student.trainable_variables)
    return learner, optimizer


def _looking(model: Any, spec: Network, how: Execution) -> Any:
    """What is validated: the model, or where it lies on several devices a copy of it on one, which takes its weights."""
    return build_model(spec) if how.devices.strategy else model


def _watching(run: Run, examples: Examples, looked_at: TaskDataset, geometry: Geometry) -> list[Any]:
    """What TensorBoard is shown."""
    from training.callbacks.tensorboard import Pictures

    return [Pictures(run.path / "tensorboard", run.spec, examples.batch(0, 0)[:2], looked_at, geometry)]


def _batches(examples: Examples, epochs: range, how: Execution) -> Any:
    """The input pipeline: tf.data, or where TensorFlow is not there a PyDataset; both give the same batches."""
    if BACKEND == "tensorflow":
        return how.devices.distributed(training_dataset(examples, epochs, how.devices.own))
    from training.data.keras_dataset import TrainingBatches

    return TrainingBatches(examples, epochs)
