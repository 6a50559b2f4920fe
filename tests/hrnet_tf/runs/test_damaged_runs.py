"""A damaged file of a run raises HRNetError with one line that names the file and the entry."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrnet_tf.runs.pruning import Plan, PruningRecord, RemovalStep, load_pruning, save_pruning
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError

READERS: dict[str, Callable[[Path], Any]] = {
    "run.json": Run.load,
    "spec.json": Run.load,
    "ranking.json": lambda path: Run.load(path).ranking,
    "pruning.json": lambda path: load_pruning(Run.load(path)),
}
VALUES = (None, True, -1, 10**30, 0.5, float("nan"), "x", [], ["x"], {}, {"x": 1})
STEP = RemovalStep(("stage4_module0_link3to0",), (), importance=0.1, cost=3.0, ratio=0.9, loss=None, score=0.5)


@pytest.fixture
def run(tmp_path: Path, spec: HRNetSpec) -> Run:
    category = {"name": "person", "keypoints": ["nose", "neck"], "skeleton": [[1, 2]], "sigmas": None}
    config = {"train": {"images": "i", "annotations": "a"}, "val": None, "targets": "dark", "heatmap_offset": 0.5}
    run = Run(tmp_path / "run", "prune", spec, category, config, "runs/full", {"train": {"items": 3, "sha256": "0"}})
    save_run(run)
    scores = {FusionLink(2, 0, 0, 1): 0.25, ResidualBlock(2, 0, 1, 0): 0.1}
    ranks = {"taylor": scores, "random": scores}
    stability: dict[str, float | None] = {"taylor": 0.9, "random": None}
    channels = {name: {"branch0": (0.5, 0.25, 0.0, 1.0)} for name in ranks}
    save_ranking(run.path, Ranking(spec, 7, 3, ranks, stability, {("taylor", "random"): -1.0}, "runs/full", channels))
    plan = Plan(spec, (STEP,), {STEP.removed[0]: 0.25}, "ms", 3.3, 3.3, None, "PCK@0.1", 0.01, 0.9)
    save_pruning(run, PruningRecord("runs/full", {"method": None}, plan))
    return run


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in JSON data."""
    yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from paths_in(data[key], (*path, key))


def mutated(data: Any, path: tuple[Any, ...], rng: np.random.Generator) -> Any:
    """Return the JSON data with the value at a path removed or replaced."""
    data, value = copy.deepcopy(data), VALUES[rng.integers(len(VALUES))]
    if not path:
        return value
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    if rng.random() < 0.3:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return data


@pytest.mark.parametrize("name", READERS)
def test_mutated_files(name: str, run: Run) -> None:
    path, rng = run.path / name, np.random.default_rng(0)
    data, messages = json.loads(path.read_text()), []
    paths = list(paths_in(data))
    for _ in range(200):
        path.write_text(json.dumps(mutated(data, paths[rng.integers(len(paths))], rng)))
        try:
            READERS[name](run.path)
        except HRNetError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert [message for message in messages if name not in message or "\n" in message] == []


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "\x00\xff", '{"a": 1e999999}', "9" * 10_000])
@pytest.mark.parametrize("name", READERS)
def test_files_that_are_not_json(name: str, content: str, run: Run) -> None:
    (run.path / name).write_text(content, encoding="latin-1")
    with pytest.raises(HRNetError, match=name):
        READERS[name](run.path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pruning.json", lambda data: data["plan"].pop("cost_unit"), "cost_unit is missing"),
        ("pruning.json", lambda data: data["plan"]["steps"][0].update(removed=["stem"]), r"steps\[0\]: .*'stem'"),
        ("ranking.json", lambda data: data.update(methods={}), "methods is empty"),
        ("ranking.json", lambda data: data.update(agreement={"taylor": 1.0}), "agreement of 'taylor'"),
        (
            "ranking.json",
            lambda data: data["methods"]["taylor"]["importance"].update(stage9_module0_link0to1=1.0),
            "'stage9_module0_link0to1' is no link or block of micro",
        ),
        (
            "ranking.json",
            lambda data: data["methods"]["taylor"]["channels"].update(branch9=[1.0]),
            "taylor: channels: 'branch9' is no width group of micro",
        ),
        (
            "ranking.json",
            lambda data: data["methods"]["random"]["channels"].update(branch0=[1.0, 2.0, 3.0]),
            "random: channels: branch0 must have 4 scores, got 3",
        ),
        (
            "ranking.json",
            lambda data: data["methods"]["random"]["channels"]["branch0"].append(float("nan")),
            r"random: channels: branch0\[4\] must be a number, got nan",
        ),
        ("ranking.json", lambda data: data["methods"]["random"].pop("channels"), "channels: branch0 must be of taylor and"),
        ("ranking.json", lambda data: data["spec"].update(width="4"), "width must be a whole number, got '4'"),
        ("run.json", lambda data: data.pop("config"), "config is missing, expected an object"),
        ("run.json", lambda data: data["category"].update(skeleton=[[0, 1]]), r"joins \[0, 1\], but there are keypoints 1 to 2"),
        ("run.json", lambda data: data["config"]["train"].update(pictures="p"), "train has 'pictures', expected images, anno"),
        ("spec.json", lambda data: data.update(width="4"), "width must be a whole number, got '4'"),
        ("spec.json", lambda data: data.update(input_size=[64]), r"input_size must have 2 entries, got \[64\]"),
        ("spec.json", lambda data: data["stages"][0].update(modules=10**9), "has 1 to 64 modules and blocks, got 1000000000"),
    ],
)  # fmt: skip
def test_error_names_the_entry(name: str, change: Callable[[Any], Any], message: str, run: Run) -> None:
    path = run.path / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(HRNetError, match=rf"{name}.*{message}"):
        READERS[name](run.path)
