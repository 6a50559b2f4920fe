"""Every preset of every task as int8: is it wholly int8, are its shapes static, does it run, and would the Edge TPU take it?

    python benchmarks/presets.py [NAME ...] [--json F] [--table]

Random weights and one random image to calibrate on: of what the files answer this says nothing. `--json` keeps what was
found and goes on from there; `--table` prints that as Markdown without converting anything. An hour and a half on two cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from conversion.checks.verify import check_fully_int8, check_loads
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.spec.presets import PRESETS, preset
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.interpreter import make_interpreter
from training.pruning.candidate_latency import untrained_tflite

TWO_STAGES = "proposals and regions of changing number: not converted whole"


def converted(name: str) -> dict[str, Any]:
    spec = preset(name)
    found: dict[str, Any] = {"task": spec.task, "input_size": list(spec.input_size)}
    if spec.task == "detection":
        return {**found, "reason": TWO_STAGES}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.tflite")
        begun = time.perf_counter()
        path.write_bytes(untrained_tflite(spec))
        found["seconds"] = round(time.perf_counter() - begun, 1)
        found["megabytes"] = round(path.stat().st_size / 1e6, 2)
        check_loads(path)
        check_fully_int8(make_interpreter(path))
        operators = TFLiteGraph(path).operators
        found["static"] = all(tensor.static for operator in operators for tensor in (*operator.inputs, *operator.outputs))
        checked = check_edgetpu(path)
    found |= {"operators": len(checked.operators), "mapped": len(checked.mapped), "share": checked.multiply_adds_share}
    found["conditions"] = [f"{count} {kind}: if {reason}" for kind, reason, count in checked.conditions()]
    if checked.break_at is not None:
        first = checked.operators[checked.break_at]
        found["break"] = f"{first.kind} ({first.layer}): {first.reason}"
    found["streamed_mib"] = round(sum(checked.streamed.values()) / 2**20, 1)
    found["largest_activation_mib"] = round(checked.largest.activation_bytes / 2**20, 1)
    return found


def row(name: str, found: dict[str, Any]) -> str:
    height, width = found["input_size"]
    if "reason" in found:
        return f"| `{name}` | {height}x{width} | – | – | – | {found['reason']} |"
    notes = [found["break"]] if "break" in found else []
    notes += found["conditions"]
    if found["streamed_mib"]:
        notes.append(f"{found['streamed_mib']} MiB of weights streamed")
    static = "static" if found["static"] else "dynamic"
    mapped = f"{found['mapped']} of {found['operators']} ({found['share']:.1%})"
    return f"| `{name}` | {height}x{width} | int8, {static} | {found['megabytes']} MB | {mapped} | {'; '.join(notes)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    known: dict[str, Any] = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    for name in options.names or ([] if options.table else PRESETS):
        if name in known:
            continue
        known[name] = converted(name)
        print(row(name, known[name]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(known, indent=1))
        gc.collect()
    if options.table:
        print("| network | input | int8 | file | Edge TPU: operators (multiply-adds) | notes |\n|---|---|---|---|---|---|")
        print("\n".join(row(name, known[name]) for name in PRESETS if name in known))


if __name__ == "__main__":
    main()
