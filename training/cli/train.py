"""`hrnet train`, from what was typed to a run. Strategies come first: workers meet before TensorFlow does anything else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hrnet_tf.runs.run import connected_like, load_run
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.memory import parse_memory
from hrnet_tf.spec.presets import customized, parse_size, preset
from mobile_eval.errors import HRNetError
from training.cli.task_options import settings_of
from training.config import TrainingConfig, asked_precision
from training.data.sources import asked_sources
from training.engine.strategies import make_devices
from training.execution import Execution
from training.pruning.width_matching import latency_matched
from training.recipe import COMMON, load_recipe, parse_list, recipe_config, show_recipe
from training.tasks.registry import training_task
from training.train import train

SIZES = ("width", "modules", "blocks", "stem_width", "stage1_blocks", "stage1_width", "head_width")


def train_as_asked(asked: dict[str, Any]) -> None:
    """Train with the options of the command, by their names in Python; "settings" are those of tasks."""
    budget_bytes = parse_memory(asked["memory_budget"])
    devices = make_devices(asked["strategy"], asked["devices"])
    output: Path = asked["output"]
    spec = _network(asked, output)
    default_recipe = training_task(spec.task).recipe
    name = asked["recipe"] or (default_recipe(spec) if default_recipe else None)
    config = dataclasses.replace(_config(spec.task, asked, name), devices=devices.count)
    if devices.is_chief and name:
        show_recipe(name, config)
    init, teacher = (load_run(asked[name]) if asked[name] else None for name in ("init", "teacher"))
    how = Execution(devices, asked["jit"], asked["cache"], asked["tensorboard"], memory_budget=budget_bytes)
    run = train(spec, config, output, init=init, teacher=teacher, execution=how, resume=asked["resume"])
    if devices.is_chief:
        print(f"run: {run.path}")


def _config(task: str, asked: dict[str, Any], recipe: str | None) -> TrainingConfig:
    """What the recipe says, and the command line instead."""
    changed = {name: asked[name] for name in COMMON} | settings_of(task, asked["settings"])
    changed["precision"] = asked_precision(asked["precision"], asked["mixed_precision"])
    if asked["lr_milestones"] is not None:
        changed["lr_milestones"] = parse_list("lr_milestones", asked["lr_milestones"])
    sources, distill_weight = asked_sources(task, asked), asked["distill_weight"] if asked["teacher"] else 0.0
    config = recipe_config(
        task, load_recipe(task, recipe) if recipe else {}, changed, sources, seed=asked["seed"], distill_weight=distill_weight
    )
    frozen = parse_list("freeze", asked["freeze"] or "", "str")
    return dataclasses.replace(config, freeze=frozen, keep=asked["keep"], patience=asked["patience"])


def _network(asked: dict[str, Any], output: Path) -> Network:
    """A preset with its options, its width or its connectivity like another run's."""
    like, links_from = asked["width_like"], asked["links_from"]
    if like and links_from:
        raise HRNetError("`width_like` chooses the width of a full network: leave `links_from` out")
    sizes = {name: asked[name] for name in SIZES}
    spec = customized(
        preset(asked["model"]), input_size=parse_size(asked["input_size"]) if asked["input_size"] else None, **sizes
    )
    if like:
        return latency_matched(spec, load_run(like), output)
    return connected_like(spec, load_run(links_from) if links_from else None)
