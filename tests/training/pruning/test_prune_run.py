"""Pruning a run: in rounds, interrupted and resumed, and as a dry run."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import training.callbacks.run_checkpoint
import training.pruning.prune_run
import training.ranking.rank
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.pruning import Plan, load_pruning
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from tests.support.program import Hrnet
from training.config import TrainingConfig
from training.engine.fit import fit
from training.engine.inputs import load_data
from training.pruning.budget import Budget
from training.pruning.plan import early_widths
from training.pruning.plan_run import PruneOptions, check_prunable, plan_run
from training.pruning.prune_run import prune_run
from training.pruning.trials import early_shares

pytestmark = pytest.mark.slow


def ranked_run(spec: HRNetSpec, config: TrainingConfig, path: Path) -> Run:
    """A run with random weights and random importance of its links and blocks."""
    category = json.loads(config.data.train.path("annotations").read_text())["categories"][0]
    run = Run(path, "train", spec, category, config.to_json())
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    rng = np.random.default_rng(0)
    scores = {unit: float(rng.random()) for unit in (*sorted(spec.links), *sorted(spec.live_blocks))}
    save_ranking(run.path, Ranking(spec, 8, 0, {"random": scores}, {"random": None}, {}))
    return run


@pytest.fixture
def trained(spec: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> Run:
    return ranked_run(spec, config, tmp_path / "full")


@pytest.fixture
def few_links(small: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> Run:
    return ranked_run(small, config, tmp_path / "small")


def plan_of(run: Run) -> Plan:
    record = load_pruning(run)
    assert record is not None
    return record.plan


@pytest.mark.journey
def test_rounds_of_pruning(trained: Run, config: TrainingConfig, tmp_path: Path) -> None:
    options = PruneOptions(Budget(keep_macs=0.6), include_blocks=True, rounds=2)
    full, out = trained.hrnet_spec, tmp_path / "pruned"

    def share(spec: HRNetSpec) -> float:
        return complexity(spec).multiply_adds / complexity(full).multiply_adds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.ranking.rank, "rank_network", _stop)
        with pytest.raises(KeyboardInterrupt):  # after the first round, before it is ranked
            prune_run(trained, options, config, out)
    first = Run.load(out / "rounds" / "1")
    assert 0.6 < share(first.hrnet_spec) <= 0.8
    assert not (out / "run.json").exists()
    before = first.weights_path.stat().st_mtime_ns

    pruned = prune_run(trained, options, config, out, resume=True)
    assert first.weights_path.stat().st_mtime_ns == before
    assert first.ranking.source_run is None
    assert pruned.ranking.source_run == str(first.path)
    assert share(pruned.hrnet_spec) <= 0.6
    assert [plan_of(first).model_spec, plan_of(first).spec] == [full, plan_of(pruned).model_spec]
    assert plan_of(pruned).spec == pruned.hrnet_spec
    assert [len(read_history(run.path)) for run in (first, pruned)] == [1, 1]
    assert (out / "links.svg").is_file()
    assert (out / "removal.svg").is_file()

    assert prune_run(trained, options, config, out, resume=True) == pruned  # it is complete
    with pytest.raises(HRNetError, match="`resume`"):
        prune_run(trained, options, config, out)
    with pytest.raises(HRNetError, match=r"ranking of .*rounds/1"):
        prune_run(pruned, options, config, tmp_path / "more")


@pytest.mark.journey
def test_interrupted_pruning_keeps_its_choice(few_links: Run, config: TrainingConfig, tmp_path: Path) -> None:
    options, short = PruneOptions(Budget(keep_links=0.5)), config.replace(epochs=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.callbacks.run_checkpoint.RunCheckpoint, "on_epoch_end", _stop)
        with pytest.raises(KeyboardInterrupt):
            prune_run(few_links, options, short, tmp_path / "pruned")
    chosen = Run.load(tmp_path / "pruned").hrnet_spec
    assert len(chosen.links) <= 0.5 * len(chosen.possible_links)
    with pytest.raises(HRNetError, match=r"keep_links': 0\.5.*, is now .*keep_links': 0\.9"):
        prune_run(few_links, PruneOptions(Budget(keep_links=0.9)), short, tmp_path / "pruned", resume=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.pruning.prune_run, "plans_of_run", _stop)
        pruned = prune_run(few_links, options, short, tmp_path / "pruned", resume=True)
    assert pruned.hrnet_spec == chosen
    assert set(load_weights(pruned.weights_path)) == set(model_weights(build_model(chosen)))


@pytest.mark.journey
def test_channels_are_removed_in_rounds(few_links: Run, config: TrainingConfig, tmp_path: Path) -> None:
    options = PruneOptions(
        Budget(keep_macs=0.5), include_blocks=True, rounds=2, selection="exact", include_widths=True, width_multiple=2
    )
    with pytest.raises(HRNetError, match=r"were not ranked: run `hrnet rank .* --blocks --widths`"):
        check_prunable(few_links, options)
    spec = few_links.hrnet_spec
    _rank_channels(few_links)
    pruned = prune_run(few_links, options, config, tmp_path / "pruned")
    plan = plan_of(pruned)
    assert complexity(pruned.hrnet_spec).multiply_adds <= 0.5 * complexity(spec).multiply_adds
    assert plan.spec == pruned.hrnet_spec
    assert plan.model_spec.widths  # narrowed by the first round, and ranked again
    first = Run.load(tmp_path / "pruned" / "rounds" / "1").ranking
    assert {group: len(scores) for group, scores in first.channels["random"].items()}.items() <= {
        group: plan.model_spec.width_of(group) for group in plan.model_spec.full_widths
    }.items()
    assert set(load_weights(pruned.weights_path)) == set(model_weights(build_model(pruned.hrnet_spec)))


@pytest.mark.journey
def test_best_of_trials_is_kept(few_links: Run, config: TrainingConfig, tmp_path: Path) -> None:
    _rank_channels(few_links)
    options = PruneOptions(
        Budget(keep_macs=0.5), include_blocks=True, selection="exact", include_widths=True, width_multiple=2,
        from_scratch=True, trials=3, trial_epochs=1,
    )  # fmt: skip
    out, short = tmp_path / "pruned", config.replace(epochs=2)
    with pytest.raises(HRNetError, match="`trials` decide by training"):
        plan_run(few_links, options, *load_data(short))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.pruning.prune_run, "fit", _stop_at("2"))
        with pytest.raises(KeyboardInterrupt):
            prune_run(few_links, options, short, out)
    finished = Run.load(out / "trials" / "1")
    before = finished.weights_path.stat().st_mtime_ns
    with pytest.raises(HRNetError, match="trial_epochs"):
        prune_run(few_links, dataclasses.replace(options, trial_epochs=2), short, out, resume=True)

    pruned = prune_run(few_links, options, short, out, resume=True)
    assert finished.weights_path.stat().st_mtime_ns == before
    trials = [Run.load(path) for path in sorted((out / "trials").iterdir())]
    assert len({trial.spec for trial in trials}) == len(trials) > 1
    shares = early_shares(3)
    for trial, share in zip(trials, shares, strict=True):
        assert all(trial.hrnet_spec.width_of(group) <= width for group, width in early_widths(trial.hrnet_spec, share, 2).items())
    losses = [read_history(trial.path)[-1]["loss"] for trial in trials]
    assert pruned.spec == trials[losses.index(min(losses))].spec
    assert [len(read_history(run.path)) for run in (*trials, pruned)] == [*(1 for _ in trials), 2]
    full = complexity(few_links.hrnet_spec).multiply_adds
    assert all(complexity(trial.hrnet_spec).multiply_adds <= 0.5 * full for trial in trials)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "`trials` must be at least 1, got 0"),
        ({"trial_epochs": 0}, "`trial_epochs` must be at least 1, got 0"),
        ({"trials": 2}, "need `selection` exact and `include_widths`"),
        ({"trials": 2, "rounds": 2, "selection": "exact", "include_widths": True}, "`trials` need `rounds` 1, got 2"),
    ],
)
def test_trials_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(HRNetError, match=message):
        PruneOptions(Budget(keep_macs=0.5), **options)


def test_training_from_scratch_begins_with_new_weights(few_links: Run, config: TrainingConfig, tmp_path: Path) -> None:
    options = PruneOptions(Budget(keep_links=0.5), from_scratch=True)
    slow = config.replace(epochs=1, learning_rate=1e-9)
    pruned = prune_run(few_links, options, slow, tmp_path / "pruned")
    keras.utils.set_random_seed(config.seed)
    new, trained = model_weights(build_model(pruned.hrnet_spec)), load_weights(pruned.weights_path)
    kernels = [name for name in new if name.endswith("/kernel")]
    assert kernels
    for name in kernels:
        np.testing.assert_allclose(trained[name], new[name], atol=1e-6)
    with pytest.raises(HRNetError, match="`from_scratch`"):
        prune_run(few_links, PruneOptions(Budget(keep_links=0.5)), slow, tmp_path / "pruned", resume=True)
    with pytest.raises(HRNetError, match="`freeze` stem cannot be used with `from_scratch`"):
        prune_run(few_links, options, slow.replace(freeze=("stem",)), tmp_path / "frozen")
    assert not (tmp_path / "frozen").exists()


def test_drop_of_the_metric_is_limited(few_links: Run, config: TrainingConfig, tmp_path: Path) -> None:
    short = config.replace(epochs=1)
    pruned = prune_run(few_links, PruneOptions(Budget(max_drop=0.999)), short, tmp_path / "pruned")
    plan = plan_of(pruned)
    assert len(pruned.hrnet_spec.links) == 1  # PCK may drop to 0
    assert all(step.score is not None and plan.model_score - step.score <= 0.999 for step in plan.steps)


def test_dry_run(trained: Run, drawn: Path, monkeypatch: pytest.MonkeyPatch, hrnet: Hrnet) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.path.parent.rglob("*")}
    people = f"--train-annotations {drawn}/person_keypoints_train.json --images {drawn}/images"
    monkeypatch.setenv("COLUMNS", "200")
    ended = hrnet(f"prune {trained.path} {people} --keep-macs 0.7 --dry-run")
    assert ended.code == 0
    share = re.search(r"of 17 links.* predicted (0\.\d+)", ended.out)
    assert share is not None
    assert 0 < float(share[1]) <= 0.7
    assert {path: path.stat().st_mtime_ns for path in trained.path.parent.rglob("*")} == before


def _rank_channels(run: Run) -> None:
    """Add random importance of channels to the ranking of a run."""
    rng = np.random.default_rng(0)
    channels = {group: tuple(map(float, rng.random(width) / width)) for group, width in run.hrnet_spec.full_widths.items()}
    save_ranking(run.path, dataclasses.replace(run.ranking, channels={"random": channels}))


def _stop_at(folder: str) -> Callable[..., None]:
    """A training that is interrupted in the run of that name, before it begins."""

    def fit_or_stop(run: Run, *arguments: Any, **options: Any) -> None:
        if run.path.name == folder:
            raise KeyboardInterrupt
        fit(run, *arguments, **options)

    return fit_or_stop


def _stop(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt
