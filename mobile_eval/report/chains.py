"""Pipelines side by side: what pruning is worth when the time of the detector counts too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mobile_eval.benchmark.chain_timing import time_chains
from mobile_eval.benchmark.latency import ROUNDS
from mobile_eval.messages import number_of
from mobile_eval.metrics.metric import format_score
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tables import text_table
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.pose.chain import ChainResult, timed_chain, timed_items


def with_chain_times(
    results: Sequence[TaskResult],
    models: Sequence[TFLiteModel],
    dataset: Any,
    options: Any,
    *,
    rounds: int = ROUNDS,
    progress: bool = False,
) -> list[TaskResult]:
    """Replace the times of pipelines by those of a measurement in turns; other results are returned as they are.

    Args:
        results: A result for each model.
        models: The models.
        dataset: The data set that they were evaluated on.
        options: The evaluation options.
        rounds: Number of timed runs of each pipeline and number of people.
        progress: Show a progress bar.
    """
    chains = [result for result in results if isinstance(result, ChainResult)]
    if len(chains) < len(models):
        return list(results)
    pipelines = [timed_chain(model, options) for model in models]
    times = time_chains(pipelines, timed_items(dataset), rounds=rounds, progress=progress)
    return [replace(result, times=entry) for result, entry in zip(chains, times, strict=True)]


@dataclass(frozen=True)
class ChainCell:
    """Median time of a pipeline for a number of people, and its ratio to that of the reference."""

    p50_ms: float
    ratio: float


@dataclass(frozen=True)
class ChainRow:
    """A pipeline: AP of the chain and in true boxes, and the time for each number of people."""

    label: str
    ap: float | None
    true_ap: float | None
    recall: float
    times: tuple[ChainCell, ...]


@dataclass(frozen=True)
class ChainsTable:
    """Pipelines side by side; `str` gives them for people.

    Attributes:
        detector: File name of the detector.
        people: Numbers of people.
        rows: The pipelines.
    """

    detector: str
    people: tuple[int, ...]
    rows: tuple[ChainRow, ...]

    @property
    def headings(self) -> list[str]:
        """A heading for the time of each number of people."""
        return [f"{number_of(count, 'people')}, ms" for count in self.people]

    def __str__(self) -> str:
        header = ("pipeline", "chain AP", "true-box AP", "recall", *self.headings)
        cells = [
            (
                row.label,
                *(format_score(value) for value in (row.ap, row.true_ap, row.recall)),
                *(f"{cell.p50_ms:.2f} (ratio {cell.ratio:.2f})" for cell in row.times),
            )
            for row in self.rows
        ]
        return f"with {self.detector}:\n{text_table(header, cells)}"


def chains_table(labels: Sequence[str], results: Sequence[TaskResult], references: Sequence[int]) -> ChainsTable | None:
    """Lay pipelines side by side.

    Args:
        labels: Names of the models.
        results: Their results.
        references: For each the index of the model that its times are compared with.

    Returns:
        The table; None for results of models without a detector.
    """
    chains = [result for result in results if isinstance(result, ChainResult)]
    if len(chains) < len(labels):
        return None
    rows = []
    for label, chain, reference in zip(labels, chains, references, strict=True):
        pairs = zip(chain.times, chains[reference].times, strict=True)
        times = tuple(ChainCell(entry.total.p50_ms, entry.total.p50_ms / other.total.p50_ms) for entry, other in pairs)
        true_ap = chain.true_boxes.oks.ap if chain.true_boxes.oks else None
        rows.append(ChainRow(label, chain.oks.ap, true_ap, chain.recall, times))
    return ChainsTable(chains[0].detector, tuple(entry.people for entry in chains[0].times), tuple(rows))
