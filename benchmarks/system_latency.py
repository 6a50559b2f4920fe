"""Latency of HRNets and of the systems that the papers compare them with, at the papers' input sizes.

    python benchmarks/system_latency.py [TASK ...] [--precision int8] [--rounds N] [--json FILE] [--pictures FOLDER] [--table]

Converts each network of a task with untrained weights (latency does not depend on them), times all on one thread in one
interleaved run, and prints each latency and its ratio to the first network's. Of a detector the first file is timed: trunk,
pyramid and proposals. With --json it adds the figures to a file, and skips tasks and precisions that are there; --pictures draws
accuracy against latency. Accuracy is quoted from the papers.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.spec.presets import customized, parse_size, preset
from mobile_eval.benchmark.interleaved import benchmark_in_turns
from mobile_eval.runtime.backend import Backend
from mobile_eval.typed import JsonObject
from mobile_eval.viz.scatter import Point, scatter_svg

HRNETS = ("pose-", "segment-", "detect-", "classify-")  # prefixes of their names
HRNET_COLOR, OTHER_COLOR = "#0b6e99", "#c2571a"


@dataclass(frozen=True)
class Row:
    """The networks of a table in the papers.

    Attributes:
        input_size: Height and width, as text.
        metric: What is quoted, and where it was measured.
        accuracy: Quoted figure of each network in percent. The first is compared with.
    """

    input_size: str
    metric: str
    accuracy: dict[str, float]


# Quoted from arXiv 1902.09212 (pose: table 1) and 1908.07919 (segmentation; detection with the 2x schedule; classification)
ROWS = {
    "pose": Row(
        "256x192",
        "AP on COCO val2017",
        {
            "pose-w32": 74.4,
            "pose-w48": 75.1,
            "simple-baseline-r50": 70.4,
            "simple-baseline-r152": 72.0,
            "cpn-r50": 68.6,
            "hourglass-8": 66.9,
        },
    ),
    "segmentation": Row(
        "512x1024",
        "mIoU on Cityscapes val",
        {
            "segment-w48": 81.1,
            "segment-w40": 80.2,
            "deeplabv3-r101": 78.5,
            "deeplabv3plus-x71": 79.6,
            "pspnet-r101": 79.7,
            "unetpp-r101": 75.5,
        },
    ),
    "detection": Row(
        "800x1216",
        "AP on COCO val2017",
        {
            "detect-w18": 38.0,
            "frcnn-r50-fpn": 37.6,
            "detect-w32": 40.9,
            "frcnn-r101-fpn": 39.8,
            "detect-w48": 41.8,
            "frcnn-x101-64x4d-fpn": 40.8,
        },
    ),
    "classification": Row(
        "224x224",
        "top-1 on ImageNet val",
        {
            "classify-w18": 76.9,
            "resnet-38": 75.4,
            "classify-w30": 78.1,
            "resnet-72": 76.7,
            "classify-w40": 78.9,
            "resnet-106": 77.3,
            "classify-w44-bottleneck": 77.0,
            "resnet-50": 76.7,
            "classify-w76-bottleneck": 78.5,
            "resnet-101": 78.4,
            "classify-w96-bottleneck": 79.0,
            "resnet-152": 78.8,
        },
    ),
}


def measure(row: Row, precision: str, rounds: int) -> JsonObject:
    """Time the networks of a row in turns, and return their latencies in ms with the ratios to the first network's."""
    from training.pruning.candidate_latency import untrained_tflite  # TensorFlow, which pictures do not need

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in row.accuracy:
            path = Path(folder, f"{name}.tflite")
            path.write_bytes(untrained_tflite(customized(preset(name), input_size=parse_size(row.input_size)), precision))
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
            paths.append(path)
            gc.collect()
        results = benchmark_in_turns(paths, Backend(threads=1), rounds=rounds, memory=False)
    print(results)
    latencies = {
        name: {"p50_ms": result.p50_ms, "p90_ms": result.p90_ms, "ratio": results.ratio(index), "bytes": result.size_bytes}
        for index, (name, result) in enumerate(zip(row.accuracy, results, strict=True))
    }
    return {"input_size": row.input_size, "rounds": rounds, "networks": latencies}


def table(figures: JsonObject) -> str:
    """Return the figures as tables in Markdown."""
    lines = []
    for task, precisions in figures.items():
        row = ROWS[task]
        lines += ["", f"### {task.capitalize()}, {row.input_size}", ""]
        lines += [f"| network | {row.metric}, quoted | {' | '.join(f'{name}, ms | ratio' for name in precisions)} |"]
        lines += ["|---" * (2 + 2 * len(precisions)) + "|"]
        for name, accuracy in row.accuracy.items():
            measured = [result["networks"][name] for result in precisions.values()]
            cells = [f"{latency['p50_ms']:,.1f} | {latency['ratio']:.2f}" for latency in measured]
            lines.append(f"| `{name}` | {accuracy} | {' | '.join(cells)} |")
    return "\n".join(lines[1:])


def draw(task: str, precision: str, result: JsonObject) -> str:
    """Return a picture of quoted accuracy against latency, as SVG."""
    row = ROWS[task]
    points = [
        Point(
            name,
            latency["p50_ms"],
            latency["p50_ms"],
            row.accuracy[name] / 100,
            HRNET_COLOR if name.startswith(HRNETS) else OTHER_COLOR,
            square=not name.startswith(HRNETS),
        )
        for name, latency in result["networks"].items()
    ]
    return scatter_svg(points, f"{row.metric}, quoted; {precision}", front=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", choices=[*ROWS, []], metavar="TASK")
    parser.add_argument("--precision", action="append", choices=("float32", "int8"), help="may be repeated; default: both")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--table", action="store_true", help="print the figures of --json as tables; measure nothing")
    options = parser.parse_args()
    figures: dict[str, dict[str, JsonObject]] = {}
    if options.json and options.json.exists():
        figures = json.loads(options.json.read_text())
    for task in [] if options.table else options.tasks or ROWS:
        for precision in options.precision or ("float32", "int8"):
            if precision in figures.setdefault(task, {}):
                continue
            figures[task][precision] = measure(ROWS[task], precision, options.rounds)
            if options.json:
                options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.table:
        print(table(figures))
    if options.pictures:
        for task, precisions in figures.items():
            for precision, result in precisions.items():
                (options.pictures / f"{task}-{precision}.svg").write_text(draw(task, precision, result))


if __name__ == "__main__":
    main()
