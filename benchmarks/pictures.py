"""Draw the SVG pictures of the documentation from the stored results; nothing is measured.

python benchmarks/pictures.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from system_latency import draw

from mobile_eval.files import write_text
from mobile_eval.model.archive import read_description
from mobile_eval.report.input_sizes import SizeLine, SizePoint, accuracy_by_size_svg, cost_by_size_svg
from mobile_eval.viz.charts import importance_by_kind_svg
from mobile_eval.viz.link_diagram import link_diagram_svg, link_diagrams_svg
from mobile_eval.viz.scatter import Point, scatter_svg
from mobile_eval.viz.svg import BLUE, ORANGE

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "lspet"
W32 = {"links only, 0.65 of the latency": "links-65", "links, blocks and channels, 0.5": "units-50"}
FOLDERS = {"classification": "cells", "detection": "bccd", "landmarks": "faces", "pose": "lspet", "segmentation": "camvid"}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    description = read_description(RESULTS / "equal" / "exact-47-seed0-int8.tflite")
    write_text(folder / "links.svg", link_diagram_svg(description.network, description.importance))
    ranking = json.loads((RESULTS / "ranking.json").read_text(encoding="utf-8"))
    first = next(iter(ranking["methods"].values()))
    write_text(folder / "ranking_by_kind.svg", importance_by_kind_svg(first["importance"]))
    networks = {task: read_description(RESULTS.parent / name / "full-int8.tflite") for task, name in FOLDERS.items()}
    diagrams = link_diagrams_svg({task: (network.network, network.importance) for task, network in networks.items()})
    write_text(folder / "links-of-tasks.svg", diagrams)
    pruned = {heading: stored(f"lspet/w32/w32-{name}-int8.json") for heading, name in W32.items()}
    diagrams = link_diagrams_svg({heading: (model["network"], model["importance"]) for heading, model in pruned.items()})
    write_text(folder / "links-w32.svg", diagrams)
    study = stored("lspet/equal/xeon-vnni-val-results.json")
    write_text(folder / "study.svg", scatter_svg(study_points(study["models"]), f"{study['metric']['name']}, int8", front=True))
    sizes = stored("sizes/results.json")
    write_text(folder / "pck-by-input-size.svg", accuracy_by_size_svg(size_lines(sizes["models"]), sizes["metric"]["name"]))
    write_text(folder / "cost-by-input-size.svg", cost_by_size_svg(size_lines(sizes["models"])))
    for task in ("classification", "segmentation"):
        trained = stored(f"systems-trained/{task}.json")
        picture = accuracy_by_size_svg(size_lines(trained["models"]), trained["metric"]["name"])
        write_text(folder / f"trained-{task}-by-input-size.svg", picture)
    systems = stored("systems.json")
    for task in systems:
        write_text(folder / f"systems-{task}-int8.svg", draw(task, "int8", systems[task]["int8"]))


def stored(name: str) -> dict[str, Any]:
    """The stored results of that name."""
    results: dict[str, Any] = json.loads((RESULTS.parent / name).read_text(encoding="utf-8"))
    return results


def study_points(models: list[dict[str, Any]]) -> list[Point]:
    """The models of a study's `results.json`: pruned ones as circles, full and narrower ones as squares."""
    points = []
    for model in models:
        name, latency_ms = model["label"].removesuffix("-seed0-int8"), model["latency"]["p50_ms"]
        is_pruned = not name.startswith(("full", "narrow"))
        color = BLUE if is_pruned else ORANGE
        points.append(Point(name, latency_ms, latency_ms, model["score"], color, square=not is_pruned))
    return points


def size_lines(models: list[dict[str, Any]]) -> list[SizeLine]:
    """The models of a `results.json` by network and precision."""
    lines: dict[tuple[str, str], list[SizePoint]] = {}
    for model in models:
        description = model["description"]
        size = tuple(description["input"]["size"])
        point = SizePoint(size, model["score"], description["multiply_adds"], model["latency"]["p50_ms"])
        lines.setdefault((description["name"], description["precision"]), []).append(point)
    return [SizeLine(*key, tuple(points)) for key, points in lines.items()]


if __name__ == "__main__":
    main()
