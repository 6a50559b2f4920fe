"""Convert every preset to int8 and check it: integers only, static shapes, runs, operators that the Edge TPU supports.

    python benchmarks/presets.py [NAME ...] [--input-size HEIGHTxWIDTH] [--json FILE] [--table]

Weights and calibration images are random: accuracy is not measured. `--json` writes each result to a file, and skips the networks
that the file contains; `--table` prints the file as a Markdown table and converts nothing. All presets take an hour and a half
on two cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path

from conversion.checks.verify import check_fully_int8, check_loads
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.spec.network import OBJECT_CONTEXT
from hrnet_tf.spec.presets import PRESETS, customized, preset
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter
from mobile_eval.typed import JsonObject
from training.pruning.candidate_latency import untrained_tflite

ATTENTION = "attention needs more than 8 bits: float32, float16 or dynamic"
TWO_STAGES = "two-stage detector: converted as two files, not checked here"


def check_preset(name: str, input_size: str | None = None) -> JsonObject:
    """Convert a preset, at its own input size or another; return what was checked, as the JSON file contains it."""
    spec = customized(preset(name), input_size=input_size)
    result: JsonObject = {"task": spec.task, "input_size": list(spec.input_size)}
    if spec.head_kind == "detection":
        return {**result, "reason": TWO_STAGES}
    if spec.head_kind == OBJECT_CONTEXT:
        return {**result, "reason": ATTENTION}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.tflite")
        begun = time.perf_counter()
        path.write_bytes(untrained_tflite(spec))
        result["seconds"] = round(time.perf_counter() - begun, 1)
        result["megabytes"] = round(path.stat().st_size / 1e6, 2)
        check_loads(path)
        check_fully_int8(make_interpreter(path))
        operators = TFLiteGraph(path).operators
        result["static"] = all(tensor.static for operator in operators for tensor in (*operator.inputs, *operator.outputs))
        edgetpu = check_edgetpu(path)
    result |= {"operators": len(edgetpu.operators), "mapped": len(edgetpu.mapped), "share": edgetpu.multiply_adds_share}
    result["conditions"] = [f"{count} {kind}: if {reason}" for kind, reason, count in edgetpu.conditions()]
    if edgetpu.break_at is not None:
        first = edgetpu.operators[edgetpu.break_at]
        result["break"] = f"{first.kind} ({first.layer}): {first.reason}"
    result["streamed_mib"] = round(sum(edgetpu.streamed.values()) / 2**20, 1)
    result["largest_activation_mib"] = round(edgetpu.largest.activation_bytes / 2**20, 1)
    return result


def table_row(name: str, result: JsonObject) -> str:
    height, width = result["input_size"]
    if "reason" in result:
        return f"| `{name}` | {height}x{width} | – | – | – | {result['reason']} |"
    notes = [result["break"]] if "break" in result else []
    notes += result["conditions"]
    if result["streamed_mib"]:
        notes.append(f"{result['streamed_mib']} MiB of weights streamed")
    shapes = "static" if result["static"] else "dynamic"
    mapped = f"{result['mapped']} of {result['operators']} ({result['share']:.1%})"
    return f"| `{name}` | {height}x{width} | int8, {shapes} | {result['megabytes']} MB | {mapped} | {'; '.join(notes)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--input-size")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    results: dict[str, JsonObject] = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    for name in options.names or ([] if options.table else PRESETS):
        if name in results:
            continue
        results[name] = check_preset(name, options.input_size)
        print(table_row(name, results[name]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
        gc.collect()
    if options.table:
        print("| network | input | int8 | file | Edge TPU: operators (multiply-adds) | notes |\n|---|---|---|---|---|---|")
        print("\n".join(table_row(name, results[name]) for name in PRESETS if name in results))


if __name__ == "__main__":
    main()
