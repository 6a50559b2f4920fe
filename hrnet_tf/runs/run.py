"""Runs on disk: what one step of the workflow hands to the next.

    RUN/run.json                what the run is: step, categories, training settings, parent run
    RUN/spec.json               the network
    RUN/weights.safetensors     the model's variables, named by layer
    RUN/history.csv             one row per epoch
    RUN/ranking.json            importance of every fusion link (and residual block), see `hrnet_tf.runs.ranking`
    RUN/pruning.json            removal steps of a pruned run, see `hrnet_tf.runs.pruning`
    RUN/checkpoint.safetensors  the complete state of an unfinished training

Each file is written under another name and then renamed, so that readers never see a partial file. run.json is written last: a
folder without it is not a run.
"""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.history import History, read_history
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking, load_ranking
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights, set_model_weights
from hrnet_tf.spec.architectures import Network, network_from_json, network_to_json
from hrnet_tf.spec.keypoint_categories import category_for
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import AnyPath, complete_folder, read_json, write_json
from mobile_eval.typed import JsonObject, checked, checked_entry

RUN_FILE, SPEC_FILE, WEIGHTS_FILE = "run.json", "spec.json", "weights.safetensors"
SOURCE_ENTRIES = ("images", "annotations", "masks", "classes", "category", "exif", "strict")  # of a data source in run.json
STEPS = ("build", "train", "prune", "quantize", "import")


@dataclass(frozen=True, repr=False)
class Run:
    """A step of the workflow on disk: a network, its weights, and how it was made.

    Attributes:
        path: The run folder.
        step: The command that made the run, one of `STEPS`.
        spec: The network.
        category: What the network predicts: a COCO keypoint category, or `{"name": task, "classes": [names]}`.
        config: The training settings, empty for a run that was not trained here.
        parent_path: The folder of the run from which this run was made.
        inputs: Number of items and checksum of the data ("train", "val") and of the weights ("parent", "teacher") that the run
            was made from. They identify the inputs wherever these are stored.

    Example:
        >>> run = Run.load("runs/full")  # doctest: +SKIP
        >>> run.spec.input_size  # doctest: +SKIP
        (128, 96)
        >>> model = run.model()  # doctest: +SKIP
    """

    path: Path
    step: str
    spec: Network
    category: JsonObject
    config: JsonObject
    parent_path: str | None = None
    inputs: dict[str, JsonObject] = field(default_factory=dict)

    @classmethod
    def load(cls, path: AnyPath) -> Run:
        """Read the description of a run.

        Args:
            path: The run folder.

        Raises:
            HRNetError: The folder is not a run, or one of its files is damaged. The message names the file and the entry.

        Example:
            >>> Run.load("runs/full").spec.input_size  # doctest: +SKIP
            (128, 96)
        """
        path = Path(path)
        file = path / RUN_FILE
        if not file.is_file():
            reason = "it is a file" if path.is_file() else f"it has no {RUN_FILE}" if path.is_dir() else "there is no such folder"
            raise HRNetError(
                f"{path} is not a run folder: {reason}; expected one written by `hrnet train`, `build` or `checkpoint import`"
            )
        data = checked(read_json(file, "run"), JsonObject, str(file))
        if data.get("step") not in STEPS:
            raise HRNetError(f"{file} does not describe a run: its step must be one of {', '.join(STEPS)}")
        return cls(
            path,
            data["step"],
            _load_network(path / SPEC_FILE),
            _checked_category(checked_entry(data, "category", JsonObject, str(file)), f"{file}: category"),
            _checked_config(checked_entry(data, "config", JsonObject, str(file)), f"{file}: config"),
            checked(data.get("parent"), str | None, f"{file}: parent"),
            checked(data.get("inputs", {}), dict[str, JsonObject], f"{file}: inputs"),
        )

    @property
    def hrnet_spec(self) -> HRNetSpec:
        """The spec of an HRNet. Raises HRNetError for other networks, which have no fusion links."""
        if not isinstance(self.spec, HRNetSpec):
            raise HRNetError(f"{self.path} is a {self.spec.title}: it has no fusion links")
        return self.spec

    @property
    def quantized(self) -> bool:
        """Whether the weights are those of a quantization-aware model."""
        return self.step == "quantize"

    @property
    def weights_path(self) -> Path:
        """The weights file."""
        return self.path / WEIGHTS_FILE

    @property
    def parent(self) -> Run | None:
        """The run from which this run was made, if any. Raises HRNetError if its folder is no longer there."""
        return None if self.parent_path is None else Run.load(self.parent_path)

    @property
    def history(self) -> History:
        """The finished epochs. Raises HRNetError if history.csv is damaged."""
        return History(tuple(read_history(self.path)))

    @property
    def is_ranked(self) -> bool:
        """Whether there is a ranking."""
        return (self.path / RANKING_FILE).is_file()

    @property
    def ranking(self) -> Ranking:
        """The importance of the links, and of the blocks. Raises HRNetError if the run is not ranked, or the file is damaged."""
        if not self.is_ranked:
            raise HRNetError(f"{self.path} has no {RANKING_FILE}; rank its links first with `{self.rank_command()}`")
        return load_ranking(self.path, self.hrnet_spec)

    def rank_command(self, *, include_blocks: bool = False, include_widths: bool = False) -> str:
        """Return the command that ranks the run, for messages. It asks for data if the run has none, such as an imported one."""
        data = "" if self.config.get("train") else " --annotations FILE --images FOLDER"
        kinds = f"{' --blocks' if include_blocks else ''}{' --widths' if include_widths else ''}"
        return f"hrnet rank {shlex.quote(str(self.path))}{kinds}{data}"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, step={self.step!r}, spec={self.spec.name!r})"

    def __str__(self) -> str:
        height, width = self.spec.input_size
        links = ""
        if isinstance(self.spec, HRNetSpec):
            links = f", {len(self.spec.links)} of {len(self.spec.possible_links)} links"
        lines = [
            f"{self.path}: {self.spec.name} for {self.spec.task}, {height}x{width}, {self.spec.classes} outputs{links}",
            f"  made by {self.step}{f' from {self.parent_path}' if self.parent_path else ''}",
        ]
        if last := self.history.rows[-1:]:
            figures = "  ".join(f"{name} {value:.4g}" for name, value in last[0].items() if name != "epoch")
            lines.append(f"  after epoch {last[0]['epoch']:g}: {figures}")
        return "\n".join(lines)

    def model(self) -> KerasModel:
        """Build the Keras model with the weights of the run; for a quantized run, with fake quantization.

        Returns:
            A functional model, not compiled; for a quantized detector its two stages, joined.

        Raises:
            HRNetError: The weights are missing, damaged or of another network.

        Example:
            >>> model = Run.load("runs/pose").model()  # doctest: +SKIP
        """
        weights = load_weights(self.weights_path)
        model = self._quantized_model() if self.quantized else build_model(self.spec)
        set_model_weights(model, weights)
        return model

    def _quantized_model(self) -> KerasModel:
        from hrnet_tf.models.quantization import build_quantized_model

        model = build_quantized_model(self.spec)
        if not model.built:
            model(np.zeros((1, *self.spec.input_size, 3), np.float32))  # a subclassed model has weights once it was called
        return model


