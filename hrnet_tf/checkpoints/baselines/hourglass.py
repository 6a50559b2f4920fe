"""The names of stacked hourglasses in two repositories: bearpaw/pytorch-pose, and the authors' PyTorch code."""

from __future__ import annotations

from collections.abc import Callable

from hrnet_tf.checkpoints.baselines.layout import Layout, Rule
from hrnet_tf.checkpoints.shapes import count, rows
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.spec.baselines.base import BaselineSpec, named
from hrnet_tf.spec.baselines.hourglass import LEVELS, HourglassSpec
from hrnet_tf.spec.baselines.simple_baseline import COCO_SIZE

BEARPAW_HEATMAPS, AUTHORS_HEATMAPS = "score.0.weight", "outs.0.conv.weight"


def _residual(layers: str, official: str, *, conv: str = "", shortcut: str = "downsample.0") -> tuple[Rule, ...]:
    """The rules of a residual unit, whose BatchNorm precedes its convolutions: that of the second follows the first."""
    return (
        Rule(f"{layers}_norm", norm=f"{official}.bn1"),
        Rule(f"{layers}_conv1", f"{official}.conv1{conv}", f"{official}.bn2"),
        Rule(f"{layers}_conv2", f"{official}.conv2{conv}", f"{official}.bn3"),
        Rule(f"{layers}_conv3", f"{official}.conv3{conv}"),
        Rule(f"{layers}_shortcut_conv1", f"{official}.{shortcut}"),
    )


def _authors_residual(layers: str, official: str) -> tuple[Rule, ...]:
    return _residual(layers, official, conv=".conv", shortcut="skip_layer.conv")


def _network(stacks: str, heatmaps: str, width: str, stem_width: str) -> Callable[[Arrays], BaselineSpec]:
    """A function that returns the network of arrays, from the names of its stacks and the entries whose rows are its sizes."""

    def infer(arrays: Arrays) -> BaselineSpec:
        return named(
            HourglassSpec(
                name="hourglass",
                input_size=COCO_SIZE,
                classes=rows(arrays, heatmaps),
                stacks=count(arrays, stacks),
                width=rows(arrays, width),
                stem_width=rows(arrays, stem_width),
            )
        )

    return infer


BEARPAW = Layout(
    name="bearpaw",
    kind=HourglassSpec,
    matches=lambda arrays: "hg.0.hg.3.0.0.bn1.weight" in arrays,
    infer=_network(r"score\.(\d+)\.", BEARPAW_HEATMAPS, "fc.0.0.weight", "layer2.0.conv3.weight"),
    classes=BEARPAW_HEATMAPS,
    rules=(
        Rule("stem_conv1", "conv1", "bn1"),
        *_residual(r"stem_residual(\d)", r"layer\1.0"),
        *_residual(r"stack(\d+)_level(\d)_residual(\d)", r"hg.\1.hg.\2.\3.0"),
        *_residual(r"stack(\d+)_residual", r"res.\1.0"),
        Rule(r"stack(\d+)_features_conv1", r"fc.\1.0", r"fc.\1.1"),
        Rule(r"stack(\d+)_heatmaps", r"score.\1"),
        Rule(r"stack(\d+)_remap_features_conv1", r"fc_.\1"),
        Rule(r"stack(\d+)_remap_heatmaps_conv1", r"score_.\1"),
    ),
    note="the weights of bearpaw/pytorch-pose expect images in 0..1 minus the mean of MPII, not divided by a standard deviation",
)

_PLACES = ("up1", "low1", "low3", "low2")  # of the residual units of a level, by their number

AUTHORS = Layout(
    name="authors",
    kind=HourglassSpec,
    matches=lambda arrays: "hgs.0.0.up1.bn1.weight" in arrays,
    infer=_network(r"outs\.(\d+)\.", AUTHORS_HEATMAPS, "features.0.1.conv.weight", "pre.3.conv3.conv.weight"),
    classes=AUTHORS_HEATMAPS,
    rules=(
        Rule("stem_conv1", "pre.0.conv", "pre.0.bn"),
        *(
            rule
            for number, place in ((1, 1), (2, 3), (3, 4))  # pre.2 is the pooling
            for rule in _authors_residual(f"stem_residual{number}", f"pre.{place}")
        ),
        *(
            rule
            for level in range(LEVELS)
            for number, place in enumerate(_PLACES)
            for rule in _authors_residual(
                rf"stack(\d+)_level{level}_residual{number}", rf"hgs.\1.0.{'low2.' * (LEVELS - 1 - level)}{place}"
            )
        ),
        *_authors_residual(r"stack(\d+)_residual", r"features.\1.0"),
        Rule(r"stack(\d+)_features_conv1", r"features.\1.1.conv", r"features.\1.1.bn"),
        Rule(r"stack(\d+)_heatmaps", r"outs.\1.conv"),
        Rule(r"stack(\d+)_remap_features_conv1", r"merge_features.\1.conv.conv"),
        Rule(r"stack(\d+)_remap_heatmaps_conv1", r"merge_preds.\1.conv.conv"),
    ),
    ignored=r".*\.skip_layer\.conv\.(weight|bias)",  # in every unit, but used only where widths differ
    note="the weights of the authors expect images in 0..1, without a mean or a standard deviation",
)
