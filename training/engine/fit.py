"""`model.fit` on a run: loss, optimizer and schedule, callbacks, saving after each epoch, and resuming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hrnet_tf.backend.choice import check_same_keras
from hrnet_tf.backend.keras_module import BACKEND
from hrnet_tf.backend.types import KerasCallback, KerasModel, KerasOptimizer, TFDataset
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.history import Rows, read_history
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from training.callbacks.learning_rate import LearningRateLog
from training.callbacks.progress import ProgressLine
from training.callbacks.run_checkpoint import PipelineEpochEnd, RunCheckpoint, out_of_patience
from training.callbacks.terminate_on_nan import TerminateOnNonFinite
from training.callbacks.validation import Validation
from training.config import FLOAT16, TrainingConfig
from training.data.examples import Examples, examples_for
from training.data.image_cache import ImageCache
from training.data.tf_pipeline import reraised_data_errors, training_dataset
from training.elastic.random_networks import random_networks
from training.engine.checkpoint import Checkpoint
from training.engine.starting import CHECKPOINT, TENSORBOARD, check_same, started
from training.engine.strategies import reraised_worker_errors
from training.execution import Execution
from training.optim.auxiliary import auxiliary_trainer, has_auxiliary, without_auxiliary
from training.optim.optimizers import AveragedWeights, make_optimizer
from training.optim.schedules import learning_rates
from training.optim.sparsity import sparsified, sparsity_callbacks
from training.optim.trainer_models import compile_trainer, distillation_model, trainer_model
from training.tasks.registry import training_task


@dataclass(frozen=True)
class _Fit:
    """What the callbacks of a training need."""

    run: Run
    model: KerasModel
    config: TrainingConfig
    examples: Examples
    val: TaskDataset | None
    execution: Execution


def fit(
    run: Run,
    model: KerasModel,
    config: TrainingConfig,
    train: TaskDataset,
    val: TaskDataset | None,
    teacher: KerasModel | None = None,
    execution: Execution | None = None,
    companions: Callable[[], None] | None = None,
) -> None:
    """Train a model in its run, from the checkpoint of the run if there is one.

    Args:
        run: The run. Its folder is written once everything is checked.
        model: The Keras model of the run's spec.
        config: Its settings.
        train: The training set.
        val: The validation set, if any.
        teacher: A Keras model with the same outputs, whose weight in the loss is `distill_weight`.
        execution: How to run the training. The callbacks of the user see the metric of the validation in their logs.
        companions: Writes other files of the run before the training begins.

    Raises:
        HRNetError: The run in the folder has other settings, or the training cannot begin or go on.
    """
    execution = execution or Execution()
    check_same_keras(*execution.callbacks)
    is_chief = execution.devices.is_chief
    if is_chief:
        check_same(run)
    task, rows = training_task(config.task), read_history(run.path)
    if len(rows) >= config.schedule.epochs or out_of_patience(rows, config.checkpoint.patience, task.metric):
        return
    examples = examples_for(train, run.spec, config, ImageCache(execution.cache, train.items) if execution.cache else None)
    state = _Fit(run, model, config, examples, val, execution)
    with execution.devices.scope():
        student, trainer, optimizer = _compiled(state, teacher)
    elastic = _elastic(state)
    checkpoint = Checkpoint(run.path / CHECKPOINT, student, optimizer)
    done = checkpoint.restore()
    callbacks = _callbacks(state, checkpoint, rows[:done], elastic)
    with (
        started(run, companions=companions, writes=is_chief),
        reraised_data_errors(examples),
        reraised_worker_errors(execution.devices),
    ):
        _fit_epochs(trainer, state, done, callbacks)


def _fit_epochs(trainer: KerasModel, state: _Fit, done: int, callbacks: list[KerasCallback]) -> None:
    """Call `model.fit` for the epochs that are not done, with a line of progress."""
    examples, epochs = state.examples, state.config.schedule.epochs
    line = ProgressLine(state.config.step_items, examples.steps, epochs)
    try:
        trainer.fit(
            _batches(examples, range(done, epochs), state.execution),
            steps_per_epoch=examples.steps,
            initial_epoch=done,
            epochs=epochs,
            callbacks=[*callbacks, *([line] if state.execution.devices.is_chief else [])],
            shuffle=False,  # the pipeline shuffles
            verbose=0,
        )
    finally:
        line.close()


def _compiled(state: _Fit, teacher: KerasModel | None) -> tuple[KerasModel, KerasModel, KerasOptimizer]:
    """Return the model with the variables that are trained, the Keras model that `fit` is called on, and the optimizer."""
    config, steps = state.config, state.examples.steps
    task, total = training_task(config.task), config.schedule.epochs * state.examples.steps
    optimization, regularization = config.optimization, config.regularization
    if total < optimization.accumulate:
        raise HRNetError(f"`accumulate` is {optimization.accumulate}, but the training has only {total} steps")
    student = sparsified(state.model, regularization.sparsity, total) if regularization.sparsity else state.model
    loss = task.loss(config.settings)
    optimizer = make_optimizer(
        learning_rates(config, steps),
        optimization.optimizer,
        weight_decay=optimization.weight_decay,
        accumulate=optimization.accumulate,
        ema=optimization.ema,
        loss_scaling=config.precision == FLOAT16,
    )
    if has_auxiliary(student):
        trainer = auxiliary_trainer(task, student, state.run.spec, loss)
    else:
        trainer = trainer_model(task, student, loss)
    compile_trainer(trainer, loss, optimizer, jit=state.execution.jit or BACKEND == "jax")
    if teacher is not None:
        trainer = distillation_model(task, trainer, teacher, regularization.distill_weight)
    optimizer.build(student.trainable_variables)
    return student, trainer, optimizer


def _elastic(state: _Fit) -> list[KerasCallback]:
    """Return what trains random smaller networks inside the model. Its channels are ordered by the initial weights."""
    share, spec = state.config.regularization.elastic, state.run.spec
    return [random_networks(state.model, spec, share, state.config.seed)] if share and isinstance(spec, HRNetSpec) else []


def _callbacks(state: _Fit, checkpoint: Checkpoint, rows: Rows, elastic: list[KerasCallback]) -> list[KerasCallback]:
    """Return the callbacks in their order: each sees what those before it add to the logs, the user's the validation's."""
    run, config, examples, execution = state.run, state.config, state.examples, state.execution
    geometry = config.settings.geometry
    averaged = AveragedWeights(checkpoint.optimizer, checkpoint.model.trainable_variables)
    sparsity = sparsity_callbacks() if config.regularization.sparsity else []
    first = [*elastic, TerminateOnNonFinite(run, examples), *sparsity, averaged]
    if state.val:
        # Weights on several devices are copied to a model on one device.
        validated = build_model(run.spec) if execution.devices.strategy else without_auxiliary(state.model)
        first.append(Validation(state.val, run.spec, validated, state.model, geometry, execution.memory_budget))
    first.append(LearningRateLog(checkpoint.optimizer))
    keep = RunCheckpoint(
        run,
        state.model,
        checkpoint,
        rows,
        averaged,
        training_task(config.task).metric,
        keep=config.checkpoint.keep,
        patience=config.checkpoint.patience,
        writes=execution.devices.is_chief,
    )
    last: list[KerasCallback] = [keep, PipelineEpochEnd(examples)]
    if execution.tensorboard:
        from training.callbacks.tensorboard import TensorBoardImages

        shown, folder = state.val or examples.data, run.path / TENSORBOARD
        last.append(TensorBoardImages(folder, run.spec, examples.batch(0, 0)[:2], shown, geometry))
    return [*first, *execution.callbacks, *last]


def _batches(examples: Examples, epochs: range, execution: Execution) -> TFDataset:
    """Return the input pipeline: tf.data, or a PyDataset where there is no TensorFlow; both give the same batches."""
    if BACKEND == "tensorflow":
        dataset = training_dataset(examples, epochs, execution.devices.local, execution.workers)
        return execution.devices.distributed(dataset)
    from training.data.keras_dataset import TrainingBatches

    return TrainingBatches(examples, epochs, execution.workers)
