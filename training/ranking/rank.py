"""Rank the units of a run in one or several ways; what comes out lies in the run as ranking.json,
ranking.svg (the network) and ranking_by_kind.svg.

Every way is applied to two halves of the data. Its score is the mean of both, its stability their rank
correlation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.runs.run import RANKING, Ranking, Run, save_ranking
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.memory import MEMORY_BUDGET
from hrnet_tf.spec.network import FusionLink
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, write_text
from mobile_eval.viz.charts import kinds_svg
from mobile_eval.viz.link_diagram import link_diagram_svg
from training.config import run_settings
from training.engine.fit import check_category
from training.ranking.agreement import agreement, rank_correlation
from training.ranking.data import GatedNetwork, RankingData, Score, Scores
from training.ranking.learned_gates import LearnedGates
from training.ranking.leave_one_out import LeaveOneOut
from training.ranking.random_control import RandomScores
from training.ranking.taylor import Taylor

METHODS: Mapping[str, Score] = {
    "leave-one-out": LeaveOneOut(progress=True),
    "taylor": Taylor(),
    "l0": LearnedGates("l0"),
    "l1": LearnedGates("l1"),
    "random": RandomScores(),
}


@dataclass(frozen=True)
class MethodResult:
    """One way's scores, and their rank correlation on two halves of the data (None where these are not looked at)."""

    scores: Scores
    stability: float | None


def rank(network: GatedNetwork, data: RankingData, methods: Sequence[str], *, seed: int = 0) -> dict[str, MethodResult]:
    """Score every unit of `network` by each of `methods`."""
    unknown = set(methods) - set(METHODS)
    if unknown or not methods:
        raise HRNetError(f"no importance method named {min(unknown, default='')!r}; there are {', '.join(METHODS)}")
    if "taylor" in methods:
        check_tf_keras("the importance method taylor")
    if len(data) < 2:
        raise HRNetError("importance is measured on two halves of the data: give at least 2")
    results = {}
    for name in methods:
        score = RandomScores(seed) if name == "random" else METHODS[name]
        first, second = (score(network, half) for half in data.halves())
        mean = {unit: float(np.mean([first[unit], second[unit]])) for unit in network.units}
        check_finite(mean, f"by {name}", "the loss on these data is not a number; check the run's weights and the annotations")
        results[name] = MethodResult(mean, None if name == "random" else rank_correlation(first, second))
    return results


def check_finite(scores: Scores, source: str, advice: str) -> None:
    """Raise HRNetError, which names `source` and ends with `advice`, where a score is NaN or infinite: there is no order then."""
    unit = next((unit for unit, value in scores.items() if not math.isfinite(value)), None)
    if unit is not None:
        raise HRNetError(f"{source}, the importance of {unit} is {scores[unit]}: {advice}")


def rank_run(
    run: Run,
    data: TaskDataset,
    methods: Sequence[str] = ("leave-one-out",),
    *,
    blocks: bool = False,
    seed: int = 0,
    memory_budget: int = MEMORY_BUDGET,
) -> Ranking:
    """Rank a run's links, and with `blocks` its residual blocks, on `data`; leaves ranking.json and its pictures in the run.

    The first of `methods` is the one that pruning goes by unless told otherwise. `memory_budget` is how many bytes the examples
    that are kept, and the activations of a batch, may take.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; rank the run it came from: {run.parent}")
    spec = run.hrnet_spec
    check_category(run, data)
    check_writable(run.path / RANKING)
    network = GatedNetwork.of(spec, load_weights(run.weights_path), blocks=blocks)
    held = RankingData.prepare(data, spec, run_settings(run), memory_budget, progress=True)
    results = rank(network, held, methods, seed=seed)
    ranking = Ranking(
        items=len(data),
        seed=seed,
        scores={name: result.scores for name, result in results.items()},
        stability={name: result.stability for name, result in results.items()},
        agreement=agreement({name: result.scores for name, result in results.items()}),
    )
    links = {str(unit): value for unit, value in ranking.importance().items() if isinstance(unit, FusionLink)}
    write_text(run.path / "ranking.svg", link_diagram_svg(spec.network_description(), links))
    write_text(run.path / "ranking_by_kind.svg", kinds_svg(links))
    save_ranking(run, ranking)  # last: where it is, all is
    return ranking