def save_run(run: Run) -> None:
    """Write run.json and spec.json."""
    write_json(run.path / SPEC_FILE, network_to_json(run.spec))
    data = {"step": run.step, "parent": run.parent_path, "category": run.category, "config": run.config, "inputs": run.inputs}
    write_json(run.path / RUN_FILE, data)


def create_run(spec: Network, output: Path | str, *, links_from: Run | None = None, seed: int = 0) -> Run:
    """Write a run with initial weights.

    Args:
        spec: The network.
        output: The run folder, which must not exist.
        links_from: A run whose fusion links and blocks the network gets.
        seed: Seed of the initial weights.
    """
    output = Path(output)
    if output.exists():
        raise HRNetError(f"{output} exists already; give another `output`")
    spec = connected_like(spec, links_from)
    keras.utils.set_random_seed(seed)
    run = Run(output, "build", spec, category_for(spec), {"seed": seed})
    weights = model_weights(build_model(spec))
    with complete_folder(output) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / WEIGHTS_FILE, weights)
    return run


def connected_like(spec: Network, run: Run | None) -> Network:
    """Return `spec` with the fusion links and blocks of `run`, or unchanged if `run` is None."""
    if run is None:
        return spec
    if not isinstance(spec, HRNetSpec):
        raise HRNetError(f"`links_from` {run.path}: {spec.name} has no fusion links")
    return spec.connected_like(run.hrnet_spec)


def _checked_category(category: JsonObject, place: str) -> JsonObject:
    checked_entry(category, "name", str, place)
    checked_entry(category, "keypoints" if "keypoints" in category else "classes", list[str], place)
    joints = len(category.get("keypoints", ()))
    for bone in checked(category.get("skeleton"), list[tuple[int, int]] | None, f"{place}: skeleton") or ():
        if not all(1 <= joint <= joints for joint in bone):
            raise HRNetError(f"{place}: skeleton joins {list(bone)}, but there are keypoints 1 to {joints}")
    checked(category.get("sigmas"), list[float] | None, f"{place}: sigmas")
    return category


def _checked_config(config: JsonObject, place: str) -> JsonObject:
    for name in ("train", "val"):
        source = checked(config.get(name), dict[str, str | bool] | None, f"{place}: {name}") or {}
        if unknown := source.keys() - set(SOURCE_ENTRIES):
            raise HRNetError(f"{place}: {name} has {min(unknown)!r:.60}, expected {', '.join(SOURCE_ENTRIES)}")
    checked(config.get("targets"), str | None, f"{place}: targets")
    checked(config.get("heatmap_offset"), float | None, f"{place}: heatmap_offset")
    return config


def _load_network(path: Path) -> Network:
    data = read_json(path, "spec")
    try:
        return network_from_json(data)
    except HRNetError as error:
        raise HRNetError(f"{path} is damaged or of another version: {error}") from error
