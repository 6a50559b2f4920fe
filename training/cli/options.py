"""Options of the training commands, each declared once; imports nothing heavy.

Those of `hrnet train` that a recipe can set are the values of a `TrainingConfig` (`config_options`). The others are declared here
and become a spec, an `Execution`, pruning options or values of a config.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobile_eval.errors import HRNetError
from mobile_eval.options import HELP, option, redeclared
from training.cli.completion import METHODS
from training.config import (
    EXECUTION,
    CheckpointConfig,
    DataConfig,
    OptimizerConfig,
    RegularizationConfig,
    ScheduleConfig,
    TrainingConfig,
)
from training.tasks.registry import settings_class

if TYPE_CHECKING:
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.architectures import Network
    from training.execution import Execution
    from training.pruning.plan_run import PruneOptions

NETWORK, BUDGET, SELECTION = "Network", "Budget", "Selection"  # headings in --help

Output = Annotated[Path, typer.Option(help="Folder of the run to write.", show_default=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the interrupted run in --output.")]


@dataclass(frozen=True)
class NetworkOptions:
    """Sizes of the network to train, instead of those of the named model."""

    input_size: str | None = option(None, "Input size as HEIGHTxWIDTH in pixels, multiples of 32.", panel=NETWORK)
    width: int | None = option(None, "Number of channels of the first branch.", minimum=1, panel=NETWORK)
    modules: str | None = option(None, "Number of modules in stages 2, 3 and 4, such as 1,4,3.", panel=NETWORK)
    blocks: int | None = option(None, "Number of residual blocks in each branch of a module.", minimum=1, panel=NETWORK)
    stem_width: int | None = option(None, "Number of channels of the stem.", minimum=1, panel=NETWORK)
    stage1_blocks: int | None = option(None, "Number of bottleneck blocks in stage 1.", minimum=1, panel=NETWORK)
    stage1_width: int | None = option(
        None, "Number of inner channels of these blocks, with 4 times as many outside.", minimum=1, panel=NETWORK
    )
    head_width: int | None = option(None, "Number of channels of the head.", minimum=1, panel=NETWORK)
    width_like: Path | None = option(None, "Run whose int8 latency on this machine decides the width.", panel=NETWORK)
    links_from: Path | None = option(None, "Run whose fusion links, blocks and widths are built, instead of all.", panel=NETWORK)

    def spec(self, model: str, output: Path) -> Network:
        """Return the spec of a named model with these sizes, or with the width or connectivity of another run.

        Args:
            model: Name of the model.
            output: Folder of the run, where the choice of a width is noted.
        """
        from hrnet_tf.runs.run import Run, connected_like
        from hrnet_tf.spec.presets import customized, parse_size, preset
        from training.pruning.width_matching import latency_matched

        if self.width_like and self.links_from:
            raise HRNetError("`width_like` chooses the width of a full network: leave `links_from` out")
        spec = customized(
            preset(model),
            input_size=parse_size(self.input_size) if self.input_size else None,
            width=self.width,
            modules=self.modules,
            blocks=self.blocks,
            stem_width=self.stem_width,
            stage1_blocks=self.stage1_blocks,
            stage1_width=self.stage1_width,
            head_width=self.head_width,
        )
        if self.width_like:
            return latency_matched(spec, Run.load(self.width_like), output)
        return connected_like(spec, Run.load(self.links_from) if self.links_from else None)


@dataclass(frozen=True)
class ExecutionOptions:
    """How a training runs."""

    strategy: str = option(
        "one",
        "Devices: one, mirrored (several of this machine), or multi-worker (TF_CONFIG or SLURM).",
        panel=EXECUTION,
        choices=("one", "mirrored", "multi-worker"),
    )
    devices: int | None = option(
        None, "Number of devices (mirrored only). Default: all of this machine.", minimum=1, panel=EXECUTION
    )
    jit: bool = option(False, "Compile the training step with XLA.", panel=EXECUTION)
    tensorboard: bool = option(False, "Write curves and pictures to OUTPUT/tensorboard.", panel=EXECUTION)
    cache: Path | None = option(None, "Folder for decoded images, so that each is decoded only once.", panel=EXECUTION)
    workers: int | None = option(
        None, "Number of threads that decode and augment images. Default: 2 to 4.", minimum=1, panel=EXECUTION
    )
    memory_budget: str = option("1GiB", "Memory outside of training steps, such as 512MiB.", panel=EXECUTION)

    def execution(self) -> Execution:
        """Return the execution. Call it before TensorFlow does anything else: workers meet when their strategy is made."""
        from hrnet_tf.spec.memory import parse_memory
        from training.engine.strategies import make_devices
        from training.execution import DEFAULT_WORKERS, Execution

        budget = parse_memory(self.memory_budget)
        devices = make_devices(self.strategy, self.devices)
        return Execution(devices, self.jit, self.cache, self.tensorboard, (), self.workers or DEFAULT_WORKERS, budget)


@dataclass(frozen=True)
class PlanOptions:
    """What to remove from a run's network."""

    keep_latency: float | None = option(None, "Fraction of the full network's latency to keep, such as 0.75.", panel=BUDGET)
    keep_macs: float | None = option(None, "Fraction of the full network's multiply-adds to keep.", panel=BUDGET)
    keep_links: float | None = option(None, "Fraction of the full network's fusion links to keep.", panel=BUDGET)
    max_drop: float | None = option(None, "Largest drop of the metric before fine-tuning, such as 0.01.", panel=BUDGET)
    method: str | None = option(
        None,
        "Importance method. Default: the first one of the ranking. random removes single links, whatever that saves.",
        panel=SELECTION,
        choices=METHODS,
    )
    selection: str | None = option(
        None,
        "greedy: least importance per saved cost, step by step. exact: least importance in all, by a mixed-integer program. "
        "Default: exact if channels were ranked.",
        panel=SELECTION,
        choices=("greedy", "exact"),
    )
    include_blocks: bool | None = option(None, "Remove residual blocks too. Default: if ranked.", name="blocks", panel=SELECTION)
    include_widths: bool | None = option(
        None, "Remove channels too (exact only). Default: if ranked.", name="widths", panel=SELECTION
    )
    width_multiple: int = option(8, "Number of channels that widths are narrowed to multiples of.", minimum=1, panel=SELECTION)
    profile: list[str] | None = option(
        None,
        "File of `hrnet profile` on the target; may be repeated for narrower and pruned networks. "
        "Default: measure latency on this machine.",
        panel=BUDGET,
    )
    threads: int = option(1, "Number of threads for measuring latency.", minimum=1, panel=BUDGET)
    rerank: bool | None = option(
        None,
        "Measure importance again: after each removal (greedy), on candidate networks (exact). Slower. Default: if exact.",
        panel=SELECTION,
    )
    accept_closest: bool = option(False, "If no network is within the budget, use the closest one.", panel=BUDGET)
    rounds: int = option(1, "Number of prune and fine-tune rounds, which share --epochs.", minimum=1, panel=SELECTION)
    from_scratch: bool = option(
        False, "Keep only the chosen network, and train it from new weights, with the full one as teacher.", panel=SELECTION
    )
    trials: int = option(
        1, "Number of networks to train briefly, with ever narrower first layers; the best is kept.", minimum=1, panel=SELECTION
    )
    trial_epochs: int = option(3, "Number of epochs of each trial.", minimum=1, panel=SELECTION)

    def prune_options(self, run: Run) -> PruneOptions:
        """Return the options of pruning a run. Raises HRNetError if it is not ranked, or they do not fit together."""
        from training.pruning.budget import Budget
        from training.pruning.plan_run import PruneOptions, ranking_of

        budget = Budget(self.keep_latency, self.keep_macs, self.keep_links, self.max_drop)
        return PruneOptions.for_ranking(
            ranking_of(run),
            budget,
            method=self.method,
            selection=self.selection,
            include_blocks=self.include_blocks,
            include_widths=self.include_widths,
            rerank=self.rerank,
            profile=tuple(self.profile) if self.profile else None,
            threads=self.threads,
            rounds=self.rounds,
            from_scratch=self.from_scratch,
            accept_closest=self.accept_closest,
            width_multiple=self.width_multiple,
            trials=self.trials,
            trial_epochs=self.trial_epochs,
        )


def config_options(task: str) -> type[Any]:
    """Return a dataclass that declares the values of a task's `TrainingConfig` as options without defaults.

    The data and the number of devices are not among them. What is not typed has the value of the recipe.
    """
    fields = []
    parts = (ScheduleConfig, OptimizerConfig, DataConfig, RegularizationConfig, CheckpointConfig, TrainingConfig)
    for part in (*parts, settings_class(task)):
        hints = typing.get_type_hints(part)
        declared = [field for field in dataclasses.fields(part) if HELP in field.metadata]
        fields += [(field.name, hints[field.name], redeclared(part, field.name, None)) for field in declared]
    return dataclasses.make_dataclass(f"{task.title()}Options", fields, frozen=True)
