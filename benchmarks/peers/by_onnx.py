"""The network as ONNX; from there onnx2tf for TFLite files, and ONNX Runtime's own quantization.

FOLDER gets onnx-{float32,int8}.onnx and onnx2tf-{float32,int8}.tflite.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from official import SIZE, images, official_network
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

SAMPLE = "calibration_image_sample_data_20x128x128x3_float32.npy"  # onnx2tf checks itself on it, and else downloads it


class Images(CalibrationDataReader):  # type: ignore[misc]
    """The calibration images as ONNX Runtime asks for them."""

    def __init__(self) -> None:
        self.left = iter(images())

    def get_next(self) -> Any:
        image = next(self.left, None)
        return None if image is None else {"image": image.transpose(2, 0, 1)[None]}


def main() -> None:
    repository, folder = map(Path, sys.argv[1:])
    network = official_network(repository)
    times = [time.perf_counter()]
    floating = folder / "onnx-float32.onnx"
    torch.onnx.export(network, (torch.zeros(1, 3, *SIZE),), floating, input_names=["image"], dynamo=False, opset_version=17)
    times.append(time.perf_counter())
    prepared = folder / "prepared.onnx"
    quant_pre_process(floating, prepared)
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "quant_format": QuantFormat.QDQ}
    quantize_static(prepared, folder / "onnx-int8.onnx", Images(), per_channel=True, **types)
    times.append(time.perf_counter())
    np.save(folder / "images.npy", images())
    np.save(folder / SAMPLE, images()[:20, :128, :128])
    tool = [str(Path(sys.executable).with_name("onnx2tf")), "-i", str(floating), "-o", str(folder / "onnx2tf"), "-n"]
    subprocess.run(tool, check=True, cwd=folder)
    times.append(time.perf_counter())
    calibration = ["-oiqt", "-qt", "per-channel", "-cind", "image", str(folder / "images.npy"), "[[[[0,0,0]]]]", "[[[[1,1,1]]]]"]
    subprocess.run([*tool, *calibration], check=True, cwd=folder)
    times.append(time.perf_counter())
    names = {"float32": "float32", "int8": "full_integer_quant"}
    for precision, name in names.items():
        [made] = (folder / "onnx2tf").glob(f"*_{name}.tflite")
        made.rename(folder / f"onnx2tf-{precision}.tflite")
    export, runtime, float32, int8 = np.diff(times)
    print(f"onnx: export {export:.1f} s, ONNX Runtime int8 {runtime:.1f} s, onnx2tf float32 {float32:.1f} s, int8 {int8:.1f} s")


if __name__ == "__main__":
    main()
