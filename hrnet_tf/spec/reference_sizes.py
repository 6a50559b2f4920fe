"""Published sizes of the networks, each with its source and the rule by which it was counted.

They are for comparison with the counts of this package, which do not depend on them. What the papers call
GFLOPs are multiply-adds of convolutions and dense layers, nearly always divided by 2**30.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.complexity import complexity
from hrnet_tf.spec.cost import Cost
from hrnet_tf.spec.detection import PAPER_PROPOSALS
from hrnet_tf.spec.presets import customized, preset
from mobile_eval.typed import JsonObject, Size

QUANTITIES = ("parameters", "multiply-adds")
CLOSE_PERCENT = 1.0


@dataclass(frozen=True)
class Rule:
    """How a published number is derived from a network's cost.

    Attributes:
        quantity: "parameters" or "multiply-adds".
        text: The rule in words.
        divisor: What the count is divided by.
        with_norm: Whether the parameters of BatchNorm count.
        deconvolution_factor: Factor by which the multiply-adds of transposed convolutions are counted.
    """

    quantity: str
    text: str
    divisor: float
    with_norm: bool = True
    deconvolution_factor: int = 1

    def value(self, cost: Cost) -> float:
        """Return the number that this rule gives for `cost`."""
        if self.quantity == "parameters":
            return (cost.parameters - (0 if self.with_norm else cost.norm_parameters)) / self.divisor
        excess = (self.deconvolution_factor - 1) * cost.deconvolution_multiply_adds
        return (cost.multiply_adds + excess) / self.divisor


PARAMETERS = Rule("parameters", "/ 1e6", 1e6)
PARAMETERS_WITHOUT_NORM = Rule("parameters", "without BatchNorm's, / 2^20", 2**20, with_norm=False)
GIMACS = Rule("multiply-adds", "/ 2^30", 2**30)
GMACS = Rule("multiply-adds", "/ 1e9", 1e9)
# The official profiler multiplies the weights of every convolution by its output's size.
DECONVOLUTIONS_AT_OUTPUT = Rule("multiply-adds", "with deconvolutions at output size, / 2^30", 2**30, deconvolution_factor=4)
DECONVOLUTIONS_AT_OUTPUT_GMACS = Rule("multiply-adds", "with deconvolutions at output size, / 1e9", 1e9, deconvolution_factor=4)
WITH_PROPOSALS = Rule("multiply-adds", f"with {PAPER_PROPOSALS} proposals, / 2^30", 2**30)
USUAL_RULES = (PARAMETERS, GIMACS)


@dataclass(frozen=True)
class Figure:
    """A published number of a preset.

    Attributes:
        name: Name of the preset.
        input_size: (height, width) in pixels.
        printed: The number as it is printed.
        rule: How it was counted.
        source: Where it is published.
        classes: Number of joints, landmarks or classes, if not that of the preset.
        note: Why the count of this package differs by more than the rounding, if it does.
    """

    name: str
    input_size: Size
    printed: str
    rule: Rule
    source: str
    classes: int | None = None
    note: str = ""

    @property
    def digits(self) -> int:
        """Number of printed decimals."""
        return len(self.printed.partition(".")[2])


@dataclass(frozen=True)
class Comparison:
    """A published number and the count of this package by the same rule.

    Attributes:
        figure: The published number.
        ours: The count of this package.
        difference_percent: Their difference in percent of the published number.
    """

    figure: Figure
    ours: float
    difference_percent: float

    @property
    def reproduced(self) -> bool:
        """Whether the numbers differ by at most 1 %, or `ours` rounds to the printed digits."""
        printed = self.figure.printed
        return abs(self.difference_percent) <= CLOSE_PERCENT or f"{self.ours:.{self.figure.digits}f}" == printed

    def to_json(self) -> JsonObject:
        """Return plain data."""
        figure = self.figure
        return {
            "quantity": figure.rule.quantity,
            "printed": float(figure.printed),
            "ours": self.ours,
            "difference_percent": self.difference_percent,
            "reproduced": self.reproduced,
            "rule": figure.rule.text,
            "input_size": list(figure.input_size),
            "classes": figure.classes or preset(figure.name).classes,
            "source": figure.source,
            "note": figure.note,
        }


def compare_figure(figure: Figure) -> Comparison:
    """Count the network of a published number by the same rule, and compare."""
    spec: Network = customized(preset(figure.name), input_size=figure.input_size)
    ours = figure.rule.value(complexity(dataclasses.replace(spec, classes=figure.classes or spec.classes)))
    printed = float(figure.printed)
    return Comparison(figure, ours, 100 * (ours - printed) / printed)


def figures_of(name: str, input_size: Size | None = None) -> list[Figure]:
    """Return the published numbers of a preset, the usual one of each quantity and size first.

    Args:
        name: Name of the preset.
        input_size: Only numbers at this (height, width); None for all.
    """
    return [figure for figure in FIGURES if figure.name == name and input_size in (None, figure.input_size)]


def _row(
    source: str,
    name: str,
    input_size: Size,
    parameters: str,
    multiply_adds: str,
    *,
    rules: tuple[Rule, Rule] = USUAL_RULES,
    classes: int | None = None,
    notes: tuple[str, str] = ("", ""),
) -> list[Figure]:
    """A row of a published table; an empty number is not published."""
    columns = zip((parameters, multiply_adds), rules, notes, strict=True)
    return [Figure(name, input_size, printed, rule, source, classes, note) for printed, rule, note in columns if printed]


_POSE, _POSE_LARGE, _CITYSCAPES, _IMAGENET, _COCO = (256, 192), (384, 288), (1024, 2048), (224, 224), (800, 1216)
_PAPER = "arXiv 1908.07919"
_SEGMENTATION_README = "README of HRNet-Semantic-Segmentation"
_CLASSIFICATION_README = "README of HRNet-Image-Classification"
_BASELINE_README = "README of human-pose-estimation.pytorch"
_BASELINE_RULES = (PARAMETERS, DECONVOLUTIONS_AT_OUTPUT)
_DETECTION_RULES = (PARAMETERS_WITHOUT_NORM, WITH_PROPOSALS)
_CUT = "8.99 cut to 8.9"
_SCALED = "2.25 times the cut 8.9 of 256x192"
_W40 = "no rule or variant of W40 gives 45.2 and 493.2; the papers' other W40 rows are reproduced"
_DECODER = "no known decoder has both; with segmentation-models-pytorch's head, 43.46 and 1468.2"
_AUXILIARY = "2021.8 with the auxiliary head, which only training needs"
_HOURGLASS = "no variant has both: without the residual unit after each hourglass, 23.7 and 14.3; arXiv 1711.07319 prints 19.48"
_V1 = "9.3 fits HRNetV1-W18 (9.32); the multiply-adds are V2's"
_AFLW = "4.29 with AFLW's 19 landmarks in place of WFLW's 98"

FIGURES: tuple[Figure, ...] = tuple(
    figure
    for row in (
        _row(_PAPER, "pose-w32", _POSE, "28.5", "7.10"),
        _row(_PAPER, "pose-w32", _POSE_LARGE, "28.5", "16.0"),
        _row(f"{_PAPER}, MPII", "pose-w32", (256, 256), "28.5", "9.5", classes=16),
        _row(_PAPER, "pose-w48", _POSE, "63.6", "14.6"),
        _row(_PAPER, "pose-w48", _POSE_LARGE, "63.6", "32.9"),
        _row(_PAPER, "simple-baseline-r50", _POSE, "34.0", "8.90", rules=_BASELINE_RULES, notes=("", _CUT)),
        _row(_PAPER, "simple-baseline-r101", _POSE, "53.0", "12.4", rules=_BASELINE_RULES),
        _row(_PAPER, "simple-baseline-r152", _POSE, "68.6", "15.7", rules=_BASELINE_RULES),
        _row(_PAPER, "simple-baseline-r152", _POSE_LARGE, "68.6", "35.6", rules=_BASELINE_RULES),
        _row(_BASELINE_README, "simple-baseline-r50", _POSE_LARGE, "34.0", "20.0", rules=_BASELINE_RULES, notes=("", _SCALED)),
        _row(_BASELINE_README, "simple-baseline-r101", _POSE_LARGE, "", "27.9", rules=_BASELINE_RULES),
        _row(_BASELINE_README, "simple-baseline-r152", _POSE_LARGE, "", "35.3", rules=_BASELINE_RULES),
        _row(_PAPER, "cpn-r50", _POSE, "27.0", "6.20"),
        _row(_PAPER, "hourglass-8", _POSE, "25.1", "14.3", notes=(_HOURGLASS, _HOURGLASS)),
        _row("arXiv 1711.07319", "hourglass-8", _POSE, "", "19.48"),
        _row(_PAPER, "resnet-38", _IMAGENET, "28.3", "3.80"),
        _row(_PAPER, "resnet-50", _IMAGENET, "25.6", "3.82"),
        _row(_PAPER, "resnet-72", _IMAGENET, "48.4", "7.46"),
        _row(_PAPER, "resnet-101", _IMAGENET, "44.6", "7.30"),
        _row(_PAPER, "resnet-106", _IMAGENET, "64.9", "11.1"),
        _row(_PAPER, "resnet-152", _IMAGENET, "60.2", "10.7"),
        _row(_PAPER, "deeplabv3-r101", _CITYSCAPES, "58.0", "1778.7"),
        _row(_PAPER, "deeplabv3plus-x71", _CITYSCAPES, "43.5", "1444.6", rules=(PARAMETERS, GMACS), notes=("", _DECODER)),
        _row(_PAPER, "pspnet-r101", _CITYSCAPES, "65.9", "2017.6", notes=("", _AUXILIARY)),
        _row(_PAPER, "unetpp-r101", _CITYSCAPES, "59.5", "748.5", rules=(PARAMETERS, DECONVOLUTIONS_AT_OUTPUT_GMACS)),
        _row(_PAPER, "segment-w40", _CITYSCAPES, "45.2", "493.2", notes=(_W40, _W40)),
        _row(_PAPER, "segment-w48", _CITYSCAPES, "65.9", "696.2"),
        _row("arXiv 1904.04514", "segment-w48", _CITYSCAPES, "65.9", "747.3", rules=(PARAMETERS, GMACS)),
        _row(_SEGMENTATION_README, "segment-small-v1", _CITYSCAPES, "1.5", "31.1"),
        _row(_SEGMENTATION_README, "segment-small-v2", _CITYSCAPES, "3.9", "71.6"),
        _row(_PAPER, "landmarks-w18", (256, 256), "9.3", "4.3", notes=(_V1, _AFLW)),
        _row(_PAPER, "frcnn-r50-fpn", _COCO, "39.77", "172.34", rules=_DETECTION_RULES),
        _row(_PAPER, "frcnn-r101-fpn", _COCO, "57.83", "239.37", rules=_DETECTION_RULES),
        _row(_PAPER, "frcnn-x101-64x4d-fpn", _COCO, "94.85", "381.83", rules=_DETECTION_RULES),
        _row(_PAPER, "detect-w18", _COCO, "26.18", "159.06", rules=_DETECTION_RULES),
        _row(_PAPER, "detect-w32", _COCO, "45.04", "245.33", rules=_DETECTION_RULES),
        _row(_PAPER, "detect-w40", _COCO, "60.5", "314.9", rules=_DETECTION_RULES),
        _row(_PAPER, "detect-w48", _COCO, "79.42", "399.12", rules=_DETECTION_RULES),
        _row(_CLASSIFICATION_README, "classify-w18", _IMAGENET, "21.3", "3.99"),
        _row(_CLASSIFICATION_README, "classify-w30", _IMAGENET, "37.7", "7.55"),
        _row(_CLASSIFICATION_README, "classify-w32", _IMAGENET, "41.2", "8.31"),
        _row(_CLASSIFICATION_README, "classify-w40", _IMAGENET, "57.6", "11.8"),
        _row(_CLASSIFICATION_README, "classify-w44", _IMAGENET, "67.1", "13.9"),
        _row(_CLASSIFICATION_README, "classify-w48", _IMAGENET, "77.5", "16.1"),
        _row(_CLASSIFICATION_README, "classify-w64", _IMAGENET, "128.1", "26.9"),
        _row(_CLASSIFICATION_README, "classify-small-v1", _IMAGENET, "13.2", "1.49"),
        _row(_CLASSIFICATION_README, "classify-small-v2", _IMAGENET, "15.6", "2.42"),
        _row(_PAPER, "classify-w44-bottleneck", _IMAGENET, "21.9", "3.90"),
        _row(_PAPER, "classify-w76-bottleneck", _IMAGENET, "40.8", "7.30"),
        _row(_PAPER, "classify-w96-bottleneck", _IMAGENET, "57.5", "10.2"),
    )
    for figure in row
)
