"""Convert with litert-torch (float32) and ai-edge-quantizer (int8).

    python by_litert_torch.py REPOSITORY FOLDER

Writes FOLDER/litert-{float32,int8}.tflite, and FOLDER/weights.safetensors for the other routes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import litert_torch
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping
from ai_edge_quantizer.quantizer import Quantizer
from official import SIZE, official_network, random_images
from safetensors.torch import save_file


def main() -> None:
    repository, folder = map(Path, sys.argv[1:])
    network = official_network(repository)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors")
    begun = time.perf_counter()
    channels_last = litert_torch.to_channel_last_io(network, args=[0], outputs=[0])
    float_path = folder / "litert-float32.tflite"
    litert_torch.convert(channels_last, (torch.zeros(1, *SIZE, 3),)).export(str(float_path))
    exported = time.perf_counter()
    quantize(float_path, folder / "litert-int8.tflite")
    print(f"litert-torch: float32 {exported - begun:.1f} s; ai-edge-quantizer: {time.perf_counter() - exported:.1f} s more")


def quantize(float_path: Path, output: Path) -> None:
    quantizer = Quantizer(str(float_path))
    quantizer.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8, 8)
    [(signature, tensors)] = Interpreter(str(float_path)).get_signature_list().items()
    samples: list[dict[str, Any]] = [{tensors["inputs"][0]: image[None]} for image in random_images()]
    output.write_bytes(bytes(quantizer.quantize(quantizer.calibrate({signature: samples})).quantized_model))


if __name__ == "__main__":
    main()
