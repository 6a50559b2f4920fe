"""`model.fit` on a run: the optimizer and its schedule, saving after each epoch, and resuming."""

from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path
from typing import Any

from hrnet_tf._keras import keras, tf
from hrnet_tf.folding import fold_batch_norm
from hrnet_tf.gates import on_units, unit_dropout
from hrnet_tf.networks import Network, build_model
from hrnet_tf.runs import PRUNING, Run, load_run, save_run, write_atomically
from hrnet_tf.spec import HRNetSpec
from hrnet_tf.weights import load_weights, model_weights, save_weights, set_model_weights
from mobile_eval.datasets.coco import KeypointCategory, KeypointDataset, load_keypoint_dataset
from training.config import TrainingConfig, with_defaults
from training.data import AfterEpoch, training_dataset, unreadable_in_one_line
from training.distillation import Distiller
from training.examples import examples_for, steps_per_epoch
from training.image_cache import ImageCache, read_person
from training.losses import LOSSES
from training.schedules import learning_rates
from training.sparsity import sparsified, sparsity_callbacks
from training.validation import ValidatePck

ROUNDS = "rounds"  # where a run made in several rounds keeps those before the last
BEFORE_A_RUN = (ROUNDS, PRUNING, "ranking.json", "links.svg", "removal.svg")
ADAM_EPSILON = 1e-8  # PyTorch's; heatmap gradients are small enough to feel Keras's 1e-7


def build_for_training(spec: Network, config: TrainingConfig, *, folded: bool = False) -> Any:
    """The Keras model of `spec`, in mixed precision and with dropped links where the config says so."""
    links = spec.links if isinstance(spec, HRNetSpec) and not folded else frozenset()
    gate = on_units(links, unit_dropout(config.link_dropout)) if config.link_dropout and links else None
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.mixed_precision else "float32")
    try:
        return build_model(spec, folded=folded, gate=gate)
    finally:
        keras.mixed_precision.set_global_policy(before)


def build_teacher(run: Run, config: TrainingConfig) -> Any:
    """The trained network of `run`, BatchNorm folded: a teacher only looks, and so it costs least."""
    if run.quantized:
        raise ValueError(f"{run.path} is quantized; take the run it came from as teacher: {run.parent}")
    model = build_for_training(run.spec, config, folded=True)
    set_model_weights(model, fold_batch_norm(load_weights(run.weights_path)))
    return model


def load_data(config: TrainingConfig) -> tuple[KeypointDataset, KeypointDataset | None]:
    """Training and (if named) validation persons; ValueError where an image to measure on cannot be read."""
    train = load_keypoint_dataset(config.train_annotations, config.images)
    steps_per_epoch(train, config.batch_size)  # refuses data that fill no batch, before anything is written
    if config.val_annotations is None:
        return train, None
    val = load_keypoint_dataset(config.val_annotations, config.val_images or config.images)
    if val.category.joints != train.category.joints:
        raise ValueError(f"{config.val_annotations} has other keypoints than {config.train_annotations}")
    for person in {person.image_path: person for person in val.persons}.values():
        read_person(person)  # one that is damaged would end the training after its first epoch
    return train, val


def check_category(run: Run, data: KeypointDataset) -> None:
    """Raise ValueError unless the data's joints are those that the run knows."""
    if KeypointCategory.from_json(run.category).joints != data.category.joints:
        raise ValueError(
            f"{run.path} was trained for {run.spec.classes} keypoints of category {run.category['name']!r}; "
            f"the annotations have others ({', '.join(data.category.joints[:3])}, ...)"
        )


def check_startable(run: Run, *, resume: bool) -> None:
    """Raise ValueError where the run's folder holds something else, or, to resume, another run.

    What pruning leaves before its run starts (its plan, and earlier rounds) is not something else.
    """
    if not (run.path / "run.json").exists():
        found = [entry.name for entry in run.path.iterdir()] if run.path.is_dir() else []
        if any(name not in BEFORE_A_RUN and not name.endswith(".part") for name in found):
            raise ValueError(f"{run.path} exists and is not a run folder; give another --output")
        return
    if not resume:
        raise ValueError(f"{run.path} exists already; go on with --resume or give another --output")
    before = load_run(run.path)
    before = dataclasses.replace(before, config=with_defaults(before.config))
    for name in ("step", "spec", "category", "config"):
        if getattr(before, name) != getattr(run, name):
            raise ValueError(
                f"{run.path} is a run of another model or other settings (its {name} differs); give another --output"
            )


def start_run(run: Run, *, resume: bool) -> None:
    """Write the run's description, or, to resume, check that the folder holds the same run."""
    check_startable(run, resume=resume)
    if not (run.path / "run.json").exists():
        save_run(run)


class SaveRun(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: weights, a row of history, and a checkpoint with the optimizer's state."""

    def __init__(self, run: Run, network: Any, manager: tf.train.CheckpointManager, epoch: tf.Variable):
        super().__init__()
        self.run = run
        self.network = network
        self.manager = manager
        self.epoch = epoch
        done = int(epoch.numpy())
        self.rows = read_history(run.path)[:done]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch.assign(epoch + 1)
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        save_weights(self.run.weights_path, model_weights(self.network))
        write_history(self.run.path, self.rows)
        try:
            self.manager.save()
        except (OSError, tf.errors.OpError) as error:
            raise ValueError(f"cannot write a checkpoint to {self.manager.directory}: {str(error).splitlines()[0]}") from error


def fit(
    run: Run,
    model: Any,
    config: TrainingConfig,
    train: KeypointDataset,
    val: KeypointDataset | None,
    teacher: Any | None = None,
    cache: ImageCache | None = None,
) -> None:
    """Train `model` until `config.epochs`, from the run's checkpoint where there is one; the run keeps the last epoch.

    With a `teacher` (a Keras model of the same heatmaps), `config.distill` is its share of the loss. Decoded images
    are taken from `cache` and kept there, if it is given.
    """
    if len(read_history(run.path)) >= config.epochs:
        return
    examples = examples_for(train, run.spec, config, cache)
    steps = examples.steps
    student = sparsified(model, config.sparsity, config.epochs * steps) if config.sparsity else model
    learner = Distiller(student, teacher, config.distill) if teacher is not None else student
    optimizer = keras.optimizers.Adam(learning_rates(config, steps), epsilon=ADAM_EPSILON)
    learner.compile(optimizer, LOSSES[config.loss]())
    epoch = tf.Variable(0, dtype=tf.int64, name="epoch")
    optimizer.build(student.trainable_variables)
    checkpoint = tf.train.Checkpoint(model=student, optimizer=optimizer, epoch=epoch)
    manager = tf.train.CheckpointManager(checkpoint, str(run.path / "checkpoint"), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)
    done = int(epoch.numpy())
    callbacks = sparsity_callbacks() if config.sparsity else []
    callbacks += [ValidatePck(val, run.spec)] if val else []
    with unreadable_in_one_line(examples):
        learner.fit(
            training_dataset(examples, range(done, config.epochs)),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=config.epochs,
            callbacks=[*callbacks, SaveRun(run, model, manager, epoch), AfterEpoch(examples)],
            verbose=1 if sys.stdout.isatty() else 2,
        )


def write_history(run: Path, rows: list[dict[str, float]]) -> None:
    """Write history.csv, one row an epoch."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(run / "history.csv", write)


def read_history(run: Path) -> list[dict[str, float]]:
    """The rows of history.csv; none where nothing was trained yet."""
    if not (run / "history.csv").is_file():
        return []
    with (run / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]
