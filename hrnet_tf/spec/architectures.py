"""The specs of all architectures of the package, as one type and as JSON."""

from __future__ import annotations

from hrnet_tf.spec.baselines.base import AuxiliaryOutput, BaselineSpec
from hrnet_tf.spec.baselines.object_context import REGIONS_OUTPUT
from hrnet_tf.spec.baselines.registry import BASELINES
from hrnet_tf.spec.network import OBJECT_CONTEXT, HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.typed import JsonObject

Network = HRNetSpec | BaselineSpec

_ARCHITECTURES: dict[str, type[HRNetSpec] | type[BaselineSpec]] = {
    "hrnet": HRNetSpec,
    **{kind.architecture: kind for kind in BASELINES},
}


def auxiliary_outputs(spec: Network) -> tuple[AuxiliaryOutput, ...]:
    """Return the outputs of a network that only training needs, in their order."""
    if isinstance(spec, BaselineSpec):
        return spec.auxiliary_outputs
    return (REGIONS_OUTPUT,) if spec.head_kind == OBJECT_CONTEXT else ()


def network_description(spec: Network) -> JsonObject:
    """Describe a network as plain data.

    Returns:
        Shape and connectivity for any reader, and under "spec" the JSON of `network_to_json`.
    """
    return {"architecture": _architecture(spec), **spec.network_description(), "spec": network_to_json(spec)}


def network_to_json(spec: Network) -> JsonObject:
    """Return a spec as plain data for `spec.json`."""
    return {"architecture": _architecture(spec), **spec.to_json()}


def network_from_json(data: JsonObject) -> Network:
    """Return the spec that `network_to_json` wrote.

    Raises:
        HRNetError: If the data are not those of a spec.
    """
    if not isinstance(data, dict) or data.get("architecture") not in list(_ARCHITECTURES):
        raise HRNetError(f"not a network: its architecture must be one of {', '.join(_ARCHITECTURES)}")
    fields = {name: value for name, value in data.items() if name != "architecture"}
    return _ARCHITECTURES[data["architecture"]].from_json(fields)


def _architecture(spec: Network) -> str:
    return next(name for name, kind in _ARCHITECTURES.items() if isinstance(spec, kind))
