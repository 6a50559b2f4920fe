"""Networks of which a part is missing compute what smaller networks do, and are trained in a share of the batches."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from training.elastic.mask import Mask, random_mask
from training.elastic.masking import ModelMasking
from training.elastic.random_networks import random_networks
from training.ranking.channels import random_channels
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData

INNER = "stage3_module1_branch2_block0_conv1"
REMOVED = frozenset({FusionLink(3, 0, 0, 1), ResidualBlock(2, 0, 1, 0)})


@pytest.mark.slow
@pytest.mark.parametrize("batch_statistics", [False, True])
def test_masked_model_computes_what_the_smaller_network_does(
    micro_network: GatedNetwork, micro_data: KerasRankingData, batch_statistics: bool
) -> None:
    spec, model = micro_network.spec, rebuild(micro_network.model)
    channels = random_channels(spec, seed=3)
    images = micro_data.examples(range(len(micro_data))).inputs
    full = np.asarray(model(images, training=batch_statistics))
    masking = ModelMasking(model, spec, channels, batch_statistics=batch_statistics)
    before = [weight.numpy() for weight in model.weights]
    dropped = {"branch1": 3, "stem_conv1": 2, INNER: 5}
    masking.apply(Mask(REMOVED, dropped))
    kept = {group: sorted(np.argsort(channels[group])[count:].tolist()) for group, count in dropped.items()}
    smaller = spec.without(REMOVED).with_widths({group: len(indices) for group, indices in kept.items()})
    expected = np.asarray(rebuild(micro_network.model, smaller, channels=kept)(images, training=batch_statistics))
    masked = np.asarray(model(images))
    assert masked == pytest.approx(expected, abs=1e-5 * float(np.abs(expected).max()))
    assert np.abs(expected - full).max() > 1e-2 * np.abs(full).max()
    masking.clear()
    assert np.asarray(model(images)) == pytest.approx(full, abs=1e-5 * float(np.abs(full).max()))
    assert all(np.array_equal(*pair) for pair in zip(before, [weight.numpy() for weight in model.weights], strict=True))


@pytest.mark.slow
def test_only_batches_of_the_full_network_move_its_statistics(micro_network: GatedNetwork, micro_data: KerasRankingData) -> None:
    model = rebuild(micro_network.model)
    images = micro_data.examples(range(len(micro_data))).inputs
    callback = random_networks(model, micro_network.spec, share=1.0, seed=0)
    statistics = [weight for weight in model.weights if "moving" in weight.name]
    before = [weight.numpy() for weight in statistics]
    callback.on_epoch_begin(0)
    callback.on_train_batch_begin(0)
    model(images, training=True)
    assert all(np.array_equal(*pair) for pair in zip(before, [weight.numpy() for weight in statistics], strict=True))
    callback.on_epoch_end(0)
    model(images, training=True)
    assert not any(np.array_equal(*pair) for pair in zip(before, [weight.numpy() for weight in statistics], strict=True))


def test_masks_are_as_severe_as_requested(micro: HRNetSpec) -> None:
    rng, units = np.random.default_rng(0), sorted(micro.links)
    widths = dict(micro.full_widths)
    masks = [random_mask(units, widths, 0.4, rng) for _ in range(200)]
    assert np.mean([len(mask.removed) for mask in masks]) == pytest.approx(0.2 * len(units), rel=0.2)
    shares = [mask.dropped[group] / width for mask in masks for group, width in widths.items()]
    assert np.mean(shares) == pytest.approx(0.1, rel=0.2)
    assert max(shares) <= 0.75


@pytest.mark.slow
def test_a_resumed_training_draws_the_same_masks(micro_network: GatedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    callback = random_networks(rebuild(micro_network.model), micro_network.spec, share=0.5, seed=0)
    drawn: list[Mask | None] = []
    monkeypatch.setattr(callback.masking, "apply", drawn.append)
    monkeypatch.setattr(callback.masking, "clear", lambda: drawn.append(None))

    def epoch(number: int) -> list[Mask | None]:
        drawn.clear()
        callback.on_epoch_begin(number)
        for batch in range(40):
            callback.on_train_batch_begin(batch)
        return list(drawn)

    first, second = epoch(0), epoch(1)
    assert 10 <= sum(mask is not None for mask in second) <= 30
    assert epoch(1) == second != first
