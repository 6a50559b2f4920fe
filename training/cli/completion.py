"""Names that the shell completes in training commands; they are looked up when Tab is pressed."""

from __future__ import annotations

import typer

from mobile_eval.cli.completion import completed
from mobile_eval.cli.help import WORDS
from training.tasks.registry import TRAINING_TASKS

METHODS = ("leave-one-out", "taylor", "l0", "l1", "masks", "random")  # of `training.ranking.rank`, which is heavy


def task_of_model(name: str) -> str | None:
    """The task of a named model; None for another word."""
    from hrnet_tf.spec.presets import PRESETS

    return PRESETS[name].task if name in PRESETS else None


def _models() -> list[str]:
    from hrnet_tf.spec.presets import PRESETS

    return list(PRESETS)


def complete_recipe(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the recipes of the task of the typed model, or those of all tasks."""
    from training.recipe import recipe_names

    task = next((task for word in ctx.meta.get(WORDS, ()) if (task := task_of_model(word))), None)
    recipes = {recipe for name in ([task] if task else TRAINING_TASKS) for recipe in recipe_names(name)}
    return completed(sorted(recipes))(incomplete)


complete_model = completed(_models)
complete_task = completed(TRAINING_TASKS)
complete_method = completed(METHODS)
complete_methods = completed((*METHODS, "all"))
