"""Cost of a network by its convolutions: in multiply-adds, or in milliseconds on a profiled device.

Each convolution that is built costs what it does at its widths, so removing links also saves what becomes unreachable. A small
network is faster than the sum of its convolutions in the full one, since more of it fits into the caches: measured pruned
networks calibrate the sum.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hrnet_tf.backend.graph import layer_calls
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import LAYER
from hrnet_tf.spec.architectures import network_description
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.convolutions import Convolution, convolutions
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule
from mobile_eval.benchmark.latency import ROUNDS
from mobile_eval.benchmark.profile import ProfileResult, profile
from mobile_eval.errors import HRNetError
from mobile_eval.progress import working
from mobile_eval.runtime.backend import Backend
from mobile_eval.typed import brief
from training.pruning.candidate_latency import CandidateFactory, build_folded, untrained_files
from training.pruning.operator_latency import HEAD, ConvolutionLatency, measured_convolutions

MILLISECONDS, MULTIPLY_ADDS = "ms", "multiply-adds"
PROFILED = (  # entries of a spec that the profile of its full network depends on
    "width", "input_size", "stages", "stem_width", "stage1_blocks", "stage1_width", "task", "block", "head", "head_width",
    "head_branches",
)  # fmt: skip

Price = Callable[[Convolution], float]  # cost of a convolution with the widths that it has
LEAST_EXPONENT, LARGEST_EXPONENT = 0.5, 2.0


@dataclass(frozen=True)
class Calibration:
    """Costs of networks as measured, from sums over their convolutions: shares of the full network's, to a power.

    Attributes:
        full: The cost of the full network.
        exponent: The power; above 1 where smaller networks are faster than their sums.

    Example:
        >>> Calibration(full=8.0, exponent=2.0).cost(4.0)
        2.0
    """

    full: float
    exponent: float

    @classmethod
    def fitted(cls, full: float, sums: Sequence[float], ratios: Sequence[float]) -> Calibration:
        """Fit the power to measured networks, with the least squares of logarithms.

        Args:
            full: The cost of the full network.
            sums: The sum of each network.
            ratios: The measured cost of each, over that of the full network.
        """
        shares, measured = np.log(np.asarray(sums) / full), np.log(ratios)
        exponent = float(shares @ measured / (shares @ shares)) if shares.any() else 1.0
        return cls(full, min(max(exponent, LEAST_EXPONENT), LARGEST_EXPONENT))

    def cost(self, total: float) -> float:
        """The cost of a network whose sum is `total`."""
        return self.full * float((total / self.full) ** self.exponent)

    def total(self, cost: float) -> float:
        """The sum of a network that costs `cost`."""
        return self.full * float((max(cost, 0.0) / self.full) ** (1 / self.exponent))


@dataclass(frozen=True)
class CostModel:
    """Cost of a network as the sum over its convolutions, each at its widths.

    Attributes:
        unit: Unit of the costs: "ms" or "multiply-adds".
        fixed: Cost of everything that no width and no unit changes.
        price: Cost of a convolution, with what runs beside it.
        calibration: From the sum to what measured networks cost; None if it is the cost.
    """

    unit: str
    fixed: float
    price: Price = field(repr=False)
    calibration: Calibration | None = None
    _by_widths: dict[HRNetSpec, _PartCosts] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cost(self, spec: HRNetSpec) -> float:
        """Return the cost of a network. Raises HRNetError, naming the convolution, if the model does not know one of them."""
        total = self._total(spec)
        return total if self.calibration is None else self.calibration.cost(total)

    def total_at(self, cost: float) -> float:
        """Return the sum over the convolutions, and what is fixed, of a network that costs `cost`."""
        return cost if self.calibration is None else self.calibration.total(cost)

    def calibrated(self, full: HRNetSpec, ratios: Mapping[HRNetSpec, float]) -> CostModel:
        """Return this model, calibrated by measured networks.

        Args:
            full: The full network.
            ratios: The measured cost of smaller networks over that of the full one; none calibrates nothing.
        """
        if not ratios:
            return self
        calibration = Calibration.fitted(self._total(full), [self._total(spec) for spec in ratios], list(ratios.values()))
        return dataclasses.replace(self, calibration=calibration)

    def _total(self, spec: HRNetSpec) -> float:
        connected = dataclasses.replace(spec, links=spec.possible_links, removed_blocks=frozenset())
        if connected not in self._by_widths:
            self._by_widths[connected] = _PartCosts.of(connected, self.price)
        return self.fixed + self._by_widths[connected].total(spec)


@dataclass(frozen=True)
class _PartCosts:
    """Costs of the parts of a network with certain widths: what always stays, and each part that can be removed."""

    stays: float
    removable: Mapping[str, float]

    @classmethod
    def of(cls, connected: HRNetSpec, price: Price) -> _PartCosts:
        """The costs of a network with all links and blocks."""
        costs: dict[str, float] = defaultdict(float)
        for convolution in convolutions(connected):
            costs[convolution.part] += price(convolution)
        removable = {name: costs[name] for name in removable_parts(connected)}
        return cls(math.fsum(cost for name, cost in costs.items() if name not in removable), removable)

    def total(self, spec: HRNetSpec) -> float:
        """The cost of a network with these widths."""
        return self.stays + sum(self.removable[name] for name in removable_parts(spec))


def removable_parts(spec: HRNetSpec) -> list[str]:
    """Return the names of the links, blocks and first convolutions of branches that are built."""
    live = spec.liveness()
    names = [link.name for link in live.links]
    names += [block.name for block in spec.live_blocks]
    for stage in range(FIRST_STAGE, spec.last_stage + 1):
        if BranchModule(stage, 0, stage - 1) in live.branches:
            names.append(f"transition{stage - 1}_branch{stage - 1}")
    return names


def multiply_adds_cost_model(spec: HRNetSpec, head: int | None = None) -> CostModel:
    """Return the cost model in multiply-adds, by the closed form of `hrnet_tf.spec.complexity`.

    Args:
        spec: A network; the cost model is that of its full network and all networks pruned from it.
        head: Multiply-adds of everything outside of the trunk, see `head_multiply_adds`; None for those of the spec's head.
    """
    members = convolutions(spec)
    if head is None:
        fixed = complexity(spec).multiply_adds - sum(convolution.multiply_adds for convolution in members)
    else:
        fixed = head - sum(convolution.multiply_adds for convolution in members if convolution.part == HEAD)
    return CostModel(MULTIPLY_ADDS, fixed, lambda convolution: convolution.multiply_adds)


def head_multiply_adds(model: KerasModel) -> int:
    """Return the multiply-adds of the layers of a model outside of its trunk, for one image.

    As in the papers, those of convolutions and dense layers are counted: of any layer, those of its kernels.

    Args:
        model: A functional Keras model that contains an HRNet.

    Example:
        >>> from hrnet_tf.networks import HRNet
        >>> head_multiply_adds(HRNet("pose-small-v1", input_size=64, outputs=5)) == 16 * 16 * 16 * 5
        True
    """
    count = 0
    for call in layer_calls(model):
        if isinstance(call.layer, keras.layers.Layer) and not LAYER.fullmatch(call.layer.name):
            is_transposed = type(call.layer).__name__.endswith("Transpose")  # its kernel is applied at each input position
            positions = math.prod((call.inputs if is_transposed else call.outputs)[0].shape[1:-1])
            kernels = (weight.shape for weight in call.layer.weights if "kernel" in weight.name)
            count += positions * sum(map(math.prod, kernels))
    return count


def latency_cost_model(spec: HRNetSpec, *profiles: ProfileResult) -> CostModel:
    """Return the cost model in milliseconds on a profiled device.

    Args:
        spec: A network; the cost model is that of its full network and all networks pruned from it.
        profiles: Profiles on the device: one of the full network, any number of narrower ones with all links and blocks, and any
            number of pruned ones, which calibrate the model.

    Raises:
        HRNetError: A profile is of another network, or none is of the full network.
    """
    full, specs = spec.full(), [profiled_spec(spec, profiled) for profiled in profiles]
    if specs.count(full) != 1:
        listed = ", ".join(profiled.model for profiled in profiles)
        raise HRNetError(f"`profile`: exactly one must be of the full network, got {specs.count(full)} in {listed}")
    full_ms = profiles[specs.index(full)].measured_ms
    by_spec = dict(zip(specs, profiles, strict=True))
    connected = {narrow: profiled for narrow, profiled in by_spec.items() if is_connected(narrow)}
    measured = {narrow: measured_convolutions(narrow, profiled) for narrow, profiled in connected.items()}
    attributed = math.fsum(convolution.ms + convolution.beside_ms for convolution in measured[full].values())
    fixed = max(full_ms - attributed, 0.0)  # below 0 by rounding alone
    model = CostModel(MILLISECONDS, fixed, ConvolutionLatency(measured[full], list(measured.values())))
    pruned = {smaller: profiled.measured_ms / full_ms for smaller, profiled in by_spec.items() if smaller not in connected}
    return model.calibrated(full, pruned)


def is_connected(spec: HRNetSpec) -> bool:
    """Whether a network has all its links and blocks."""
    return not spec.removed_links and not spec.removed_blocks


def profiled_spec(spec: HRNetSpec, profiled: ProfileResult) -> HRNetSpec:
    """Return the network of a profile: the full network of `spec`, or one that is narrower or pruned.

    Raises:
        HRNetError: The profile is of another network.
    """
    network = json.loads(json.dumps((profiled.network or {}).get("spec")))
    if not isinstance(network, dict):
        raise HRNetError(f"`profile` of {profiled.model} names no network; profile a file from `hrnet convert`")
    expected = json.loads(json.dumps(spec.full().to_json()))
    for name in PROFILED:
        if network.get(name) != expected[name]:
            raise HRNetError(
                f"`profile` of {profiled.model} is of another network: "
                f"its {name} is {brief(network.get(name))}, not {expected[name]}"
            )
    removed = {name: network.get(name, {} if name == "widths" else []) for name in ("removed_links", "removed_blocks", "widths")}
    try:
        return HRNetSpec.from_json({**expected, **removed})
    except HRNetError as error:
        raise HRNetError(f"`profile` of {profiled.model}: {error}") from error


def narrower(spec: HRNetSpec, share: float) -> HRNetSpec:
    """Return the full network with that share of the channels in every group, at least one."""
    full = spec.full()
    return full.with_widths({group: max(1, round(share * width)) for group, width in full.full_widths.items()})


def profile_network(
    spec: HRNetSpec,
    build: CandidateFactory = build_folded,
    *,
    threads: int = 1,
    precision: str = "int8",
    rounds: int = ROUNDS,
    progress: bool = True,
) -> ProfileResult:
    """Profile a network on this machine, with untrained weights: latency does not depend on them.

    Args:
        spec: The network.
        build: Makes the Keras model of a network.
        threads: Number of threads.
        precision: "int8" or "float32".
        rounds: Number of timed runs.
        progress: Whether to show a progress bar.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{spec.name}.tflite")
        with working("converting a network to profile", show=progress):
            path.write_bytes(untrained_files(build(spec), precision)[0])
        measured = profile(path, Backend(threads=threads), rounds=rounds, progress=progress)
    return dataclasses.replace(measured, network=network_description(spec))
