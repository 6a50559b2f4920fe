"""How much memory a network needs, and so how many images it is given at a time: one rule for all that runs a network.

Ranking, validation, BatchNorm's statistics, quantization and conversion take their batches from `batch_size_for`, and keep
examples in memory only while these fit into the same budget.
"""

from __future__ import annotations

import re

from hrnet_tf.models.build import Network
from hrnet_tf.spec.activations import Part, hrnet_parts
from hrnet_tf.spec.baseline import SimpleBaselineSpec
from hrnet_tf.spec.baseline_activations import baseline_parts
from mobile_eval.errors import HRNetError

FLOAT_BYTES = 4
UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
UNITS |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
MEMORY_BUDGET = 2**30  # bytes


def parse_memory(text: str) -> int:
    """Bytes of a size such as 1GiB, 512MiB, 1.5 GB or 1000000."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", text)
    unit = UNITS.get(match[2].upper()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise HRNetError(f"memory budget {text!r}: expected a size above 0 with its unit, such as 1GiB or 512MiB")
    return size


def activation_bytes(spec: Network) -> int:
    """Bytes of all layers' outputs for one image, the image itself among them, float32."""
    parts = _parts(spec)
    return FLOAT_BYTES * (parts[0].held + sum(part.outputs for part in parts))


def live_bytes(spec: Network) -> int:
    """Bytes of layers' outputs that are in memory at once, at most, where a network is run for one image without training."""
    return FLOAT_BYTES * max(part.live for part in _parts(spec))


def batch_size_for(spec: Network, budget_bytes: int = MEMORY_BUDGET, *, most: int, training: bool = False) -> int:
    """How many images of the budget fit into memory at a time: at least 1, at most `most`.

    In `training` every layer's output is kept for its gradient.
    """
    needed = activation_bytes(spec) if training else live_bytes(spec)
    return max(min(most, budget_bytes // needed), 1)


def _parts(spec: Network) -> list[Part]:
    return list(baseline_parts(spec) if isinstance(spec, SimpleBaselineSpec) else hrnet_parts(spec))
