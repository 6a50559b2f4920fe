"""The job whose results `test_keras3` checks, on the Keras of the environment: `python keras3_job.py FOLDER`.

FOLDER contains `inputs.npz` (images, heatmaps, keypoint weights), `initial.safetensors` and synthetic people.
The results are written to it.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from hrnet_tf.backend.keras_module import BACKEND, keras
from hrnet_tf.models.build import build_model
from hrnet_tf.models.gates import HardConcreteGate
from hrnet_tf.models.layers import Upsampling
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from training.config import TrainingConfig
from training.data.examples import Examples
from training.data.keras_dataset import TrainingBatches
from training.execution import Execution
from training.ranking.rank import rank_run
from training.tasks.pose.losses import HeatmapMSE
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.task import pose_example_builder
from training.train import train

SMALL = HRNetSpec("small", 4, (32, 32), 17, (StageSpec(1, 1), StageSpec(1, 1)), stem_width=4, stage1_blocks=1, stage1_width=4)


class InterruptSecondEpoch(keras.callbacks.Callback):
    """Interrupts training in its second epoch, as Ctrl-C does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def error_message(action):
    """The message of the HRNetError that `action` raises."""
    try:
        action()
    except HRNetError as error:
        return str(error)
    return ""


def one_step(folder, spec):
    """Outputs with the initial weights, and the weights after one step of Adam."""
    inputs, model = np.load(folder / "inputs.npz"), build_model(spec)
    set_model_weights(model, load_weights(folder / "initial.safetensors"))
    results = {"heatmaps": np.asarray(model.predict_on_batch(inputs["images"]))}
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-8), HeatmapMSE())
    results["loss"] = np.asarray(model.train_on_batch(inputs["images"], inputs["heatmaps"], sample_weight=inputs["weights"]))
    save_weights(folder / "stepped.safetensors", model_weights(model))
    return results


def batches(config, spec):
    """The batches of the first epoch and the first batch of the second."""
    people = load_keypoints(config.data.train)
    dataset = TrainingBatches(Examples(people, pose_example_builder(people, spec, PoseSettings()), 8, 3), range(2))
    return {
        f"batch{index}_{part}": array for index in range(dataset.examples.steps + 1) for part, array in enumerate(dataset[index])
    }


def trainings(folder, config):
    """Trainings with link dropout (uninterrupted, and resumed), with a teacher in bfloat16, and in float16; and a ranking."""
    config = config.replace(link_dropout=0.3)
    train(SMALL.full(), config, folder / "uninterrupted")
    try:
        train(SMALL.full(), config, folder / "resumed", execution=Execution(callbacks=(InterruptSecondEpoch(),)))
    except KeyboardInterrupt:
        train(SMALL.full(), config, folder / "resumed", resume=True)
    distilled = config.replace(epochs=1, precision="bfloat16", distill_weight=0.5)
    train(SMALL.full(), distilled, folder / "distilled", teacher=Run.load(folder / "uninterrupted"))
    half = config.replace(link_dropout=0.0, epochs=1, precision="float16", accumulate=2, ema=0.5)
    train(SMALL.full(), half, folder / "half")
    model, run = build_model(Run.load(folder / "uninterrupted").spec), Run.load(folder / "uninterrupted")
    set_model_weights(model, load_weights(run.weights_path))
    ranking = rank_run(run, load_keypoints(config.data.train).head(8))
    (folder / "scores.json").write_text(json.dumps({str(unit): score for unit, score in ranking.importance().items()}))
    return {"trained": np.asarray(model.predict_on_batch(np.load(folder / "inputs.npz")["images"][:, :32, :32]))}


def parts():
    """The layers that are implemented separately for each Keras."""
    maps = np.random.default_rng(0).standard_normal((2, 3, 5, 4)).astype(np.float32)
    results = {kind: np.asarray(Upsampling(4, kind)(maps)) for kind in ("nearest", "bilinear", "aligned")}
    gate = HardConcreteGate("stage2_module0_link0to1_gate")
    gate(maps)
    gate.log_alpha.assign(0.0)
    results["gate_samples"] = np.asarray(gate(np.ones((4000, 1, 1, 1), np.float32), training=True))
    return results


def main(folder, spec):
    config = TrainingConfig.from_json(json.loads((folder / "config.json").read_text()))
    results = one_step(folder, spec) | batches(config, spec) | parts() | trainings(folder, config)
    names, errors = {}, {}
    for task in ("segmentation", "landmarks", "classification", "detection"):
        task_spec = dataclasses.replace(spec, task=task, links=frozenset()).full()
        if task == "detection" and BACKEND == "jax":
            errors[task] = error_message(lambda spec=task_spec: build_model(spec))
        else:
            names[task] = sorted(model_weights(build_model(task_spec)))
    diverging = config.replace(learning_rate=1e30, warmup_epochs=0.0)
    errors["nan"] = error_message(lambda: train(SMALL.full(), diverging, folder / "diverged"))
    if BACKEND == "tensorflow":
        import tf_keras

        model = build_model(SMALL.full())
        errors["optimizer"] = error_message(lambda: model.compile(tf_keras.optimizers.Adam(), HeatmapMSE()))
        execution = Execution(callbacks=(tf_keras.callbacks.Callback(),))
        errors["callback"] = error_message(lambda: train(SMALL, config, folder / "no", execution=execution))
    np.savez(folder / "results.npz", **results)
    facts = {"backend": BACKEND, "tensorflow": "tensorflow" in sys.modules, "names": names, "errors": errors}
    (folder / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    main(folder, HRNetSpec.from_json(json.loads((folder / "spec.json").read_text())))
