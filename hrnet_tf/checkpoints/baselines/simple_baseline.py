"""The names of SimpleBaselines in the authors' repository (microsoft/human-pose-estimation.pytorch) and mmpose."""

from __future__ import annotations

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.baselines.resnet import TRUNK_RULES, trunk_of
from hrnet_tf.checkpoints.shapes import rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.simple_baseline import COCO_SIZE, DECONVOLUTIONS, SimpleBaselineSpec

HEATMAPS = "final_layer.weight"


def _network(arrays: Arrays) -> BaselineSpec:
    return named(
        SimpleBaselineSpec(
            name="simple-baseline",
            input_size=COCO_SIZE,
            classes=rows(arrays, HEATMAPS),
            trunk=trunk_of(arrays),
            deconvolution_width=rows(arrays, "deconv_layers.1.weight"),
        )
    )


SIMPLE_BASELINE = Layout(
    name="official",
    kind=SimpleBaselineSpec,
    matches=lambda arrays: any(name.startswith("deconv_layers.") for name in arrays),
    infer=_network,
    classes=HEATMAPS,
    rules=(
        *TRUNK_RULES,
        *(
            Rule(f"deconvolution{step + 1}_conv1", f"deconv_layers.{3 * step}", f"deconv_layers.{3 * step + 1}")
            for step in range(DECONVOLUTIONS)  # a Sequential of transposed convolution, BatchNorm and ReLU
        ),
        Rule("head_heatmaps", "final_layer"),
    ),
    renames=((r"backbone\.", ""), (r"(keypoint_)?head\.", "")),  # mmpose's
)
