"""litert-torch for float32, ai-edge-quantizer for int8: FOLDER/litert-{float32,int8}.tflite; and weights.safetensors for all."""

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
from official import SIZE, images, official_network
from safetensors.torch import save_file


def main() -> None:
    repository, folder = map(Path, sys.argv[1:])
    network = official_network(repository)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors")
    begun = time.perf_counter()
    channels_last = litert_torch.to_channel_last_io(network, args=[0], outputs=[0])
    floating = folder / "litert-float32.tflite"
    litert_torch.convert(channels_last, (torch.zeros(1, *SIZE, 3),)).export(str(floating))
    converted = time.perf_counter()
    quantize(floating, folder / "litert-int8.tflite")
    print(f"litert-torch: float32 {converted - begun:.1f} s; ai-edge-quantizer: {time.perf_counter() - converted:.1f} s more")


def quantize(floating: Path, output: Path) -> None:
    quantizer = Quantizer(str(floating))
    quantizer.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, 8, 8)
    [(signature, ends)] = Interpreter(str(floating)).get_signature_list().items()
    samples: list[dict[str, Any]] = [{ends["inputs"][0]: image[None]} for image in images()]
    output.write_bytes(bytes(quantizer.quantize(quantizer.calibrate({signature: samples})).quantized_model))


if __name__ == "__main__":
    main()
