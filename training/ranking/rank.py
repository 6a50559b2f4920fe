"""Rank the units of a network, or of a run, by one or several methods.

Every method is applied to two halves of the data. Its score is the mean of both, and its stability their rank correlation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hrnet_tf.backend.choice import check_tf_keras
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking, save_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, write_text
from mobile_eval.viz.charts import importance_by_kind_svg
from mobile_eval.viz.link_diagram import link_diagram_svg
from training.config import run_settings
from training.engine.inputs import check_category
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.learned_gates import LearnedGates
from training.ranking.methods import ImportanceMethod, LeaveOneOut, RandomScores, Taylor
from training.ranking.scores import Scores, agreement, check_finite, rank_correlation

METHODS: Mapping[str, ImportanceMethod] = {
    "leave-one-out": LeaveOneOut(progress=True),
    "taylor": Taylor(),
    "l0": LearnedGates("l0"),
    "l1": LearnedGates("l1"),
    "random": RandomScores(),
}


@dataclass(frozen=True)
class MethodResult:
    """Result of one method.

    Attributes:
        scores: Importance of each unit, the mean of two halves of the data.
        stability: Rank correlation between the two halves; None if it is undefined, or the method does not use the data.
    """

    scores: Scores
    stability: float | None


def rank(network: GatedNetwork, data: RankingData, methods: Sequence[str], *, seed: int = 0) -> dict[str, MethodResult]:
    """Measure the importance of every unit of a network.

    Args:
        network: The trained network.
        data: The ranking set, at least two examples.
        methods: Names from `METHODS`.
        seed: Seed of the method "random".

    Returns:
        The result of each method, by its name.

    Raises:
        HRNetError: A method is unknown, or a score is NaN or infinite.

    Example:
        >>> network = GatedNetwork.of(model)  # doctest: +SKIP
        >>> data = RankingData.prepare(dataset, spec, settings)  # doctest: +SKIP
        >>> rank(network, data, ["taylor"])["taylor"].scores  # doctest: +SKIP
    """
    unknown = set(methods) - set(METHODS)
    if unknown or not methods:
        raise HRNetError(f"`method` must be one of {', '.join(METHODS)}, got {min(unknown, default='')!r}")
    if "taylor" in methods:
        check_tf_keras("the importance method taylor")
    if len(data) < 2:
        raise HRNetError(f"importance is measured on two halves of the data: give at least 2 items, got {len(data)}")
    results = {}
    for name in methods:
        method = RandomScores(seed) if name == "random" else METHODS[name]
        first, second = (method(network, half) for half in data.halves())
        scores = {unit: float(np.mean([first[unit], second[unit]])) for unit in network.units}
        check_finite(scores, f"by {name}", "the loss on these data is not finite: check the run's weights and the annotations")
        results[name] = MethodResult(scores, None if name == "random" else rank_correlation(first, second))
    return results


def rank_run(
    run: Run,
    data: TaskDataset,
    methods: Sequence[str] = ("leave-one-out",),
    *,
    include_blocks: bool = False,
    seed: int = 0,
    memory_budget: int = MEMORY_BUDGET,
) -> Ranking:
    """Rank a run, and write ranking.json, ranking.svg and ranking_by_kind.svg to its folder.

    Args:
        run: A trained or pruned run.
        data: The items to measure importance on.
        methods: Names from `METHODS`. Pruning uses the first by default.
        include_blocks: Whether to rank residual blocks too.
        seed: Seed of the method "random".
        memory_budget: Memory for examples, and for the activations of a batch, in bytes.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; rank the run it came from: {run.parent}")
    spec = run.hrnet_spec
    check_category(run, data)
    check_writable(run.path / RANKING_FILE)
    network = GatedNetwork.of(run.model(), include_blocks=include_blocks)
    results = rank(network, RankingData.prepare(data, spec, run_settings(run), memory_budget, progress=True), methods, seed=seed)
    ranking = Ranking(
        items=len(data),
        seed=seed,
        scores={name: result.scores for name, result in results.items()},
        stability={name: result.stability for name, result in results.items()},
        agreement=agreement({name: result.scores for name, result in results.items()}),
    )
    links = ranking.link_importance()
    write_text(run.path / "ranking.svg", link_diagram_svg(spec.network_description(), links))
    write_text(run.path / "ranking_by_kind.svg", importance_by_kind_svg(links))
    save_ranking(run, ranking)  # last: a folder with ranking.json has the pictures too
    return ranking
