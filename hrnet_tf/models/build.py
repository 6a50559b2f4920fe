"""Every network of the package behind one door: HRNets, and what they are compared with.

Light to import: TensorFlow waits until a model is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrnet_tf.spec import baseline_complexity as baseline_cost
from hrnet_tf.spec.baseline import SimpleBaselineSpec
from hrnet_tf.spec.complexity import Cost, total
from hrnet_tf.spec.complexity import parts as hrnet_parts
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf.models.layers import OnUnit

Network = HRNetSpec | SimpleBaselineSpec

_ARCHITECTURES: dict[str, type[HRNetSpec] | type[SimpleBaselineSpec]] = {
    "hrnet": HRNetSpec,
    "simple-baseline": SimpleBaselineSpec,
}


def build_model(spec: Network, *, folded: bool = False, gate: OnUnit | None = None) -> Any:
    """The Keras model of `spec`; `folded` builds it with BatchNorm folded into the convolutions.

    `gate`, for HRNets only, is applied to what each fusion link and residual block adds (see `gates`).
    """
    if isinstance(spec, SimpleBaselineSpec):
        if gate:
            raise HRNetError(f"{spec.name} has no fusion links to put gates on")
        from hrnet_tf.models.baselines.simple_baseline import build_simple_baseline

        return build_simple_baseline(spec, folded=folded)
    from hrnet_tf.models.hrnet import build_hrnet

    return build_hrnet(spec, folded=folded, gate=gate)


def parts(spec: Network) -> dict[str, Cost]:
    """The cost of everything that is built, by name, in the order of the network."""
    return baseline_cost.parts(spec) if isinstance(spec, SimpleBaselineSpec) else hrnet_parts(spec)


def complexity(spec: Network) -> Cost:
    """The whole network."""
    return total(parts(spec).values())


def network_description(spec: Network) -> dict[str, Any]:
    """What is built as plain data: shape and connectivity for any reader, and "spec" for those that know this package."""
    return {"architecture": _architecture(spec), **spec.network_description(), "spec": network_to_json(spec)}


def network_to_json(spec: Network) -> dict[str, Any]:
    """Plain data for `spec.json`."""
    return {"architecture": _architecture(spec), **spec.to_json()}


def network_from_json(data: dict[str, Any]) -> Network:
    """The spec that `network_to_json` wrote."""
    if not isinstance(data, dict) or data.get("architecture") not in list(_ARCHITECTURES):
        raise HRNetError(f"not a network: its architecture must be one of {', '.join(_ARCHITECTURES)}")
    rest = {name: value for name, value in data.items() if name != "architecture"}
    return _ARCHITECTURES[data["architecture"]].from_json(rest)


def _architecture(spec: Network) -> str:
    return next(name for name, kind in _ARCHITECTURES.items() if isinstance(spec, kind))
