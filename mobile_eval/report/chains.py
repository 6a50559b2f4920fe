"""Pipelines side by side: what pruning is worth when the time of the detector counts too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mobile_eval.benchmark.chain_timing import time_chains
from mobile_eval.benchmark.latency import ROUNDS
from mobile_eval.messages import number_of
from mobile_eval.metrics.metric import format_score
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.base import TaskResult
from mobile_eval.tasks.pose.chain import ChainResult, chain_of, timed_items


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
    pipelines = [chain_of(model, options) for model in models]
    times = time_chains(pipelines, timed_items(dataset), rounds=rounds, progress=progress)
    return [replace(result, times=entry) for result, entry in zip(chains, times, strict=True)]


def chains_table(labels: Sequence[str], results: Sequence[TaskResult], references: Sequence[int]) -> str:
    """A table of pipelines: AP of the chain and in true boxes, and the median time for each number of people.

    Args:
        labels: Names of the models.
        results: Their results.
        references: For each the index of the model that its times are compared with.

    Returns:
        The table as text; "" for results of models without a detector.
    """
    chains = [result for result in results if isinstance(result, ChainResult)]
    if len(chains) < len(labels):
        return ""
    width = max(map(len, (*labels, "pipeline")))
    people = [entry.people for entry in chains[0].times]
    headings = [f"{number_of(count, 'people')}, ms" for count in people]
    heading = "  ".join(f"{text:>21}" for text in headings)
    lines = [f"{'pipeline':<{width}}  chain AP  true-box AP  recall  {heading}"]
    for label, chain, reference in zip(labels, chains, references, strict=True):
        base = chains[reference].times
        times = "  ".join(
            f"{entry.total.p50_ms:>8.2f} (ratio {entry.total.p50_ms / other.total.p50_ms:.2f})"
            for entry, other in zip(chain.times, base, strict=True)
        )
        true_ap = chain.true_boxes.oks.ap if chain.true_boxes.oks else None
        scores = f"{format_score(chain.oks.ap):>8}  {format_score(true_ap):>11}  {format_score(chain.recall):>6}"
        lines.append(f"{label:<{width}}  {scores}  {times}")
    return "\n".join(lines)
