"""Training with outputs that only training needs: losses, targets of other widths, teachers, and what is saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.models.trunk import spec_of
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from hrnet_tf.spec.baselines.cpn import GLOBAL_SIGMAS, REFINED_SIGMA
from mobile_eval.errors import HRNetError
from tests.support.baselines import cpn, hourglass
from training.config import TrainingConfig
from training.engine.networks import load_matching_weights
from training.optim.auxiliary import AuxiliaryTrainer, auxiliary_trainer, has_auxiliary, without_auxiliary
from training.recipe import default_recipe, load_recipe, recipe_config
from training.tasks.pose.losses import HeatmapMSE, HeatmapOHKM
from training.tasks.pose.targets import heatmap_targets
from training.tasks.pose.task import TASK

POINTS = np.array([[[20.0, 30.0], [41.0, 9.0], [3.0, 60.0], [33.0, 33.0], [50.0, 50.0]]])


@pytest.mark.slow
def test_loss_is_that_of_all_outputs_with_their_weights() -> None:
    spec = cpn()
    model = build_model(spec, auxiliary=True)
    trainer = auxiliary_trainer(TASK, model, spec, HeatmapOHKM(top=2))
    targets, weights = heatmap_targets(POINTS, 64, sigma=REFINED_SIGMA)
    rng = np.random.default_rng(0)
    outputs = [rng.random((1, 16, 16, 5), np.float32) for _ in range(5)]
    expected = float(HeatmapOHKM(top=2)(targets, outputs[0], weights))
    for sigma, heatmaps in zip(GLOBAL_SIGMAS, outputs[1:], strict=True):
        wider, _ = heatmap_targets(POINTS, 64, sigma=sigma)
        expected += 0.5 * float(np.mean(0.5 * (wider - heatmaps) ** 2 * weights))
    loss = float(trainer.loss_from_outputs(None, targets, outputs, weights))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert not has_auxiliary(without_auxiliary(model))
    assert spec_of(without_auxiliary(model)) == spec


@pytest.mark.slow
def test_number_of_outputs() -> None:
    with pytest.raises(HRNetError, match="must have 3 outputs, got 2"):
        AuxiliaryTrainer(build_model(hourglass(), auxiliary=True), [AuxiliaryOutput(1.0)] * 2, HeatmapMSE(), HeatmapMSE())


@pytest.mark.parametrize(
    ("spec", "optimizer", "learning_rate", "loss", "sigma"),
    [(hourglass(), "rmsprop", 2.5e-4, "mse", 1.0), (cpn(), "adam", 5e-4, "ohkm", 1.4)],
    ids=["hourglass", "cpn"],
)
def test_recipes_of_the_sources(
    spec: object, optimizer: str, learning_rate: float, loss: str, sigma: float, config: TrainingConfig
) -> None:
    name = default_recipe(spec)  # type: ignore[arg-type]
    assert name is not None
    recipe = recipe_config("pose", load_recipe("pose", name), config.data.train, None, {})
    assert recipe.optimization.optimizer == optimizer
    assert recipe.schedule.learning_rate == learning_rate
    assert (recipe.settings.loss, recipe.settings.sigma) == (loss, sigma)  # type: ignore[attr-defined]
    assert dataclasses.replace(recipe.schedule, lr_factor=0.5).lr_factor == 0.5


@pytest.mark.slow
def test_runs_with_the_strides_elsewhere_are_refused(tmp_path: Path) -> None:
    spec = cpn(style="caffe")
    save_weights(tmp_path / "weights.safetensors", model_weights(build_model(spec)))
    run = Run(tmp_path, "train", spec, {}, {})
    load_matching_weights(build_model(cpn(style="caffe")), run)
    with pytest.raises(HRNetError, match="cpn has the stride in stage2_block0_conv1, cpn in stage2_block0_conv2"):
        load_matching_weights(build_model(cpn()), run)
