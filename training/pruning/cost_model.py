"""Cost of a network by its convolutions: in multiply-adds, or in milliseconds on a profiled device.

Each convolution that is built costs what it does at its widths, so removing links also saves what becomes unreachable.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class CostModel:
    """Cost of a network as the sum over its convolutions, each at its widths.

    Attributes:
        unit: Unit of the costs: "ms" or "multiply-adds".
        fixed: Cost of everything that no width and no unit changes.
        price: Cost of a convolution, with what runs beside it.
    """

    unit: str
    fixed: float
    price: Price = field(repr=False)
    _by_widths: dict[HRNetSpec, _PartCosts] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cost(self, spec: HRNetSpec) -> float:
        """Return the cost of a network. Raises HRNetError, naming the convolution, if the model does not know one of them."""
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


def latency_cost_model(spec: HRNetSpec, *profiles: ProfileResult, ratios: Mapping[HRNetSpec, float] | None = None) -> CostModel:
    """Return the cost model in milliseconds on a profiled device.

    The full network costs what was measured. The latencies of all others calibrate the model.

    Args:
        spec: A network; the cost model is that of its full network and all networks pruned from it.
        profiles: Profiles on the device: one of the full network, any number of narrower ones with all links and blocks, and any
            number of pruned ones.
        ratios: Measured latency of further smaller networks over that of the full one.

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
    latency = ConvolutionLatency(measured[full], list(measured.values()))
    smaller = {other: profiled.measured_ms / full_ms for other, profiled in by_spec.items() if other != full}
    if smaller := {**smaller, **(ratios or {})}:
        latency = latency.calibrated(full, full_ms, fixed, smaller)
        fixed *= float(latency.coefficients[0])
    return CostModel(MILLISECONDS, fixed, latency)


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
