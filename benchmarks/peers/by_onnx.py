"""Export to ONNX, quantize with ONNX Runtime, and convert to TFLite with onnx2tf.

    python by_onnx.py REPOSITORY FOLDER

Writes FOLDER/onnx-{float32,int8}.onnx, FOLDER/onnx2tf-{float32,int8}.tflite, and FOLDER/images.npy for the other routes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from official import SIZE, official_network, random_images
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

SAMPLE = "calibration_image_sample_data_20x128x128x3_float32.npy"  # onnx2tf checks outputs on it, and downloads it if missing


class Images(CalibrationDataReader):  # type: ignore[misc]
    """The calibration images in the form of ONNX Runtime."""

    def __init__(self) -> None:
        self.images = iter(random_images())

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self.images, None)
        return None if image is None else {"image": image.transpose(2, 0, 1)[None]}


def main() -> None:
    repository, folder = map(Path, sys.argv[1:])
    network = official_network(repository)
    times = [time.perf_counter()]
    float_path = folder / "onnx-float32.onnx"
    torch.onnx.export(network, (torch.zeros(1, 3, *SIZE),), float_path, input_names=["image"], dynamo=False, opset_version=17)
    times.append(time.perf_counter())
    prepared = folder / "prepared.onnx"
    quant_pre_process(float_path, prepared)
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "quant_format": QuantFormat.QDQ}
    quantize_static(prepared, folder / "onnx-int8.onnx", Images(), per_channel=True, **types)
    times.append(time.perf_counter())
    np.save(folder / "images.npy", random_images())
    np.save(folder / SAMPLE, random_images()[:20, :128, :128])
    onnx2tf = [str(Path(sys.executable).with_name("onnx2tf")), "-i", str(float_path), "-o", str(folder / "onnx2tf"), "-n"]
    subprocess.run(onnx2tf, check=True, cwd=folder)
    times.append(time.perf_counter())
    calibration = ["-oiqt", "-qt", "per-channel", "-cind", "image", str(folder / "images.npy"), "[[[[0,0,0]]]]", "[[[[1,1,1]]]]"]
    subprocess.run([*onnx2tf, *calibration], check=True, cwd=folder)
    times.append(time.perf_counter())
    names = {"float32": "float32", "int8": "full_integer_quant"}
    for precision, name in names.items():
        [path] = (folder / "onnx2tf").glob(f"*_{name}.tflite")
        path.rename(folder / f"onnx2tf-{precision}.tflite")
    export, runtime, float32, int8 = np.diff(times)
    print(f"onnx: export {export:.1f} s, ONNX Runtime int8 {runtime:.1f} s, onnx2tf float32 {float32:.1f} s, int8 {int8:.1f} s")


if __name__ == "__main__":
    main()
