"""Cost of a network by its links and blocks: in multiply-adds, or in milliseconds on a profiled device.

The cost of a spec is the sum over the parts that are built, so removing links also saves what becomes unreachable.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hrnet_tf.backend.graph import layer_calls
from hrnet_tf.backend.keras_module import keras
from hrnet_tf.backend.types import KerasModel
from hrnet_tf.models.trunk import LAYER
from hrnet_tf.spec.architectures import network_description
from hrnet_tf.spec.complexity import head_costs, total
from hrnet_tf.spec.convolutions import multiply_adds_by_part
from hrnet_tf.spec.network import FIRST_STAGE, HRNetSpec
from hrnet_tf.spec.units import BranchModule
from mobile_eval.benchmark.latency import ROUNDS
from mobile_eval.benchmark.profile import ProfileResult, profile
from mobile_eval.errors import HRNetError
from mobile_eval.progress import working
from mobile_eval.runtime.backend import Backend
from mobile_eval.typed import brief
from training.pruning.candidate_latency import CandidateFactory, build_folded, untrained_files

MILLISECONDS, MULTIPLY_ADDS = "ms", "multiply-adds"
PROFILED = (  # entries of a spec that the profile of its full network depends on
    "width", "input_size", "stages", "stem_width", "stage1_blocks", "stage1_width", "task", "block", "head", "head_width",
    "head_branches",
)  # fmt: skip


@dataclass(frozen=True)
class CostModel:
    """Cost of the parts of a network.

    Attributes:
        unit: Unit of the costs: "ms" or "multiply-adds".
        fixed: Cost of the parts that cannot be removed.
        parts: Cost of each removable part, by name.
    """

    unit: str
    fixed: float
    parts: Mapping[str, float] = field(repr=False)

    def cost(self, spec: HRNetSpec) -> float:
        """Return the cost of a network. Raises HRNetError, naming the part, if the model does not know one of its parts."""
        return self.fixed + sum(self._part(name) for name in removable_parts(spec))

    def _part(self, name: str) -> float:
        if name not in self.parts:
            raise HRNetError(f"`profile` is of another network: it has no {name}; profile the full one")
        return self.parts[name]


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
    full = spec.full()
    every = multiply_adds_by_part(full)
    parts: dict[str, float] = {name: every[name] for name in removable_parts(full)}
    outside = total(head_costs(full).values()).multiply_adds if head is None else head
    fixed = sum(every.values()) - every.get("head", 0) - sum(parts.values()) + outside
    return CostModel(MULTIPLY_ADDS, fixed, parts)


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


def latency_cost_model(spec: HRNetSpec, profiled: ProfileResult) -> CostModel:
    """Return the cost model in milliseconds on a profiled device.

    Each link includes the time of its addition at the target. The operators of a profile do not quite add up to the time of the
    network: the time between operators is distributed equally among them, and if their sum is larger, all are scaled down.

    Args:
        spec: A network; the cost model is that of its full network and all networks pruned from it.
        profiled: Profile of the full network on the device.

    Raises:
        HRNetError: The profile is of another network, or of a pruned one.
    """
    check_profile(spec, profiled)
    full, scale = spec.full(), min(profiled.measured_ms / profiled.sum_ms, 1.0)
    between_ms = max(profiled.measured_ms - profiled.sum_ms, 0.0) / len(profiled.operators)
    measured: dict[str, float] = defaultdict(float)
    for operator in profiled.operators:
        measured[operator.part] += operator.ms * scale + between_ms
    into = Counter((link.stage, link.module, link.target) for link in full.links)
    parts: dict[str, float] = {}
    for link in full.links:
        sums = measured[f"stage{link.stage}_module{link.module}_fuse{link.target}"]
        parts[link.name] = measured[link.name] + sums / into[link.stage, link.module, link.target]
    parts |= {block.name: measured[block.name] for block in full.possible_blocks}
    starts = {f"transition{stage - 1}_branch{stage - 1}" for stage in range(FIRST_STAGE, full.last_stage + 1)}
    parts |= {name: measured[name] for name in starts}
    return CostModel(MILLISECONDS, profiled.measured_ms - sum(parts.values()), parts)


def check_profile(spec: HRNetSpec, profiled: ProfileResult) -> None:
    """Raise HRNetError unless `profiled` is of the full network of `spec`."""
    expected = json.loads(json.dumps(spec.full().to_json()))
    network = json.loads(json.dumps((profiled.network or {}).get("spec")))
    if not isinstance(network, dict):
        raise HRNetError(f"`profile` of {profiled.model} names no network; profile a file from `hrnet convert`")
    for name in PROFILED:
        if network.get(name) != expected[name]:
            raise HRNetError(
                f"`profile` of {profiled.model} is of another network: "
                f"its {name} is {brief(network.get(name))}, not {expected[name]}"
            )
    if network.get("removed_links") or network.get("removed_blocks"):
        raise HRNetError(f"`profile` of {profiled.model} is of a pruned network; profile the full one")


def profile_full_network(
    spec: HRNetSpec,
    build: CandidateFactory = build_folded,
    *,
    threads: int = 1,
    precision: str = "int8",
    rounds: int = ROUNDS,
    progress: bool = True,
) -> ProfileResult:
    """Profile the full network of `spec` on this machine, with untrained weights: latency does not depend on them.

    Args:
        spec: A network.
        build: Makes the Keras model of a network.
        threads: Number of threads.
        precision: "int8" or "float32".
        rounds: Number of timed runs.
        progress: Whether to show a progress bar.
    """
    full = spec.full()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{spec.name}.tflite")
        with working("converting the full network", show=progress):
            path.write_bytes(untrained_files(build(full), precision)[0])
        measured = profile(path, Backend(threads=threads), rounds=rounds, progress=progress)
    return dataclasses.replace(measured, network=network_description(full))
