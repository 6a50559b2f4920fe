"""Rankings and removal plans as tables on the terminal."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Column, Table

from hrnet_tf.runs.ranking import Ranking
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from training.config import TrainingConfig
from training.engine.inputs import load_data
from training.pruning.plan_run import PruneOptions, check_prunable, plan_run


def show_ranking(ranking: Ranking) -> None:
    """Print the importance of every unit by each method, the most important first, and how far the methods agree."""
    scores = Table(Column("link or block", no_wrap=True, min_width=24), *ranking.methods, title="most important first")
    first = ranking.importance()
    for unit in sorted(first, key=lambda unit: -first[unit]):
        scores.add_row(str(unit), *(f"{ranking.scores[method][unit]:.2e}" for method in ranking.methods))
    console = Console()
    console.print(scores)
    correlations = Table("rank correlation", "two halves of the data", *ranking.methods[1:])
    for row, name in enumerate(ranking.methods):
        agreements = [_number(ranking.agreement.get((name, method))) for method in ranking.methods[1:]]
        upper = ["" if column < row else text for column, text in enumerate(agreements)]
        correlations.add_row(name, _number(ranking.stability[name]), *upper)
    console.print(correlations)


def show_dry_run(run: Run, options: PruneOptions, config: TrainingConfig, memory_budget: int = MEMORY_BUDGET) -> None:
    """Print what pruning a run would remove, and what that would save. Nothing is written.

    Args:
        run: A ranked run.
        options: The budget and the other options.
        config: Settings of the fine-tuning, for their data.
        memory_budget: Memory for examples and activations, in bytes.
    """
    check_prunable(run, options)
    train, val = load_data(config, run.category)
    typer.echo(str(plan_run(run, options, train, val, memory_budget=memory_budget)))


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"
