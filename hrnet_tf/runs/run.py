"""A run on disk: what passes from training to ranking, pruning, quantization and conversion.

    RUN/run.json             what it is: step, joints or classes, training config, the run it came from
    RUN/spec.json            the network
    RUN/weights.safetensors  its variables, named by layer
    RUN/history.csv          one row an epoch
    RUN/ranking.json         importance of every link (and block), once ranked
    RUN/pruning.json         what was removed, in which order and why, of a pruned run
    RUN/checkpoint.safetensors  all the state of its training, for resuming

Files are written beside and renamed, so that a reader never sees half of one. run.json is written last: a folder without it
holds no run.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_tf.spec.architectures import Network, network_from_json, network_to_json
from hrnet_tf.spec.network import HRNetSpec, Unit, parse_unit
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.typed import checked, checked_entry

RUN, SPEC, RANKING, PRUNING = "run.json", "spec.json", "ranking.json", "pruning.json"
PAIR = " ~ "  # between the names of two methods
SOURCE = ("images", "annotations", "masks", "classes", "category", "exif", "strict")  # what a data set is given by
STEPS = ("build", "train", "prune", "quantize", "import")


@dataclass(frozen=True)
class Run:
    """A run folder's description. `category` is what it answers with: a COCO keypoint category, or {"name": task,
    "classes": [names]}. `config` are the settings of its training, `inputs` what tells the data and weights that it was made
    from by their content, wherever they lie: "train", "val", "parent", "teacher"."""

    path: Path
    step: str
    spec: Network
    category: dict[str, Any]
    config: dict[str, Any]
    parent: str | None = None
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def hrnet_spec(self) -> HRNetSpec:
        """Its spec, for what is about fusion links; HRNetError where it is of a network that has none."""
        if not isinstance(self.spec, HRNetSpec):
            raise HRNetError(f"{self.path} is a SimpleBaseline: it has no fusion links")
        return self.spec

    @property
    def quantized(self) -> bool:
        """Whether its weights are those of the quantization-aware network."""
        return self.step == "quantize"

    @property
    def weights_path(self) -> Path:
        """Where its weights lie."""
        return self.path / "weights.safetensors"


def save_run(run: Run) -> None:
    """Write the run's description (not its weights)."""
    write_json(run.path / SPEC, network_to_json(run.spec))
    data = {"step": run.step, "parent": run.parent, "category": run.category, "config": run.config, "inputs": run.inputs}
    write_json(run.path / RUN, data)


def load_run(path: Path | str) -> Run:
    """The run in that folder."""
    path = Path(path)
    file = path / RUN
    if not file.is_file():
        made_by = "give a folder that `hrnet train`, `hrnet build` or `hrnet import` wrote"
        found = "it is a file" if path.is_file() else f"it has no {RUN}" if path.is_dir() else "there is no such folder"
        raise HRNetError(f"{path} is not a run folder: {found}; {made_by}")
    data = checked(read_json(file, "run"), dict[str, Any], str(file))
    if data.get("step") not in STEPS:
        raise HRNetError(f"{file} does not describe a run: its step must be one of {', '.join(STEPS)}")
    return Run(
        path,
        data["step"],
        _load_network(path / SPEC),
        _category(checked_entry(data, "category", dict[str, Any], str(file)), f"{file}: category"),
        _config(checked_entry(data, "config", dict[str, Any], str(file)), f"{file}: config"),
        checked(data.get("parent"), str | None, f"{file}: parent"),
        checked(data.get("inputs", {}), dict[str, dict[str, Any]], f"{file}: inputs"),
    )


def _category(category: dict[str, Any], place: str) -> dict[str, Any]:
    """The names of what a network answers with, of the types that readers rely on."""
    checked_entry(category, "name", str, place)
    names = "keypoints" if "keypoints" in category else "classes"
    checked_entry(category, names, list[str], place)
    joints = len(category.get("keypoints", ()))
    for bone in checked(category.get("skeleton"), list[tuple[int, int]] | None, f"{place}: skeleton") or ():
        if not all(1 <= joint <= joints for joint in bone):
            raise HRNetError(f"{place}: skeleton joins {list(bone)}, but there are keypoints 1 to {joints}")
    checked(category.get("sigmas"), list[float] | None, f"{place}: sigmas")
    return category


def _config(config: dict[str, Any], place: str) -> dict[str, Any]:
    """The settings of its training, with sources of the types that readers rely on."""
    for name in ("train", "val"):
        source = checked(config.get(name), dict[str, str | bool] | None, f"{place}: {name}") or {}
        if unknown := source.keys() - set(SOURCE):
            raise HRNetError(f"{place}: {name} has {min(unknown)!r:.60}, expected {', '.join(SOURCE)}")
    checked(config.get("targets"), str | None, f"{place}: targets")
    checked(config.get("heatmap_offset"), float | None, f"{place}: heatmap_offset")
    return config


def _load_network(path: Path) -> Network:
    data = read_json(path, "spec")
    try:
        return network_from_json(data)
    except HRNetError as error:
        raise HRNetError(f"{path} is damaged or of another version: {error}") from error


