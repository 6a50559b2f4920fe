"""Keras models to train: a student with its precision, dropped links and frozen parts, a teacher, and initial weights."""

from __future__ import annotations

from collections.abc import Collection

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.models.folding import fold_batch_norm
from hrnet_tf.models.gates import on_units, unit_dropout
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights, set_model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.resnet_trunk import CAFFE, style_of
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import UDP, geometry_of
from training.config import FLOAT32, TrainingConfig


def build_for_training(spec: Network, config: TrainingConfig, *, folded: bool = False) -> KerasModel:
    """Build the Keras model of a spec with the precision, link dropout and frozen parts of a config.

    It has the outputs that only training needs, if the network has any.

    Args:
        spec: The network.
        config: The config.
        folded: Build it with folded BatchNorm, without link dropout, frozen parts and auxiliary outputs.
    """
    regularization = config.regularization
    links = spec.links if isinstance(spec, HRNetSpec) and not folded else frozenset()
    gate = on_units(links, unit_dropout(regularization.link_dropout)) if regularization.link_dropout and links else None
    earlier_policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(config.precision if config.precision == FLOAT32 else f"mixed_{config.precision}")
    try:
        model = build_model(spec, folded=folded, gate=gate, auxiliary=not folded)
    finally:
        keras.mixed_precision.set_global_policy(earlier_policy)
    if not folded:
        freeze(model, regularization.freeze)
    return model


def freeze(model: KerasModel, parts: Collection[str]) -> None:
    """Freeze the weights and statistics of parts of a model.

    Args:
        model: The model.
        parts: Parts, by how the names of their layers begin, such as stem or stage2.

    Raises:
        HRNetError: The model has no such part, or nothing is left to train.
    """
    known = list(dict.fromkeys(layer.name.split("_")[0] for layer in model.layers if layer.weights))
    for part in parts:
        if part not in known:
            raise HRNetError(f"`freeze`: the network has no part {part!r}; there are {', '.join(known)}")
    for layer in model.layers:
        layer.trainable = layer.name.split("_")[0] not in parts
    if not model.trainable_variables:
        raise HRNetError(f"`freeze` {', '.join(parts)} leaves nothing to train")


def build_teacher(run: Run, config: TrainingConfig) -> KerasModel:
    """Build the trained network of a run as a teacher. Its BatchNorm is folded, which makes it faster."""
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; use the run it was made from as `teacher`: {run.parent_path}")
    if geometry_of(run.config.get("targets")) != config.settings.geometry:
        raise HRNetError(f"teacher {run.path} and student must both have `targets` {UDP}, or neither: their crops differ")
    model = build_for_training(run.spec, config, folded=True)
    set_model_weights(model, fold_batch_norm(load_weights(run.weights_path)))
    return model


def load_matching_weights(model: KerasModel, run: Run) -> None:
    """Copy the weights of a run whose name and shape match those of a model, such as the trunk below another head.

    Raises:
        HRNetError: Not even the weights of the stem match, the run is quantized, or its ResNet has the strides elsewhere.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; start from the run it was made from: {run.parent_path}")
    spec = spec_of(model)
    before, after = style_of(run.spec), style_of(spec)
    if before and after and before != after:
        first, other = ("stage2_block0_conv1", "stage2_block0_conv2")[:: 1 if before == CAFFE else -1]
        raise HRNetError(f"{run.path}: {run.spec.name} has the stride in {first}, {spec.name} in {other}: the features differ")
    current, stored = model_weights(model), load_weights(run.weights_path)
    matching = {name: array for name, array in stored.items() if name in current and array.shape == current[name].shape}
    if not any(name.startswith("stem_") and name.endswith("/kernel") for name in matching):
        raise HRNetError(f"{run.path} has another architecture or width: no weights of its stem match")
    set_model_weights(model, {**current, **matching})
