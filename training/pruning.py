"""Remove the links a network needs least, take over the weights that still have a place, tune what is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hrnet_tf.networks import check_is_pose, complexity
from hrnet_tf.runs import Run, load_ranking, load_run, save_ranking, write_json
from hrnet_tf.spec import HRNetSpec
from hrnet_tf.weights import load_weights, set_model_weights
from training.candidate_latency import LatencyRatio
from training.config import TrainingConfig
from training.fit import build_for_training, check_category, fit, load_data, start_run
from training.selection import removal_order

LINKS_ADVICE = "at least one link must stay"


@dataclass(frozen=True)
class Budget:
    """What may stay: a share of the full network's measured latency, or all links but a number. Give one."""

    keep_latency: float | None = None
    remove_links: int | None = None

    def __post_init__(self) -> None:
        if (self.keep_latency is None) == (self.remove_links is None):
            raise ValueError("give either --keep-latency or --remove-links")
        if self.keep_latency is not None and not 0 < self.keep_latency < 1:
            raise ValueError(f"--keep-latency is a share of the full network's, between 0 and 1, got {self.keep_latency}")
        if self.remove_links is not None and self.remove_links < 1:
            raise ValueError(f"--remove-links must be at least 1, got {self.remove_links}")


def prune_to_links(order: list[HRNetSpec], remove: int) -> HRNetSpec:
    """The first network of the removal order that lost at least `remove` links."""
    links = len(order[0].links)
    if remove >= links:
        raise ValueError(f"cannot remove {remove} of {links} links, no links left: {LINKS_ADVICE}")
    return next((spec for spec in order if links - len(spec.links) >= remove), order[-1])


def prune_to_latency(
    order: list[HRNetSpec], keep: float, ratio: Callable[[HRNetSpec], float], say: Callable[[str], None] = print
) -> tuple[HRNetSpec, float]:
    """The largest network of the removal order within `keep` of the first one's latency, and its measured ratio.

    Bisects, measuring with `ratio`. Raises ValueError, with the least that can be reached, where none is.
    """

    def measure(spec: HRNetSpec) -> float:
        measured = ratio(spec)
        giga = complexity(spec).multiply_adds / 1e9
        say(f"{len(spec.links)} links, {giga:.3f} G multiply-adds: {measured:.3f} of the full network's latency")
        return measured

    low, high = 0, len(order) - 1  # order[low] is over the budget, order[high] within
    best = measure(order[high])
    if best > keep:
        raise ValueError(f"links alone reach {best:.2f} of the full network's latency, not {keep}: {LINKS_ADVICE}")
    while high - low > 1:
        middle = (low + high) // 2
        measured = measure(order[middle])
        if measured <= keep:
            high, best = middle, measured
        else:
            low = middle
    return order[high], best


def choose(run: Run, budget: Budget, threads: int) -> tuple[HRNetSpec, float | None]:
    """The pruned spec within the budget, and its latency ratio where that was measured."""
    order = removal_order(run.hrnet_spec, load_ranking(run))
    if budget.remove_links is not None:
        return prune_to_links(order, budget.remove_links), None
    if budget.keep_latency is None:
        raise ValueError("the budget names nothing")
    if len(order) < 2:
        raise ValueError(f"{run.path} has {len(run.hrnet_spec.links)} links, none to remove: {LINKS_ADVICE}")
    ratio = LatencyRatio(run.hrnet_spec, threads)
    return prune_to_latency(order, budget.keep_latency, ratio, Console(stderr=True).print)


def prune(run: Run, budget: Budget, config: TrainingConfig, output: Path | str, *, threads: int = 1, resume: bool = False) -> Run:
    """Prune `run` to the budget and fine-tune; `output` gets pruning.json (what went, and why) beside the run's files.

    `run` is the teacher where `config.distill` is above 0. Interrupted, it goes on with the choice it made.
    """
    if run.quantized:
        raise ValueError(f"{run.path} is quantized; prune the run it came from: {run.parent}")
    full, output = run.hrnet_spec, Path(output)
    check_is_pose(full, "pruning")
    train_data, val_data = load_data(config)
    check_category(run, train_data)
    weights = load_weights(run.weights_path)
    chosen = resume and (output / "run.json").is_file()
    spec, ratio = (load_run(output).hrnet_spec, None) if chosen else choose(run, budget, threads)
    pruned = Run(output, "prune", spec, run.category, config.to_json(), str(run.path))
    start_run(pruned, resume=resume)
    if not chosen:
        save_ranking(pruned, load_ranking(run), {"of": str(run.path)})
        gone = [link.name for link in sorted(full.links - spec.links)]
        write_json(output / "pruning.json", {"budget": dataclasses.asdict(budget), "latency_ratio": ratio, "removed_links": gone})
    model = build_for_training(spec, config)
    set_model_weights(model, weights)
    teacher = None
    if config.distill:
        teacher = build_for_training(full, config)
        set_model_weights(teacher, weights)
    fit(pruned, model, config, train_data, val_data, teacher)
    return pruned
