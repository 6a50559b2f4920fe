"""Rankings and removal plans as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column, Table

from hrnet_tf.runs.run import Ranking, Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from training.config import TrainingConfig
from training.engine.fit import load_data
from training.pruning.cost_model import MILLISECONDS
from training.pruning.prune import Plan, PruneOptions, check_prunable, plan_run
from training.pruning.removal_steps import counted
from training.tasks.registry import training_task


def show_ranking(ranking: Ranking) -> None:
    """Every unit's importance by each method, most needed first, and how far the methods agree."""
    table = Table(Column("link or block", no_wrap=True, min_width=24), *ranking.methods, title="most needed first")
    first = ranking.importance()
    for unit in sorted(first, key=lambda unit: -first[unit]):
        table.add_row(str(unit), *(f"{ranking.scores[method][unit]:.2e}" for method in ranking.methods))
    console = Console()
    console.print(table)
    agree = Table("rank correlation", "two halves of the data", *ranking.methods[1:])
    for row, name in enumerate(ranking.methods):
        with_others = [_number(ranking.agreement.get((name, other))) for other in ranking.methods[1:]]
        agree.add_row(name, _number(ranking.stability[name]), *("" if i < row else text for i, text in enumerate(with_others)))
    console.print(agree)


def show_dry_run(run: Run, options: PruneOptions, config: TrainingConfig, memory_budget: int = MEMORY_BUDGET) -> None:
    """What would go, step by step, and what it would save."""
    check_prunable(run, options)
    train, val = load_data(config, run.category)
    show_plan(plan_run(run, options, train, val, memory_budget=memory_budget))


def show_plan(plan: Plan) -> None:
    """The steps of a plan as a table, and what is left in a line."""
    milliseconds = plan.cost_unit == MILLISECONDS
    metric = training_task(plan.spec.task).metric.name
    price = "ms" if milliseconds else "multiply-adds"
    table = Table("step", "removed", "falls dead with it", price, "of full", "loss", metric, title="before any tuning")
    table.add_row("0", "", "", "", "", f"{plan.full_loss:.3e}", f"{plan.full_score:.4f}")
    for number, step in enumerate(plan.steps, 1):
        cost = f"{step.cost:.3f}" if milliseconds else f"{step.cost / 1e9:.3f} G"
        removed, unreachable = ("\n".join(map(str, units)) for units in (step.removed, step.unreachable))
        table.add_row(
            str(number), removed, unreachable, cost, f"{step.ratio:.3f}", _number(step.loss, ".3e"), _number(step.score, ".4f")
        )
    Console().print(table)
    also = "" if plan.measured_ratio is None else f", measured {plan.measured_ratio:.3f}"
    left = f"{counted(plan.spec)} would stay: predicted {plan.predicted_ratio:.3f} of the full network's {plan.cost_unit}{also}"
    Console().print(left, highlight=False, soft_wrap=True)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"
