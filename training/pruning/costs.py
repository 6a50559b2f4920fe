"""What the candidates of one pruning cost: a cost model and latency measurements, each made when it is first needed."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TypeAlias

from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.benchmark.profile import ProfileResult, load_profile
from training.pruning.budget_search import Ratio
from training.pruning.candidate_latency import CandidateFactory, LatencyRatio, build_folded
from training.pruning.cost_model import CostModel, latency_cost_model, multiply_adds_cost_model, profile_full_network

Profile: TypeAlias = "ProfileResult | Path | str"  # loaded, or a file that `python -m mobile_eval profile` wrote


class Costs:
    """Cost model and latency measurements of the networks that are pruned from one network.

    Args:
        spec: The network to prune.
        budget: Name of the budget: by "keep_latency", costs are in milliseconds, else in multiply-adds.
        profile: Profile of the full network on the target device. None to profile and measure latency on this machine.
        threads: Number of threads for measuring on this machine.
        build: Makes the Keras model of a network.
        head: Multiply-adds of everything outside of the trunk; None for those of the spec's head.
    """

    def __init__(
        self,
        spec: HRNetSpec,
        budget: str,
        *,
        profile: Profile | None = None,
        threads: int = 1,
        build: CandidateFactory = build_folded,
        head: int | None = None,
    ):
        self.spec = spec
        self.by_latency = budget == "keep_latency"
        self.profile = profile
        self.threads = threads
        self.build = build
        self.head = head

    @functools.cached_property
    def model(self) -> CostModel:
        """Cost model in milliseconds for a budget of latency, in multiply-adds for others."""
        if not self.by_latency:
            return multiply_adds_cost_model(self.spec, self.head)
        profile = self.profile
        if profile is None:
            profile = profile_full_network(self.spec, self.build, threads=self.threads)
        return latency_cost_model(self.spec, profile if isinstance(profile, ProfileResult) else load_profile(profile))

    @functools.cached_property
    def latency_ratio(self) -> Ratio | None:
        """Measures a candidate's latency over that of the full network; None if the target is another device."""
        if not self.by_latency or self.profile is not None:
            return None
        return LatencyRatio(self.spec.full(), self.build, threads=self.threads, progress=True)
