"""A run on disk: what passes from training to ranking, pruning, quantization and conversion.

    RUN/run.json             what it is: step, joints or classes, training config, the run it came from
    RUN/spec.json            the network
    RUN/weights.safetensors  its variables, named by layer
    RUN/history.csv          one row an epoch
    RUN/ranking.json         importance of every link (and block), once ranked
    RUN/pruning.json         what was removed, in which order and why, of a pruned run
    RUN/checkpoint.safetensors  all the state of its training, for resuming

Files are written beside and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_tf.networks import Network, network_from_json, network_to_json
from hrnet_tf.spec import HRNetSpec, Unit, parse_unit

PRUNING = "pruning.json"
STEPS = ("build", "train", "prune", "quantize", "import")


@dataclass(frozen=True)
class Run:
    """A run folder's description. `category` is what it answers with: a COCO keypoint category, or {"name": task,
    "classes": [names]}. `config` are the settings of its training."""

    path: Path
    step: str
    spec: Network
    category: dict[str, Any]
    config: dict[str, Any]
    parent: str | None = None

    @property
    def hrnet_spec(self) -> HRNetSpec:
        """Its spec, for what is about fusion links; ValueError where it is of a network that has none."""
        if not isinstance(self.spec, HRNetSpec):
            raise ValueError(f"{self.path} is a SimpleBaseline: it has no fusion links")
        return self.spec

    @property
    def quantized(self) -> bool:
        """Whether its weights are those of the quantization-aware network."""
        return self.step == "quantize"

    @property
    def weights_path(self) -> Path:
        """Where its weights lie."""
        return self.path / "weights.safetensors"


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` with a path beside `path`, then rename; leaves nothing behind where it fails."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    write_atomically(path, lambda beside: beside.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Read JSON; ValueError names the file where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def save_run(run: Run) -> None:
    """Write the run's description (not its weights)."""
    write_json(run.path / "spec.json", network_to_json(run.spec))
    data = {"step": run.step, "parent": run.parent, "category": run.category, "config": run.config}
    write_json(run.path / "run.json", data)


def load_run(path: Path | str) -> Run:
    """The run in that folder."""
    path = Path(path)
    if not (path / "run.json").is_file():
        raise ValueError(f"{path} is not a run folder: it has no run.json; `hrnet train --output {path}` makes one")
    data = read_json(path / "run.json")
    spec = _load_network(path / "spec.json")
    if not isinstance(data, dict) or data.get("step") not in STEPS:
        raise ValueError(f"{path / 'run.json'} does not describe a run: its step must be one of {', '.join(STEPS)}")
    return Run(path, data["step"], spec, data["category"], _with_sources(data["config"]), data.get("parent"))


def _with_sources(config: dict[str, Any]) -> dict[str, Any]:
    """The config as it is written now: runs of before there were tasks name their files one by one."""
    if "train_annotations" not in config:
        return config
    names = ("train_annotations", "val_annotations", "images", "val_images")
    train, val, images, val_images = (config[name] for name in names)
    sources: dict[str, Any] = {"train": {"images": images, "annotations": train}}
    sources["val"] = {"images": val_images or images, "annotations": val} if val else None
    return {**sources, **{name: value for name, value in config.items() if name not in names}}


def _load_network(path: Path) -> Network:
    data = read_json(path)
    try:
        return network_from_json(data)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or of another version: {error}") from error


@dataclass(frozen=True)
class Ranking:
    """Importance of a run's units by one or several methods, higher is needed more.

    `stability` is each method's rank correlation between two halves of the persons, `agreement` that of two
    methods; None where there is no order. `of_run` names the larger run where a pruned one took the ranking over.
    """

    persons: int
    seed: int
    scores: dict[str, dict[Unit, float]]
    stability: dict[str, float | None]
    agreement: dict[tuple[str, str], float | None]
    of_run: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods' names; the first is what pruning goes by unless told otherwise."""
        return tuple(self.scores)

    def of(self, method: str | None = None) -> dict[Unit, float]:
        """The scores of that method, or of the first."""
        method = method or self.methods[0]
        if method not in self.scores:
            raise ValueError(f"not ranked by {method!r}, only by {', '.join(self.methods)}: rank with --method {method}")
        return self.scores[method]


def save_ranking(run: Run, ranking: Ranking) -> None:
    """Write ranking.json, the units of each method most needed first."""
    methods = {}
    for name, scores in ranking.scores.items():
        ordered = sorted(scores.items(), key=lambda item: -item[1])
        methods[name] = {"stability": ranking.stability[name], "importance": {str(unit): value for unit, value in ordered}}
    pairs = {" ~ ".join(pair): value for pair, value in ranking.agreement.items()}
    data = {"of_run": ranking.of_run, "persons": ranking.persons, "seed": ranking.seed, "agreement": pairs, "methods": methods}
    write_json(run.path / "ranking.json", data)


def load_ranking(run: Run) -> Ranking:
    """What `save_ranking` wrote; ValueError where the run was not ranked yet."""
    path = run.path / "ranking.json"
    if not path.is_file():
        raise ValueError(f"{run.path} has no ranking.json; rank its links first with `hrnet rank {run.path}`")
    data = read_json(path)
    try:
        methods = data["methods"]
        return Ranking(
            persons=data["persons"],
            seed=data["seed"],
            scores={
                name: {parse_unit(unit): float(value) for unit, value in method["importance"].items()}
                for name, method in methods.items()
            },
            stability={name: method["stability"] for name, method in methods.items()},
            agreement={_pair(names): value for names, value in data["agreement"].items()},
            of_run=data["of_run"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged or of another version: {type(error).__name__} {error}") from error


def _pair(names: str) -> tuple[str, str]:
    first, second = names.split(" ~ ")
    return first, second
