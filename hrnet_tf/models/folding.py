"""Fold BatchNorm into the convolution before it: the same function with half the layers."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import Weights
from hrnet_tf.models.layers import BATCH_NORM, DECONVOLUTION
from mobile_eval.errors import HRNetError

NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def fold_batch_norm(weights: Weights) -> Weights:
    """Fold BatchNorm into the convolutions of a network's weights.

    With scale = gamma / sqrt(variance + epsilon), the kernel becomes kernel * scale, and the bias becomes
    beta + (bias - mean) * scale. The output channels are the last axis of a kernel, and the last but one of a transposed
    convolution's (`deconvolution*`).

    Args:
        weights: Weights of `build_model(spec)`.

    Returns:
        Weights of `build_model(spec, folded=True)`.

    Raises:
        HRNetError: If an array is missing or has a wrong shape.
    """
    folded = {name: array for name, array in weights.items() if not re.search(r"_bn\d+/", name)}
    for name in weights:
        match = re.fullmatch(r"(.*)_bn(\d+)/gamma", name)
        if match is None:
            continue
        norm, conv = name.removesuffix("/gamma"), f"{match[1]}_conv{match[2]}"
        gamma, beta, mean, variance = _norm_arrays(weights, norm, conv)
        scale = gamma / np.sqrt(variance + BATCH_NORM["epsilon"])
        kernel_scale = scale[:, None] if conv.startswith(DECONVOLUTION) else scale
        folded[f"{conv}/kernel"] = (weights[f"{conv}/kernel"] * kernel_scale).astype(np.float32)
        bias = weights.get(f"{conv}/bias", np.zeros(beta.shape, np.float32)).astype(np.float64)
        folded[f"{conv}/bias"] = (beta + (bias - mean) * scale).astype(np.float32)
    return folded


def _norm_arrays(weights: Weights, norm: str, conv: str) -> list[NDArray[np.float64]]:
    """The arrays `NORM_PARTS` of a BatchNorm layer, each of the shape of gamma; `conv` is the convolution before it."""
    names = [f"{norm}/{part}" for part in NORM_PARTS]
    for name in (*names, f"{conv}/kernel"):
        if name not in weights:
            raise HRNetError(f"the weights are damaged: they have {names[0]} but not {name}")
    shape = weights[names[0]].shape
    for name in names:
        if weights[name].shape != shape:
            raise HRNetError(f"the weights are damaged: {name} must have shape {shape}, got {weights[name].shape}")
    return [weights[name].astype(np.float64) for name in names]
