"""Sparse training: zeros in the kernels survive quantization-aware fine-tuning and conversion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.convert import convert_run
from conversion.options import ConvertOptions
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.model.graph import TFLiteGraph
from training.config import TrainingConfig
from training.quantize import quantize_run
from training.train import train

pytestmark = pytest.mark.slow


def share_of_zeros(kernel: np.ndarray) -> float:
    return float((kernel == 0).mean())


def test_zeros_survive_from_training_to_the_file(config: TrainingConfig, tmp_path: Path) -> None:
    spec = HRNetSpec("two", 4, (64, 64), 17, (StageSpec(1, 1),), stem_width=8, stage1_blocks=1, stage1_width=4).full()
    run = train(spec, config.replace(sparsity=0.5), tmp_path / "sparse")
    kernels = {name: array for name, array in load_weights(run.weights_path).items() if name.endswith("kernel")}
    assert all(share_of_zeros(kernel) == pytest.approx(0.5, abs=0.02) for kernel in kernels.values())
    assert len(kernels) > 10
    tuned = quantize_run(run, config.replace(epochs=1), tmp_path / "tuned")
    tuned_kernels = {name: array for name, array in load_weights(tuned.weights_path).items() if name.endswith("/kernel")}
    assert len(tuned_kernels) == len(kernels)
    for name, array in tuned_kernels.items():
        assert (array[kernels[name.removeprefix("quant_")] == 0] == 0).all(), name
    file = convert_run(tuned, ConvertOptions("int8"), tmp_path / "tuned.tflite")
    graph = TFLiteGraph(file.path)
    stored = [graph.constant(operator.index, 1) for operator in graph.operators if operator.kind == "CONV_2D"]
    assert min(share_of_zeros(kernel) for kernel in stored if kernel is not None) > 0.45
    assert file.compressed_bytes < file.size_bytes