@dataclass(frozen=True)
class Ranking:
    """Importance of a run's units by one or several methods, higher is needed more.

    `stability` is each method's rank correlation between two halves of the data, `agreement` that of two
    methods; None where there is no order. `source_run` names the larger run where a pruned one took the ranking over.
    """

    items: int
    seed: int
    scores: dict[str, dict[Unit, float]]
    stability: dict[str, float | None]
    agreement: dict[tuple[str, str], float | None]
    source_run: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods' names; the first is what pruning goes by unless told otherwise."""
        return tuple(self.scores)

    def importance(self, method: str | None = None) -> dict[Unit, float]:
        """The scores of that method, or of the first."""
        method = method or self.methods[0]
        if method not in self.scores:
            raise HRNetError(f"not ranked by {method!r}, only by {', '.join(self.methods)}: rank with `method` {method}")
        return self.scores[method]


def save_ranking(run: Run, ranking: Ranking) -> None:
    """Write ranking.json, the units of each method most needed first."""
    methods = {}
    for name, scores in ranking.scores.items():
        ordered = sorted(scores.items(), key=lambda item: -item[1])
        methods[name] = {"stability": ranking.stability[name], "importance": {str(unit): value for unit, value in ordered}}
    pairs = {PAIR.join(pair): value for pair, value in ranking.agreement.items()}
    data = {
        "source_run": ranking.source_run,
        "items": ranking.items,
        "seed": ranking.seed,
        "agreement": pairs,
        "methods": methods,
    }
    write_json(run.path / RANKING, data)


def load_ranking(run: Run) -> Ranking:
    """What `save_ranking` wrote; HRNetError where the run was not ranked yet, or the file is damaged."""
    path = run.path / RANKING
    if not path.is_file():
        raise HRNetError(f"{run.path} has no {RANKING}; rank its links first with `{rank_command(run)}`")
    place = f"{path} is damaged or of another version"
    stored = checked(read_json(path, "ranking"), _StoredRanking, place)
    if not stored.methods:
        raise HRNetError(f"{place}: methods is empty")
    scores = {name: _units(method.importance, run, f"{place}: {name}") for name, method in stored.methods.items()}
    pairs = {name: tuple(name.split(PAIR)) for name in stored.agreement}
    for name, pair in pairs.items():
        if len(pair) != len(("first", "second")):
            raise HRNetError(f"{place}: agreement of {name!r}, expected two methods such as 'taylor{PAIR}l0'")
    return Ranking(
        items=stored.items,
        seed=stored.seed,
        scores=scores,
        stability={name: method.stability for name, method in stored.methods.items()},
        agreement={(pairs[name][0], pairs[name][1]): value for name, value in stored.agreement.items()},
        source_run=stored.source_run,
    )


def rank_command(run: Run, *, blocks: bool = False) -> str:
    """The command that ranks a run, as it can be typed; an imported run has no data of its own to name."""
    data = "" if run.config.get("train") else " --annotations FILE --images FOLDER"
    return f"hrnet rank {shlex.quote(str(run.path))}{' --blocks' if blocks else ''}{data}"


@dataclass(frozen=True)
class _StoredMethod:
    stability: float | None
    importance: dict[str, float]


@dataclass(frozen=True)
class _StoredRanking:
    source_run: str | None
    items: int
    seed: int
    agreement: dict[str, float | None]
    methods: dict[str, _StoredMethod]


def _units(importance: dict[str, float], run: Run, place: str) -> dict[Unit, float]:
    """Importance by link or block of the run's network at full connectivity."""
    possible: tuple[Unit, ...] = (*run.hrnet_spec.possible_links, *run.hrnet_spec.possible_blocks)
    known = {unit.name: unit for unit in possible}
    for name in importance:
        if name not in known:
            raise HRNetError(f"{place}: {name!r:.60} is no link or block of {run.spec.name}")
    return {known[name]: value for name, value in importance.items()}


@dataclass(frozen=True)
class _StoredStep:
    removed: tuple[str, ...]
    unreachable: tuple[str, ...]
    importance: float
    cost: float
    ratio: float
    loss: float | None = None
    score: float | None = None


def load_pruning(run: Run) -> dict[str, Any] | None:
    """What `hrnet prune` wrote of the way to a pruned network, as plain data; None where it was not pruned.

    Raises HRNetError, naming the entry, where it is damaged.
    """
    path = run.path / PRUNING
    if not path.is_file():
        return None
    place = f"{path} is damaged or of another version"
    data: dict[str, Any] = checked(read_json(path, "pruning"), dict[str, Any], place)
    for name, kind in (("metric", str), ("cost_unit", str), ("full_score", float), ("options", dict[str, Any])):
        checked_entry(data, name, kind, place)
    for index, step in enumerate(checked_entry(data, "steps", list[_StoredStep], place)):
        for unit in step.removed:
            try:
                parse_unit(unit)
            except HRNetError as error:
                raise HRNetError(f"{place}: steps[{index}]: {error}") from error
    return data
