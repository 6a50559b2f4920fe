"""Importance by random masks: fitted scores predict the loss."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import FusionLink, ResidualBlock
from mobile_eval.errors import HRNetError
from training.elastic.mask import Mask
from training.ranking.data import RankingData
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.masks import (
    LostImportance,
    MaskImportance,
    RandomMasks,
    fitted_factors,
    single_factor,
)
from training.ranking.rank import rank_network

INNER = "stage3_module1_branch2_block0_conv1"
LAST_WAY_OUT = FusionLink(3, 1, 2, 0)  # of branch 2


def test_what_is_not_built_loses_nothing(micro: HRNetSpec) -> None:
    into_branch2, block = FusionLink(3, 0, 0, 2), ResidualBlock(3, 1, 2, 0)
    scores = {LAST_WAY_OUT: 1.0, into_branch2: 2.0, block: 4.0}
    lost = LostImportance(micro, scores, {INNER: (3.0, 1.0, 2.0, 9.0), "branch1": (0.5, 0.25)})
    every = Mask(frozenset(scores), {INNER: 2, "branch1": 1})
    assert lost.terms(every).tolist() == [1, 0, 0, 0, 0.25]
    assert lost.terms(Mask(frozenset({into_branch2}), {INNER: 2})).tolist() == [0, 2, 0, 3, 0]
    assert lost.terms(Mask(frozenset({block}), {INNER: 2})).tolist() == [0, 0, 4, 0, 0]
    assert lost.kinds.tolist() == [0, 0, 1, 2, 3]


def test_fitted_factors_predict_other_masks() -> None:
    rng = np.random.default_rng(0)
    kinds, true = np.repeat([0, 1], 20), np.repeat([2.0, 0.1], 20) * rng.uniform(0, 2, 40)
    terms = rng.uniform(0, 1, (300, 40)) * (rng.random((300, 40)) < 0.3)
    increases = terms @ true
    factors = fitted_factors(terms[:200], increases[:200], kinds, strength=0.01)
    single = single_factor(terms[:200], increases[:200])
    errors = [np.abs(terms[200:] @ values - increases[200:]).mean() for values in (factors, np.full(40, single))]
    assert factors.min() >= 0
    assert errors[0] < 0.1 * errors[1]
    assert fitted_factors(terms, 3 * terms.sum(1), kinds, strength=1.0) == pytest.approx(np.full(40, 3.0))


@pytest.mark.slow
def test_importance_by_masks(micro_network: GatedNetwork, micro_data: KerasRankingData) -> None:
    method = RandomMasks(masks=24)
    importance = method.measure(micro_network, micro_data, include_widths=True)
    assert set(importance.units) == set(micro_network.units)
    assert {group: len(scores) for group, scores in importance.channels.items()} == dict(micro_network.spec.full_widths)
    values = np.concatenate([[*importance.units.values()], *importance.channels.values()])
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert importance.r2 <= 1 >= importance.taylor_r2
    blocks = GatedNetwork(micro_network.model, tuple(unit for unit in micro_network.units if isinstance(unit, FusionLink)))
    assert method(blocks, micro_data).keys() == micro_network.spec.links


class Canned(RandomMasks):
    """Importance is the number of examples of the half, of channels twice that."""

    def measure(self, network: GatedNetwork, data: RankingData, *, include_widths: bool = False) -> MaskImportance:
        assert include_widths
        return MaskImportance(dict.fromkeys(network.units, float(len(data))), {"branch1": (2.0 * len(data),) * 8}, 0.9, 0.5)


def test_ranking_by_masks_is_the_mean_of_both_halves(
    micro_network: GatedNetwork, micro_data: KerasRankingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.ranking.rank.METHODS", {"masks": Canned()})
    ranking = rank_network(micro_network, micro_data.part(slice(0, 5)), ["masks"], include_widths=True)
    assert set(ranking.importance().values()) == {2.5}
    assert ranking.channels == {"masks": {"branch1": (5.0,) * 8}}


@pytest.mark.slow
def test_a_loss_of_zero(micro_network: GatedNetwork, micro_examples: tuple[np.ndarray, np.ndarray]) -> None:
    def nothing(targets: np.ndarray, outputs: np.ndarray) -> object:
        return 0 * (targets - outputs)[:, 0, 0, 0]

    data = KerasRankingData.prepare(micro_examples, micro_network.model, nothing)
    with pytest.raises(HRNetError, match="`data`: the loss is 0"):
        RandomMasks(masks=2)(micro_network, data)
