"""What a network answers with."""

from __future__ import annotations

from typing import Any

from hrnet_tf._keras import keras


def heatmap_head(x: Any, joints: int) -> Any:
    """One heatmap a joint at stride 4: a 1x1 convolution with bias, (N, H/4, W/4, joints)."""
    return keras.layers.Conv2D(joints, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.001), name="head_heatmaps")(
        x
    )
