"""Learn gates of links, blocks and channels together with the weights, under a penalty of expected latency.

    python benchmarks/joint_gates.py RUN --keep-latency X [--epochs N] [--gate-rate X] [--seed N] [--limit N] --output RUN

A control for the selections of `hrnet prune`, and not a part of it, since it finds worse networks (docs/results/study/tried.md).
From the weights of a trained run, with that as teacher, all weights are trained on, and each link, each block and each 8 channels
of a width group get a gate: a probability of being there. Each batch draws a network, in which the rest is masked and BatchNorm
takes the statistics of the batch; gates get gradients as if they were the relaxed draws (straight-through, Jang et al.,
Categorical reparameterization with Gumbel-Softmax, arXiv 1611.01144).

The penalty is the loss times the expected latency. How expected latency changes with a probability is the mean, over drawn
networks, of what the gate's part costs in them by the cost model of this machine. The factor of the penalty is ten times what the
drawn networks exceed the latency that is allowed so far, which falls from that of the full network to the budget in the first
60 % of the steps. OUTPUT is an untrained run of the most probable network within the budget, for `hrnet train --links-from`.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.keras_module import keras, tf
from hrnet_tf.backend.types import KerasModel, Tensor
from hrnet_tf.runs.pruning import units_kept
from hrnet_tf.runs.run import Run, create_run
from hrnet_tf.spec.convolutions import group_writers
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from mobile_eval.errors import HRNetError
from training.config import FLOAT32, TrainingConfig
from training.data.examples import examples_for
from training.data.tf_pipeline import training_dataset
from training.elastic.masking import ModelMasking, norm_name
from training.engine.inputs import load_data
from training.engine.networks import build_for_training, build_teacher, load_matching_weights
from training.optim.trainer_models import batch_loss, trainer_model
from training.pruning.cost_model import CostModel
from training.pruning.costs import Costs
from training.pruning.selection.importance import WIDTH_MULTIPLE, levels
from training.tasks.registry import training_task

INITIAL, LARGEST = 2.5, 5.0  # log-odds
TEMPERATURE = 0.5
EVERY, DRAWN, KEPT = 15, 8, 0.9  # steps between drawn networks that are priced, those that are averaged, and of earlier prices
FALLING, STIFFNESS = 0.6, 10.0  # share of the steps in which the allowed latency falls, and the factor of what exceeds it

Open = NDArray[np.bool_]


class Gates:
    """Gates of a masked model.

    Args:
        model: The model.
        spec: Its network.
    """

    def __init__(self, model: KerasModel, spec: HRNetSpec):
        self.spec = spec
        writers = group_writers(spec)
        scales = {
            group: sum(np.abs(model.get_layer(norm_name(name)).gamma.numpy()) for name in writers[group]) for group in writers
        }
        self.masking = ModelMasking(model, spec, scales, batch_statistics=True)
        self.units: list[Unit] = [*sorted(spec.links), *sorted(spec.live_blocks)]
        self.steps = {group: levels(spec.width_of(group), WIDTH_MULTIPLE) for group in writers}
        chunks = [(group, index) for group, widths in self.steps.items() for index in range(1, len(widths))]
        self.chunks = {chunk: len(self.units) + number for number, chunk in enumerate(chunks)}
        self.count = len(self.units) + len(self.chunks)
        self.log_odds = tf.Variable(np.full(self.count, INITIAL, np.float32))
        self._unit_of, self._chunk_of = self._gates_of_channels(scales)

    def draw(self) -> None:
        """Mask the model by a drawn network. Call it where gradients are recorded."""
        uniform = tf.random.uniform([self.count], 1e-6, 1 - 1e-6)
        relaxed = tf.sigmoid((tf.math.log(uniform) - tf.math.log(1 - uniform) + self.log_odds) / TEMPERATURE)
        drawn = relaxed + tf.stop_gradient(tf.round(relaxed) - relaxed)
        values = tf.concat([drawn, [1.0]], 0)  # the last one is of channels without a gate
        self.masking.factors = tf.gather(values, self._unit_of) * tf.gather(values, self._chunk_of)

    def network(self, is_open: Open) -> HRNetSpec:
        """Return the network of some open gates."""
        spec = self.spec.without([unit for unit, keep in zip(self.units, is_open, strict=False) if not keep])
        widths = {
            group: steps[0] + sum(steps[i] - steps[i - 1] for i in range(1, len(steps)) if is_open[self.chunks[group, i]])
            for group, steps in self.steps.items()
        }
        return spec.with_widths({group: widths[group] for group in group_writers(spec)})

    def _gates_of_channels(self, scales: dict[str, NDArray[np.float32]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The gates of each masked channel: of its unit, and of its part of the group, the most important ones first."""
        masking = self.masking
        units = {masking.last_norms[unit.name]: number for number, unit in enumerate(self.units)}
        unit_of, chunk_of = (np.full(masking.factors.shape[0], self.count) for _ in range(2))
        for name, part in masking.slices.items():
            unit_of[part] = units.get(name, self.count)
            group = masking.groups[name]
            if group not in self.steps:
                continue
            order, steps = np.argsort(-scales[group], kind="stable"), self.steps[group]
            for index in range(1, len(steps)):
                chunk_of[part.start + order[steps[index - 1] : steps[index]]] = self.chunks[group, index]
        return unit_of, chunk_of


