"""HRNet for Keras: training, pruning of fusion links, quantization and conversion for edge devices.

Everything that a user types is a name of this package. A name is imported when it is first used, so that a device without
TensorFlow can use those that evaluate and measure files.

Example:
    >>> import hrnet_tf as hr
    >>> hr.HRNet.preset("pose-w32").classes
    17
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hrnet_tf.backend.choice import use_keras
from hrnet_tf.backend.registration import register_classes
from hrnet_tf.shadowing import check_import
from mobile_eval.errors import HRNetError

if TYPE_CHECKING:
    from hrnet_tf import losses
    from hrnet_tf.api.compression import plan, prune, rank
    from hrnet_tf.api.measuring import compare, evaluate, profile
    from hrnet_tf.api.quantization import convert, quantize
    from hrnet_tf.api.training_runs import build_model, train
    from hrnet_tf.checkpoints.to_torch import export_checkpoint
    from hrnet_tf.models.functional import HRNetModel
    from hrnet_tf.models.trunk import spec_of
    from hrnet_tf.networks import Baseline, HRNet, HRNetBackbone
    from hrnet_tf.runs.pruning import Plan
    from hrnet_tf.runs.ranking import Ranking
    from hrnet_tf.runs.run import Run
    from hrnet_tf.spec.network import HRNetSpec
    from hrnet_tf.spec.presets import list_presets
    from hrnet_tf.spec.units import FusionLink, ResidualBlock
    from mobile_eval.benchmark.interleaved import BenchmarkResult, benchmark
    from mobile_eval.benchmark.profile import ProfileResult
    from mobile_eval.image.preprocess import normalize
    from mobile_eval.pipeline.pipeline import People, Pipeline
    from mobile_eval.report.results import ComparisonResult
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from training.data.datasets import CocoBoxes, CocoKeypoints, FaceLandmarks, ImageFolder, MaskFolder
    from training.engine.strategies import make_devices
    from training.execution import Execution
    from training.optim.distill import distill
    from training.tasks.pose.targets import heatmap_targets

__all__ = [
    "Baseline",
    "BenchmarkResult",
    "CocoBoxes",
    "CocoKeypoints",
    "ComparisonResult",
    "Execution",
    "FaceLandmarks",
    "FusionLink",
    "HRNet",
    "HRNetBackbone",
    "HRNetError",
    "HRNetModel",
    "HRNetSpec",
    "ImageFolder",
    "MaskFolder",
    "People",
    "Pipeline",
    "Plan",
    "ProfileResult",
    "Ranking",
    "ResidualBlock",
    "Run",
    "TFLiteModel",
    "__version__",
    "benchmark",
    "build_model",
    "compare",
    "convert",
    "distill",
    "evaluate",
    "export_checkpoint",
    "heatmap_targets",
    "list_presets",
    "losses",
    "make_devices",
    "normalize",
    "plan",
    "profile",
    "prune",
    "quantize",
    "rank",
    "spec_of",
    "train",
    "use_keras",
]

__version__ = "0.2.0"

_MODULES = {  # of the names that are imported when they are first used
    "Baseline": "hrnet_tf.networks",
    "BenchmarkResult": "mobile_eval.benchmark.interleaved",
    "CocoBoxes": "training.data.datasets",
    "CocoKeypoints": "training.data.datasets",
    "ComparisonResult": "mobile_eval.report.results",
    "Execution": "training.execution",
    "FaceLandmarks": "training.data.datasets",
    "FusionLink": "hrnet_tf.spec.units",
    "HRNet": "hrnet_tf.networks",
    "HRNetBackbone": "hrnet_tf.networks",
    "HRNetModel": "hrnet_tf.models.functional",
    "HRNetSpec": "hrnet_tf.spec.network",
    "ImageFolder": "training.data.datasets",
    "MaskFolder": "training.data.datasets",
    "People": "mobile_eval.pipeline.pipeline",
    "Pipeline": "mobile_eval.pipeline.pipeline",
    "Plan": "hrnet_tf.runs.pruning",
    "ProfileResult": "mobile_eval.benchmark.profile",
    "Ranking": "hrnet_tf.runs.ranking",
    "ResidualBlock": "hrnet_tf.spec.units",
    "Run": "hrnet_tf.runs.run",
    "TFLiteModel": "mobile_eval.runtime.tflite_model",
    "benchmark": "mobile_eval.benchmark.interleaved",
    "build_model": "hrnet_tf.api.training_runs",
    "compare": "hrnet_tf.api.measuring",
    "convert": "hrnet_tf.api.quantization",
    "distill": "training.optim.distill",
    "evaluate": "hrnet_tf.api.measuring",
    "export_checkpoint": "hrnet_tf.checkpoints.to_torch",
    "heatmap_targets": "training.tasks.pose.targets",
    "list_presets": "hrnet_tf.spec.presets",
    "make_devices": "training.engine.strategies",
    "normalize": "mobile_eval.image.preprocess",
    "plan": "hrnet_tf.api.compression",
    "profile": "hrnet_tf.api.measuring",
    "prune": "hrnet_tf.api.compression",
    "quantize": "hrnet_tf.api.quantization",
    "rank": "hrnet_tf.api.compression",
    "spec_of": "hrnet_tf.models.trunk",
    "train": "hrnet_tf.api.training_runs",
}


def __getattr__(name: str) -> object:
    if name == "losses":
        return importlib.import_module("hrnet_tf.losses")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


check_import()
register_classes()
