"""What the candidates of one pruning cost: a cost model and latency measurements, each made when it is first needed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.units import Unit
from mobile_eval.benchmark.profile import ProfileResult, load_profile
from training.pruning.budget_search import Ratio
from training.pruning.candidate_latency import CandidateFactory, LatencyRatio, build_folded
from training.pruning.cost_model import (
    CostModel,
    latency_cost_model,
    multiply_adds_cost_model,
    narrower,
    profile_network,
)

Profile: TypeAlias = "ProfileResult | Path | str"  # loaded, or a file that `python -m mobile_eval profile` wrote
Profiles: TypeAlias = "Profile | Sequence[Profile]"
NARROWER = (0.75, 0.5, 0.25)  # shares of the channels of the narrower networks that are profiled on this machine
CALIBRATING = ((0.8, 4), (0.6, 3), (0.5, 2))  # measured networks: share of the channels, and each n-th link and block is removed


class Costs:
    """Cost model and latency measurements of the networks that are pruned from one network.

    Args:
        spec: The network to prune.
        budget: Name of the budget: by "keep_latency", costs are in milliseconds, else in multiply-adds.
        profile: Profile of the full network on the target device, and any number of narrower ones. None to profile and measure
            latency on this machine.
        include_widths: Whether widths are narrowed, for which narrower networks are profiled too.
        threads: Number of threads for measuring on this machine.
        build: Makes the Keras model of a network.
        head: Multiply-adds of everything outside of the trunk; None for those of the spec's head.
    """

    def __init__(
        self,
        spec: HRNetSpec,
        budget: str,
        *,
        profile: Profiles | None = None,
        include_widths: bool = False,
        threads: int = 1,
        build: CandidateFactory = build_folded,
        head: int | None = None,
    ):
        self.spec = spec
        self.by_latency = budget == "keep_latency"
        self.profiles = () if profile is None else profiles_of(profile)
        self.include_widths = include_widths
        self.threads = threads
        self.build = build
        self.head = head
        self._measured: dict[HRNetSpec, float] = {}

    @property
    def model(self) -> CostModel:
        """Cost model in milliseconds for a budget of latency, in multiply-adds for others."""
        if not self.by_latency:
            return multiply_adds_cost_model(self.spec, self.head)
        return latency_cost_model(self.spec, *self._profiles, ratios={**self._calibrating, **self._measured})

    def calibrate(self, network: HRNetSpec, ratio: float) -> CostModel:
        """Calibrate the cost model by a measured network too, from now on.

        Args:
            network: A smaller network.
            ratio: Its measured latency over that of the full one.

        Returns:
            The cost model.
        """
        self._measured[network] = ratio
        return self.model

    @functools.cached_property
    def _profiles(self) -> list[ProfileResult]:
        loaded = [item if isinstance(item, ProfileResult) else load_profile(item) for item in self.profiles]
        return loaded or list(map(self._profile, self._profiled()))

    @functools.cached_property
    def _calibrating(self) -> dict[HRNetSpec, float]:
        """The measured latency of some smaller networks over that of the full one."""
        if not self.include_widths or self.latency_ratio is None:
            return {}
        return {smaller: self.latency_ratio(smaller) for smaller in calibration_networks(self.spec.full())}

    def _profiled(self) -> list[HRNetSpec]:
        """The networks to profile on this machine."""
        full = self.spec.full()
        return [full, *(narrower(full, share) for share in (NARROWER if self.include_widths else ()))]

    def _profile(self, spec: HRNetSpec) -> ProfileResult:
        return profile_network(spec, self.build, threads=self.threads)

    @functools.cached_property
    def latency_ratio(self) -> Ratio | None:
        """Measures a candidate's latency over that of the full network; None if the target is another device."""
        if not self.by_latency or self.profiles:
            return None
        return LatencyRatio(self.spec.full(), self.build, threads=self.threads, progress=True)


def calibration_networks(full: HRNetSpec) -> list[HRNetSpec]:
    """The smaller networks whose measured latency calibrates the cost model."""
    networks = []
    for share, every in CALIBRATING:
        removed: list[Unit] = [*sorted(full.links)[::every], *sorted(full.live_blocks)[::every]]
        networks.append(narrower(full, share).without(removed))
    return networks


def profiles_of(profile: Profiles) -> tuple[Profile, ...]:
    """Return one or several profiles as a tuple."""
    return (profile,) if isinstance(profile, ProfileResult | Path | str) else tuple(profile)
