"""Candidates are measured without building them, and the best one loses less than what the scores alone select."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hrnet_tf.models.rebuild import rebuild
from hrnet_tf.spec.complexity import complexity
from training.pruning.budget import Budget
from training.pruning.cost_model import multiply_adds_cost_model
from training.pruning.selection import candidates as module
from training.pruning.selection.candidates import Candidates
from training.pruning.selection.importance import Importance
from training.pruning.selection.linear_program import InfeasibleError
from training.pruning.selection.search import ExactSearch
from training.pruning.selection.select import Limit, Selection, Selector
from training.ranking.channels import channel_importance
from training.ranking.gated_network import GatedNetwork
from training.ranking.keras_data import KerasRankingData
from training.ranking.methods import Taylor


def measured_growth(selection: Selection, network: GatedNetwork, data: KerasRankingData) -> float:
    """How many times the loss of the built network is that of the full one, with BatchNorm in training mode, as a logarithm."""
    images, targets = data.examples(range(len(data))).inputs, data.examples(range(len(data))).targets
    models = [rebuild(network.model, selection.spec, channels=selection.channels), rebuild(network.model)]
    losses = [float(np.mean((np.asarray(model(images, training=True)) - targets) ** 2)) for model in models]
    return math.log(max(losses[0] / losses[1], 1.0))


@pytest.mark.slow
def test_best_candidate(micro_network: GatedNetwork, micro_data: KerasRankingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RANDOM_NETWORKS", 12)
    monkeypatch.setattr(module, "SELECTED_NETWORKS", 6)
    spec = micro_network.spec
    importance = Importance(Taylor()(micro_network, micro_data), channel_importance(micro_network, micro_data))
    selector = Selector(spec, importance, multiply_adds_cost_model(spec), width_multiple=2)
    candidates = Candidates(micro_network, micro_data, importance)
    best, *_ = ExactSearch(Budget(keep_macs=0.7), selector, None, candidates=candidates).find()
    assert complexity(best.spec).multiply_adds <= 0.7 * complexity(spec).multiply_adds
    assert best.lost == pytest.approx(measured_growth(best, micro_network, micro_data), abs=1e-3)
    plain = selector.select(Limit(cost=0.7 * selector.full_cost))
    assert best.lost <= measured_growth(plain, micro_network, micro_data) + 1e-3
    assert best.bound is None
    with pytest.raises(InfeasibleError):
        candidates.best(selector, Limit(cost=0.01 * selector.full_cost))
