"""Removal plans as tables on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Column, Table

from hrnet_tf.runs.pruning import RemovalPlan, spec_after
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.memory import MEMORY_BUDGET
from hrnet_tf.spec.network import HRNetSpec
from training.config import TrainingConfig
from training.engine.inputs import load_data
from training.pruning.cost_model import MILLISECONDS
from training.pruning.plan import PruneOptions, check_prunable, plan_run
from training.pruning.removal_steps import units_kept


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
    show_plan(run.hrnet_spec, plan_run(run, options, train, val, memory_budget=memory_budget))


def show_plan(spec: HRNetSpec, plan: RemovalPlan) -> None:
    """Print the steps of a plan for the network `spec`, and what it keeps."""
    milliseconds = plan.cost_unit == MILLISECONDS
    names = [Column(header, overflow="fold") for header in ("removed", "becomes unreachable")]
    table = Table("step", *names, plan.cost_unit, "of full", "loss", plan.metric, title="before any fine-tuning")
    table.add_row("0", "", "", "", "", f"{plan.full_loss:.3e}", f"{plan.full_score:.4f}")
    for number, step in enumerate(plan.steps, 1):
        table.add_row(
            str(number),
            "\n".join(step.removed),
            "\n".join(step.unreachable),
            f"{step.cost:.3f}" if milliseconds else f"{step.cost / 1e9:.3f} G",
            f"{step.ratio:.3f}",
            _number(step.loss, ".3e"),
            _number(step.score, ".4f"),
        )
    console = Console()
    console.print(table)
    measured = "" if plan.measured_ratio is None else f", measured {plan.measured_ratio:.3f}"
    units = units_kept(spec_after(spec, plan.steps))
    quantity = "latency" if milliseconds else plan.cost_unit
    line = f"{units} would be kept: predicted {plan.predicted_ratio:.3f} of the full network's {quantity}{measured}"
    console.print(line, highlight=False, soft_wrap=True)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"
