"""Rank, plan, prune, fine-tune and distill a model with a head of its own: `python journey_job.py`.

It runs on the Keras of the environment and prints what came out as JSON. `python journey_job.py mirrored` prunes for two
logical devices and for one, and prints the difference.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.gates import gates_of
from hrnet_tf.models.trunk import hrnet_spec_of
from hrnet_tf.networks import HRNetBackbone
from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.spec.units import Unit
from training.optim.distill import distill
from training.pruning.plan import plan
from training.pruning.prune import prune
from training.ranking.gated_network import GatedNetwork
from training.ranking.rank import rank

SIZES = {"input_size": 64, "width": 4, "modules": (1, 1), "stem_width": 8, "stage1_width": 4, "blocks": 1}
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((8, 64, 64, 3)).astype(np.float32)
TARGETS = {"maps": RNG.uniform(0, 1, (8, 16, 16, 5)).astype(np.float32), "classes": RNG.integers(0, 3, 8)}


def two_headed() -> KerasModel:
    backbone = HRNetBackbone("pose-small-v1", **SIZES)
    pyramid = backbone.pyramid_outputs
    maps = keras.layers.Conv2D(5, 1, name="maps")(pyramid["P2"])
    classes = keras.layers.Dense(3, name="classes")(keras.layers.GlobalAveragePooling2D()(pyramid["P3"]))
    return keras.Model(backbone.input, {"maps": maps, "classes": classes}, name="two_headed")


def compile_heads(model: KerasModel) -> None:
    losses = {"maps": "mse", "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    model.compile("adam", losses, metrics={"classes": ["accuracy"]})


def journey() -> dict[str, Any]:
    keras.utils.set_random_seed(0)
    model = two_headed()
    compile_heads(model)
    ranking = rank(model, (IMAGES, TARGETS), methods="leave-one-out", include_blocks=False, include_widths=False, limit=4)
    half = plan(model, ranking, keep_links=0.5)
    pruned, smaller = (prune(model, half, batch_norm_data=data) for data in (None, (IMAGES, TARGETS)))
    compile_heads(smaller)
    gated = GatedNetwork.of(model).build()
    for unit, gate in gates_of(gated).items():
        gate.factor.assign(float(unit in half.spec.links))
    expected, outputs = gated.predict(IMAGES, verbose=0)["maps"], pruned.predict(IMAGES, verbose=0)["maps"]
    smaller.fit(IMAGES, TARGETS, batch_size=8, verbose=0)
    before = model.get_weights()
    history = distill(smaller, teacher=model).fit(IMAGES, TARGETS, validation_data=(IMAGES, TARGETS), verbose=0).history
    evaluated = smaller.evaluate(IMAGES, TARGETS, verbose=0, return_dict=True)
    return {
        "links": len(hrnet_spec_of(smaller).links),
        "difference": largest_difference([outputs], [expected]),
        "history": {name: float(value) for name, (value,) in history.items()},
        "evaluated": {name: float(value) for name, value in evaluated.items()},
        "teacher_change": largest_difference(before, model.get_weights()),
    }


def largest_difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """The largest difference of two arrays, relative to the largest value of the second."""
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-6)) for a, b in zip(first, second, strict=True))


def mirrored() -> dict[str, Any]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    model = two_headed()
    spec = hrnet_spec_of(model)
    scores: dict[Unit, float] = {link: float(number) for number, link in enumerate(sorted(spec.links))}
    half = plan(model, Ranking(spec, 2, 0, {"l1": scores}, {"l1": None}, {}), keep_links=0.5)
    with strategy.scope():
        pruned = prune(model, half, batch_norm_data=IMAGES)
    one_device = prune(model, half, batch_norm_data=IMAGES)
    return {
        "mirrored": type(pruned.weights[0]).__name__,
        "links": len(hrnet_spec_of(pruned).links),
        "pruned_difference": largest_difference(pruned.get_weights(), one_device.get_weights()),
    }


if __name__ == "__main__":
    print(json.dumps(mirrored() if "mirrored" in sys.argv[1:] else journey()))