class ExpectedLatency:
    """What each gate adds to the expected latency, over that of the full network, from drawn networks.

    Args:
        gates: The gates.
        cost_model: Cost of a network.
        seed: Seed of the draws.
    """

    def __init__(self, gates: Gates, cost_model: CostModel, seed: int):
        self.gates = gates
        self.cost_model = cost_model
        self.full = cost_model.cost(gates.spec)
        self.prices = np.zeros(gates.count, np.float32)
        self._is_priced = np.zeros(gates.count, bool)
        self._rng = np.random.default_rng(seed)
        self._ratios: deque[float] = deque(maxlen=DRAWN)

    def ratio(self, is_open: Open) -> float:
        """Return the latency of the network of some open gates; infinite if nothing is left of it."""
        try:
            return self.cost_model.cost(self.gates.network(is_open)) / self.full
        except HRNetError:
            return np.inf

    def update(self) -> float:
        """Draw a network, and learn from it what each gate costs. Returns the mean ratio of the last ones."""
        is_open = self._rng.random(self.gates.count) < tf.sigmoid(self.gates.log_odds).numpy()
        ratio = self.ratio(is_open)
        if np.isfinite(ratio):
            self._ratios.append(ratio)
            for number in range(self.gates.count):
                other = is_open.copy()
                other[number] = not other[number]
                price = abs(ratio - self.ratio(other))
                if np.isfinite(price):
                    kept = KEPT if self._is_priced[number] else 0.0
                    self.prices[number] = kept * self.prices[number] + (1 - kept) * price
                    self._is_priced[number] = True
        return float(np.mean(self._ratios))

    def within(self, budget: float) -> Open:
        """Return the open gates of the network within a budget that lacks only the least probable ones."""
        odds = self.gates.log_odds.numpy()
        return next(odds > limit for limit in (-np.inf, *np.sort(odds)) if self.ratio(odds > limit) <= budget)


@dataclass(frozen=True)
class Penalized:
    """A gated model that is trained with a teacher and a penalty.

    Attributes:
        model: The model.
        teacher: Its teacher.
        config: Settings of its training.
        gates: Its gates.
        penalty: Returns the penalty of the gates' probabilities, a scalar.
    """

    model: KerasModel
    teacher: KerasModel
    config: TrainingConfig
    gates: Gates
    penalty: Callable[[Tensor], Tensor]

    def loss(self, x: Tensor, y: Tensor, outputs: Tensor, weights: Tensor = None) -> Tensor:
        """Return the mean of the loss and of the distance from the teacher."""
        task = training_task(self.config.task)
        if task.distillation_loss is None:
            raise HRNetError(f"networks for {self.config.task} have no distance from a teacher")
        loss = task.loss(self.config.settings)
        value = batch_loss(trainer_model(task, self.model, loss), loss)(x, y, outputs, weights)
        distance = task.distillation_loss(self.teacher(x, training=False), outputs)
        return (tf.cast(value, tf.float32) + tf.cast(distance, tf.float32)) / 2

    def training_step(self, steps: int, rate: float, gate_rate: float) -> Callable[..., Tensor]:
        """Return what trains weights and gates on a batch, and returns the loss without the penalty."""
        decay = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=rate, warmup_steps=max(steps // 20, 1))
        optimizer, gate_optimizer = keras.optimizers.Adam(decay), keras.optimizers.Adam(gate_rate)
        odds, weights = self.gates.log_odds, self.model.trainable_variables

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def step(x: Tensor, y: Tensor, *sample_weights: Tensor) -> Tensor:
            with tf.GradientTape() as tape:
                self.gates.draw()
                value = self.loss(x, y, self.model(x, training=True), *sample_weights)
                minimized = value + tf.stop_gradient(value) * self.penalty(tf.sigmoid(odds))
            *gradients, gate_gradient = tape.gradient(minimized, [*weights, odds])
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            gate_optimizer.apply_gradients([(gate_gradient, odds)])
            odds.assign(tf.clip_by_value(odds, -LARGEST, LARGEST))
            return value

        return step


def learn(run: Run, options: argparse.Namespace) -> HRNetSpec:
    """Return the network that is learnt from a run."""
    spec, values = run.hrnet_spec, {"epochs": options.epochs, "learning_rate": options.learning_rate, "seed": options.seed}
    latency_model = Costs(spec, "keep_latency", include_widths=True).model
    config = TrainingConfig.from_json(run.config).replace(precision=FLOAT32, **values)
    data, _ = load_data(config)
    keras.utils.set_random_seed(options.seed)
    examples = examples_for(data.head(options.limit) if options.limit else data, spec, config)
    model = build_for_training(spec, config)
    load_matching_weights(model, run)
    gates, total = Gates(model, spec), examples.steps * options.epochs
    latency = ExpectedLatency(gates, latency_model, options.seed)
    prices, strength = tf.Variable(latency.prices), tf.Variable(0.0)
    penalized = Penalized(model, build_teacher(run, config), config, gates, lambda odds: strength * tf.reduce_sum(odds * prices))
    step = penalized.training_step(total, options.learning_rate, options.gate_rate)
    losses: list[float] = []
    for number, batch in enumerate(training_dataset(examples, range(options.epochs))):
        if number % EVERY == 0:
            allowed = 1 + (options.keep_latency - 1) * min(number / (FALLING * total), 1)
            ratio = latency.update()
            strength.assign(STIFFNESS * max(ratio - allowed, 0))
            prices.assign(latency.prices)
        losses.append(float(step(*batch)))
        if (number + 1) % examples.steps == 0:
            kept, epoch = units_kept(gates.network(gates.log_odds.numpy() > 0)), (number + 1) // examples.steps
            print(f"epoch {epoch}: loss {np.mean(losses):.4g}, drawn networks {ratio:.3f}, {kept}", flush=True)
            losses.clear()
    return gates.network(latency.within(options.keep_latency))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--keep-latency", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--gate-rate", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="number of training examples")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    spec = learn(Run.load(options.run), options)
    create_run(spec, options.output)
    print(f"{options.output}: {units_kept(spec)}")


if __name__ == "__main__":
    main()
