"""The head of HRNet-OCR (arXiv 1909.11065), as HRNet/HRNet-Semantic-Segmentation builds it, written in layers.

Soft regions, one for each class, gather the features of their pixels to one vector each. Every pixel attends to these vectors,
and is classified by its features and what it has attended to.
"""

from __future__ import annotations

from hrnet_tf.spec.baselines.base import AuxiliaryOutput
from hrnet_tf.spec.baselines.layers import Layers, T
from hrnet_tf.spec.baselines.trace import Maps, Trace, traced_layers
from hrnet_tf.spec.network import HRNetSpec

LOGITS, REGIONS = "head_logits", "head_regions"  # layers of the outputs
DROPOUT = 0.05
REGIONS_OUTPUT = AuxiliaryOutput(0.4)  # the regions are trained as logits, too


def object_context_head(layers: Layers[T], gathered: T, mixed: int, features: int, classes: int) -> tuple[T, T]:
    """Build the head.

    Args:
        layers: Builds or counts layers.
        gathered: The concatenated branches at stride 4, (N, H/4, W/4, C).
        mixed: Number of channels that the regions are computed from.
        features: Number of features of a pixel and of a region, 512 in the paper; queries, keys and values have half of it.
        classes: Number of classes.

    Returns:
        Logits and regions, both (N, H/4, W/4, classes).
    """
    regions = layers.output_conv(layers.conv(gathered, mixed, 1, "head_mix", bias=True), classes, REGIONS)
    pixels = layers.conv(gathered, features, 3, "head_pixels", bias=True)
    objects = layers.region_means(pixels, regions, "head_objects")
    inner = max(1, features // 2)
    query, key = (
        layers.conv(layers.conv(x, inner, 1, name, index=1), inner, 1, name, index=2)
        for x, name in ((pixels, "head_query"), (objects, "head_key"))
    )
    context = layers.attention(query, key, layers.conv(objects, inner, 1, "head_value"), "head_attention")
    context = layers.conv(context, features, 1, "head_context")
    x = layers.conv(layers.concat([context, pixels], "head_joined"), features, 1, "head_fuse")
    return layers.output_conv(layers.dropout(x, DROPOUT, "head_dropout", channels=True), classes, LOGITS), regions


def traced_head(spec: HRNetSpec) -> Trace:
    """Return the layers of the head behind the concatenated branches."""
    widths = spec.full_gathered_channels, spec.head_channels, spec.classes
    gathered = Maps(spec.gathered_channels, spec.resolution(0))
    return traced_layers(gathered, lambda layers, x: object_context_head(layers, x, *widths))
