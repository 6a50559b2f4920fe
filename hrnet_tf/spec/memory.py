"""Memory of a network's activations, and the batch size that a memory budget allows.

Ranking, validation, BatchNorm statistics, quantization and conversion all take their batch size from `batch_size_for`, and keep
examples in memory only as far as they fit into the same budget.
"""

from __future__ import annotations

import re

from hrnet_tf.spec.activations import activation_parts
from hrnet_tf.spec.architectures import Network
from mobile_eval.errors import HRNetError

FLOAT_BYTES = 4
UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
UNITS |= {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
MEMORY_BUDGET = 2**30  # bytes


def parse_memory(text: str) -> int:
    """Return the bytes of a size such as 1GiB, 512MiB, 1.5 GB or 1000000.

    Raises:
        HRNetError: If the text is not a positive size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]*)\s*", text)
    unit = UNITS.get(match[2].upper()) if match else None
    size = int(float(match[1]) * unit) if match and unit else 0
    if size < 1:
        raise HRNetError(f"`memory_budget` must be a positive size with a unit, such as 1GiB or 512MiB, got {text!r}")
    return size


def activation_bytes(spec: Network) -> int:
    """Return the bytes of the input and all layers' outputs for one image, in float32."""
    parts = list(activation_parts(spec))
    return FLOAT_BYTES * (parts[0].inputs + sum(part.outputs for part in parts))


def live_bytes(spec: Network) -> int:
    """Return the peak bytes of activations in memory when one image is run for inference, in float32."""
    return FLOAT_BYTES * max(part.live for part in activation_parts(spec))


def batch_size_for(spec: Network, budget_bytes: int = MEMORY_BUDGET, *, most: int, training: bool = False) -> int:
    """Return how many images fit into a memory budget at a time.

    Args:
        spec: The network.
        budget_bytes: The memory budget in bytes.
        most: The largest batch size to return.
        training: Whether every layer's output is kept for its gradient.

    Returns:
        The batch size, at least 1 and at most `most`.

    Example:
        >>> from hrnet_tf.spec.presets import preset
        >>> batch_size_for(preset("segment-w48"), 2**30, most=64)
        1
    """
    image_bytes = activation_bytes(spec) if training else live_bytes(spec)
    return max(min(most, budget_bytes // image_bytes), 1)
