"""BatchNorm folded into the convolution before it: the same function with half the layers."""

from __future__ import annotations

import re

import numpy as np

from hrnet_tf.backend.types import Weights
from hrnet_tf.models.layers import DECONVOLUTION
from hrnet_tf.models.normalization import BATCH_NORM
from mobile_eval.errors import HRNetError


def fold_batch_norm(weights: Weights) -> Weights:
    """Weights of `build_model(spec)` made into those of `build_model(spec, folded=True)`.

    With scale = gamma / sqrt(variance + epsilon): kernel * scale, and bias = beta + (bias - mean) * scale.
    The output channels are a kernel's last axis, of a transposed convolution (`deconvolution*`) the last but one.
    """
    folded = {name: array for name, array in weights.items() if not re.search(r"_bn\d+/", name)}
    for name in weights:
        match = re.fullmatch(r"(.*)_bn(\d+)/gamma", name)
        if match is None:
            continue
        norm, conv = name.removesuffix("/gamma"), f"{match[1]}_conv{match[2]}"
        needed = [f"{norm}/{part}" for part in ("beta", "moving_mean", "moving_variance")]
        for entry in (*needed, f"{conv}/kernel"):
            if entry not in weights:
                raise HRNetError(f"the weights hold {name} but no {entry}: they are damaged")
        for entry in needed:
            if weights[entry].shape != weights[name].shape:
                raise HRNetError(
                    f"{entry} has shape {weights[entry].shape}, expected {weights[name].shape}: the weights are damaged"
                )
        gamma, beta, mean, variance = (
            weights[f"{norm}/{part}"].astype(np.float64) for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + BATCH_NORM["epsilon"])
        kernel_scale = scale[:, None] if conv.startswith(DECONVOLUTION) else scale
        folded[f"{conv}/kernel"] = (weights[f"{conv}/kernel"] * kernel_scale).astype(np.float32)
        bias = weights.get(f"{conv}/bias", np.zeros_like(beta)).astype(np.float64)
        folded[f"{conv}/bias"] = (beta + (bias - mean) * scale).astype(np.float32)
    return folded
