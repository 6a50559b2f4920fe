"""Rank the fusion links, residual blocks and channels of a Keras model, or of a run, by one or several methods.

Every method is applied to two halves of the data. Its score is the mean of both, and its stability their rank correlation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hrnet_tf.backend.choice import check_tensorflow
from hrnet_tf.backend.keras_module import BACKEND
from hrnet_tf.backend.types import Dataset, KerasLoss, KerasModel
from hrnet_tf.models.trunk import is_quantized
from hrnet_tf.runs.ranking import RANKING_FILE, Ranking, save_ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET, parse_memory
from mobile_eval.datasets.base import TaskDataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, write_text
from mobile_eval.viz.charts import importance_by_kind_svg
from training.config import run_settings
from training.engine.inputs import check_category
from training.ranking.channels import ChannelScores, channel_importance, mean_channels, random_channels
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.learned_gates import LearnedGates
from training.ranking.masks import RandomMasks
from training.ranking.methods import ImportanceMethod, LeaveOneOut, RandomScores, Taylor
from training.ranking.scores import Scores, agreement, check_finite, rank_correlation
from training.ranking.task_data import TaskRankingData

RANDOM = "random"
NOT_FINITE = "the loss is not finite: check the targets, the loss and the weights"
METHODS: Mapping[str, ImportanceMethod] = {
    "leave-one-out": LeaveOneOut(progress=True),
    "taylor": Taylor(),
    "l0": LearnedGates("l0"),
    "l1": LearnedGates("l1"),
    "masks": RandomMasks(progress=True),
    RANDOM: RandomScores(),
}
NEEDS_TENSORFLOW = ("taylor", "masks")


def default_methods() -> tuple[str, ...]:
    """Return the methods of a ranking that names none: what the exact selection starts from, if the backend can measure it."""
    return ("taylor",) if BACKEND == "tensorflow" else ("leave-one-out",)


def ranks_widths(include_widths: bool | None) -> bool:
    """Return whether channels are ranked; None where the backend can measure them."""
    return BACKEND == "tensorflow" if include_widths is None else include_widths


def rank(
    model: KerasModel,
    data: Dataset,
    *,
    methods: str | Sequence[str] | None = None,
    loss: KerasLoss = None,
    include_blocks: bool = True,
    include_widths: bool | None = None,
    limit: int = 500,
    seed: int = 0,
    memory_budget: str | int = MEMORY_BUDGET,
) -> Ranking:
    """Measure how much a Keras model needs each of its fusion links, residual blocks and channels.

    The loss is that of `compile`, with the weights of several outputs and the sample weights, but without losses that layers add,
    such as weight decay.

    Args:
        model: A trained functional model that contains an HRNet, such as one of `HRNet`, or with a head of your own. It is not
            changed.
        data: Examples that the model was not trained on, in anything that `fit` takes: a batched `tf.data.Dataset`, a `Sequence`
            or `PyDataset`, or arrays `(x, y[, sample_weight])`.
        methods: One or several of "leave-one-out" (increase of the loss without the link), "taylor" (gate times gradient, which
            needs TensorFlow), "l0" and "l1" (learned gates), "masks" (Taylor scores, fitted to the loss under random masks), and
            "random" as a control. Plans use the first by default. None for "taylor", with JAX for "leave-one-out".
        loss: Anything that `compile` takes; None for the loss of the compiled model.
        include_blocks: Whether to rank residual blocks too.
        include_widths: Whether to rank the channels of every width group too. Every method measures them by Taylor expansion,
            which needs TensorFlow, except "masks", which fits these scores too, and "random", which draws them. None: where
            TensorFlow is the backend.
        limit: Largest number of examples; the first ones are used.
        seed: Seed of the method "random".
        memory_budget: Memory for the examples, and for the activations of a batch, such as "1GiB" or a number of bytes.

    Returns:
        The importance of each link, block and channel by each method.

    Raises:
        HRNetError: The model contains no HRNet, is quantized or has no loss; the data do not fit to it, or are fewer than two
            examples; a method is unknown; or the loss is NaN or infinite.

    Example:
        >>> ranking = rank(model, validation_set, methods=["leave-one-out", "taylor"])  # doctest: +SKIP
        >>> print(ranking)  # doctest: +SKIP
        >>> ranking.plot("ranking.svg")  # doctest: +SKIP
    """
    network = GatedNetwork.of(model, include_blocks=include_blocks)
    if is_quantized(model):
        raise HRNetError(f"`model` {model.name} is quantized; rank the model that it was made from")
    include_widths = ranks_widths(include_widths)
    methods = _checked_methods(default_methods() if methods is None else methods, include_widths=include_widths)
    examples = KerasRankingData.prepare(data, model, loss, limit=limit, memory_budget=parse_memory(str(memory_budget)))
    return rank_network(network, examples, methods, include_widths=include_widths, seed=seed)


def rank_network(
    network: GatedNetwork, data: RankingData, methods: str | Sequence[str], *, include_widths: bool = False, seed: int = 0
) -> Ranking:
    """Measure the importance of every unit of a network.

    Args:
        network: The trained network and its units.
        data: The ranking set, at least two examples.
        methods: Names from `METHODS`.
        include_widths: Whether to rank the channels of every width group too, see `rank`.
        seed: Seed of the method "random".

    Raises:
        HRNetError: A method is unknown, or a score is NaN or infinite.
    """
    methods = _checked_methods(methods, include_widths=include_widths)
    if len(data) < 2:
        raise HRNetError(f"importance is measured on two halves of the data: give at least 2 items, got {len(data)}")
    scores: dict[str, Scores] = {}
    stability: dict[str, float | None] = {}
    channels: dict[str, ChannelScores] = {}
    for name in methods:
        method = RandomScores(seed) if name == RANDOM else METHODS[name]
        if include_widths and isinstance(method, RandomMasks):
            halves = [method.measure(network, half, include_widths=True) for half in data.halves()]
            first, second = (half.units for half in halves)
            channels[name] = mean_channels([half.channels for half in halves])
        else:
            first, second = (method(network, half) for half in data.halves())
        scores[name] = {unit: float(np.mean([first[unit], second[unit]])) for unit in network.units}
        check_finite(scores[name], f"`data`, by {name}", NOT_FINITE)
        stability[name] = None if name == RANDOM else rank_correlation(first, second)
    if include_widths:
        channels |= _channels(network, data, [name for name in methods if name not in channels], seed)
    return Ranking(network.spec, len(data), seed, scores, stability, agreement(scores), channels=channels)


def _channels(network: GatedNetwork, data: RankingData, methods: Sequence[str], seed: int) -> dict[str, ChannelScores]:
    """The importance of channels by methods that measure units only: by Taylor expansion, or at random."""
    measured = channel_importance(network, data) if {*methods} - {RANDOM} else {}
    check_finite({group: sum(scores) for group, scores in measured.items()}, "`data`, by taylor", NOT_FINITE)
    return {name: random_channels(network.spec, seed) if name == RANDOM else measured for name in methods}


def _checked_methods(methods: str | Sequence[str], *, include_widths: bool) -> Sequence[str]:
    methods = [methods] if isinstance(methods, str) else list(methods)
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise HRNetError(f"`methods` must be of {', '.join(METHODS)}, got {unknown[0] if unknown else ''!r}")
    for name in NEEDS_TENSORFLOW:
        if name in methods:
            check_tensorflow(f"the importance method {name}")
    if include_widths and {*methods} - {RANDOM}:
        check_tensorflow("the importance of channels, `include_widths`,")
    return methods


def rank_run(
    run: Run,
    data: TaskDataset,
    methods: str | Sequence[str] | None = None,
    *,
    include_blocks: bool = True,
    include_widths: bool | None = None,
    seed: int = 0,
    memory_budget: int = MEMORY_BUDGET,
) -> Ranking:
    """Rank a run, and write ranking.json, ranking.svg and ranking_by_kind.svg to its folder.

    Args:
        run: A trained or pruned run.
        data: The items to measure importance on.
        methods: Names from `METHODS`. Pruning uses the first by default. None for `default_methods`.
        include_blocks: Whether to rank residual blocks too.
        include_widths: Whether to rank the channels of every width group too, see `rank`.
        seed: Seed of the method "random".
        memory_budget: Memory for examples, and for the activations of a batch, in bytes.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized; rank the run it came from: {run.parent_path}")
    spec = run.hrnet_spec
    check_category(run, data)
    check_writable(run.path / RANKING_FILE)
    network = GatedNetwork.of(run.model(), include_blocks=include_blocks)
    examples = TaskRankingData.prepare(data, spec, run_settings(run), memory_budget, progress=True)
    methods = default_methods() if methods is None else methods
    ranking = rank_network(network, examples, methods, include_widths=ranks_widths(include_widths), seed=seed)
    ranking.plot(run.path / "ranking.svg")
    write_text(run.path / "ranking_by_kind.svg", importance_by_kind_svg(ranking.link_importance()))
    save_ranking(run.path, ranking)  # last: a folder with ranking.json has the pictures too
    return ranking
