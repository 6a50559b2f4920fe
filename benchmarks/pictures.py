"""Draw the SVG pictures of the documentation from the stored results; nothing is measured.

python benchmarks/pictures.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mobile_eval.files import write_text
from mobile_eval.model.archive import read_description
from mobile_eval.viz.charts import importance_by_kind_svg
from mobile_eval.viz.link_diagram import link_diagram_svg, link_diagrams_svg

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "lspet"
FOLDERS = {"classification": "cells", "detection": "bccd", "landmarks": "faces", "pose": "lspet", "segmentation": "camvid"}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    description = read_description(RESULTS / "links-int8.tflite")
    write_text(folder / "links.svg", link_diagram_svg(description.network, description.importance))
    ranking = json.loads((RESULTS / "ranking.json").read_text(encoding="utf-8"))
    first = next(iter(ranking["methods"].values()))
    write_text(folder / "ranking_by_kind.svg", importance_by_kind_svg(first["importance"]))
    networks = {task: read_description(RESULTS.parent / name / "full-int8.tflite") for task, name in FOLDERS.items()}
    diagrams = link_diagrams_svg({task: (network.network, network.importance) for task, network in networks.items()})
    write_text(folder / "links-of-tasks.svg", diagrams)


if __name__ == "__main__":
    main()
