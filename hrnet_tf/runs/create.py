"""A run of a network that has learnt nothing yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.keypoint_categories import category_for
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder


def connected_like(spec: Network, run: Run | None) -> Network:
    """`spec` with the links and blocks that the network of `run` has; as it is where `run` is None."""
    if run is None:
        return spec
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"{spec.name} has no fusion links to take over from {run.path}")
    return spec.connected_like(run.hrnet_spec)


def create_run(spec: Network, output: Path | str, *, links_from: Run | None = None, seed: int = 0) -> Run:
    """Write the network of `spec` with initial weights into the folder `output`."""
    output = Path(output)
    if output.exists():
        raise HRNetError(f"{output} exists already; give another `output`")
    spec = connected_like(spec, links_from)
    keras.utils.set_random_seed(seed)
    run = Run(output, "build", spec, category_for(spec.task, spec.classes), {"seed": seed})
    weights = model_weights(build_model(spec))
    with complete_folder(output) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / run.weights_path.name, weights)
    return run
