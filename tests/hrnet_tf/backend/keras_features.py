"""What Keras does with models of the package, on the Keras of the environment: `python keras_features.py FOLDER`.

`features` trains, saves, loads and clones a model of `HRNet`, and one with an own head of two outputs, and returns numbers, which
`test_keras_integration` checks. As a program it writes them to FOLDER/features.json.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import BACKEND, NAME, keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.functional import HRNetModel
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.networks import HRNet, HRNetBackbone

SIZES: dict[str, Any] = {"input_size": 32, "width": 4, "modules": (1,), "stem_width": 4, "stage1_width": 4, "blocks": 1}
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((16, 32, 32, 3)).astype(np.float32)
TARGETS = {"maps": RNG.random((16, 8, 8, 3)).astype(np.float32), "classes": RNG.integers(0, 2, 16)}
LEARNING_RATE = 1e-3


def heatmap_network() -> KerasModel:
    """A model of `HRNet`, compiled."""
    model = HRNet("pose-small-v1", outputs=3, **SIZES)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), keras.losses.MeanSquaredError())
    return model


def two_outputs() -> KerasModel:
    """Maps from P2 and classes from P3, compiled."""
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    maps = keras.layers.Conv2D(3, 1, dtype="float32", name="maps")(backbone.pyramid_outputs["P2"])
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(backbone.pyramid_outputs["P3"])
    classes = keras.layers.Dense(2, dtype="float32", name="classes")(pooled)
    model = keras.Model(backbone.input, {"maps": maps, "classes": classes}, name="two_outputs")
    losses = {"maps": keras.losses.MeanSquaredError(), "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    model.compile(keras.optimizers.Adam(LEARNING_RATE), losses, metrics={"classes": ["accuracy"]})
    return model


MODELS = {"heatmaps": heatmap_network, "two_outputs": two_outputs}


def targets(model: KerasModel) -> Any:
    """The targets of a model, by output if it has several."""
    return TARGETS if isinstance(model.output, dict) else TARGETS["maps"]


def predictions(outputs: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in (outputs if isinstance(outputs, dict) else {"": outputs}).items()}


def difference(first: Any, second: Any) -> float:
    """The largest absolute difference of two predictions."""
    first, second = predictions(first), predictions(second)
    assert first.keys() == second.keys()
    return float(max(np.abs(array - second[name]).max() for name, array in first.items()))


def training(model: KerasModel, folder: Path) -> dict[str, Any]:
    """Train with callbacks to which only the first epoch is an improvement: two more epochs halve the learning rate twice."""
    callbacks: dict[str, Any] = {
        "stopping": keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=2, restore_best_weights=True),
        "checkpoint": keras.callbacks.ModelCheckpoint(str(folder / "epoch{epoch}.keras")),
        "reducing": keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=1e9),
    }
    if BACKEND == "tensorflow":
        callbacks["tensorboard"] = keras.callbacks.TensorBoard(str(folder / "logs"))
    y = targets(model)
    history = model.fit(
        IMAGES, y, batch_size=8, epochs=6, validation_data=(IMAGES, y), callbacks=list(callbacks.values()), verbose=0
    ).history
    first = keras.models.load_model(folder / "epoch1.keras")
    evaluation = first.evaluate(IMAGES, y, batch_size=8, verbose=0, return_dict=True)
    return {
        "epochs": len(history["val_loss"]),
        "finite": bool(np.isfinite([history["loss"], history["val_loss"]]).all()),
        "learning_rate": float(np.asarray(model.optimizer.learning_rate)),
        "checkpoints": sorted(path.name for path in folder.glob("*.keras")),
        "events": len(list((folder / "logs").rglob("events*"))),
        "best_epoch": difference(first.predict(IMAGES, batch_size=8, verbose=0), model(IMAGES, training=False)),
        "evaluation": {name: [value, history[f"val_{name}"][0]] for name, value in evaluation.items()},
        "same_spec": spec_of(first) == spec_of(model),
    }


def saved_models(model: KerasModel) -> list[str]:
    """Folders of tf_keras's SavedModels with layers, which take long to write: of the package's class of models only."""
    return ["saved"] if NAME == "tf_keras" and isinstance(model, HRNetModel) else []


def copies(model: KerasModel, folder: Path) -> dict[str, Any]:
    """By the way of saving or copying, the largest difference of the outputs, and whether the spec is the same."""
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    loaded = {"clone": clone}
    for file in ("model.keras", "model.h5", *saved_models(model)):
        model.save(folder / file)
        loaded[file] = keras.models.load_model(folder / file)
    expected = predictions(model(IMAGES, training=False))
    outputs = {kind: copy(IMAGES, training=False) for kind, copy in loaded.items()}
    results = {kind: [difference(outputs[kind], expected), spec_of(copy) == spec_of(model)] for kind, copy in loaded.items()}
    if BACKEND == "tensorflow":
        model.export(str(folder / "exported"))
        exported = tf.saved_model.load(str(folder / "exported"))  # has no layers, and no spec
        results["exported"] = [difference(exported.serve(IMAGES), expected), True]
    return results


def printed_parameters(model: KerasModel) -> bool:
    """Whether `summary` prints the number of trainable parameters."""
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line))
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return f"Trainable params: {count} " in "\n".join(lines).replace(",", "")


def two_losses(model: KerasModel) -> list[float]:
    """The losses of two steps of 8 images."""
    y = targets(model)
    first = {name: array[:8] for name, array in y.items()} if isinstance(y, dict) else y[:8]
    return [float(loss) for loss in model.fit(IMAGES[:8], first, batch_size=8, epochs=2, verbose=0).history["loss"]]


def precision(policy: str, spec: Any) -> dict[str, Any]:
    """Two steps with a precision policy."""
    keras.mixed_precision.set_global_policy(policy)
    try:
        heatmaps, model = heatmap_network(), two_outputs()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    stem = model.get_layer("stem_conv1")
    model.run_eagerly = policy == "mixed_bfloat16"  # without tracing, which does not depend on the kind of float
    losses = two_losses(model)
    outputs = {**predictions(model(IMAGES[:2])), **predictions(heatmaps(IMAGES[:2]))}
    return {
        "finite": bool(np.isfinite(losses).all()),
        "compute": str(stem.compute_dtype),
        "variables": str(stem.variable_dtype),
        "outputs": {name: str(array.dtype) for name, array in outputs.items()},
        "same_spec": spec_of(model) == spec,
    }


def under_strategies() -> dict[str, Any]:
    """The losses of two steps, and the spec, of a model that is built under a strategy of one CPU, and of one that is not."""
    weights = two_outputs().get_weights()
    scopes = {
        "none": contextlib.nullcontext(),
        "mirrored": tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
    }
    results = {}
    for name, scope in scopes.items():
        with scope:
            model = two_outputs()
        model.set_weights(weights)
        results[name] = {"losses": two_losses(model), "spec": spec_of(model).to_json()}
    return results


def features(folder: Path) -> dict[str, Any]:
    """All results, by kind; what needs TensorFlow is left out with JAX."""
    results: dict[str, Any] = {"keras": NAME, "backend": BACKEND, "training": {}, "copies": {}, "summary": {}}
    for name, make in MODELS.items():
        keras.utils.set_random_seed(0)
        model = make()
        (folder / name).mkdir()
        results["training"][name] = training(model, folder / name)
        results["copies"][name] = copies(model, folder / name)
        results["summary"][name] = printed_parameters(model)
    results["precision"] = {policy: precision(policy, spec_of(model)) for policy in ("mixed_float16", "mixed_bfloat16")}
    if BACKEND == "tensorflow":
        results["strategies"] = under_strategies()
    return results


if __name__ == "__main__":
    Path(sys.argv[1], "features.json").write_text(json.dumps(features(Path(sys.argv[1]))))
