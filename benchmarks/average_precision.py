"""AP as large as COCO's val set: the evaluator's time against pycocotools', and whether both say the same.

    python benchmarks/average_precision.py [--images 5000] [--detections 104125] [--rounds 3] [--cases 0]

Both compute the same made poses, in turn; medians of the rounds. `--cases N` compares N small random scenes as well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mobile_eval.metrics.keypoint_ap import keypoint_ap

SIGMAS = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
CATEGORY = {"id": 1, "name": "person", "keypoints": [str(joint) for joint in range(17)]}


def scene(images: int, detections: int, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """About 2.2 annotated people an image, and as many detections in all, near them or nowhere."""
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image in range(images):
        for _ in range(rng.poisson(2.2) + (image == 0)):
            size = rng.uniform(30, 300, 2)
            points = np.column_stack([rng.uniform(0, 1, (17, 2)) * size + rng.uniform(0, 300, 2), rng.integers(0, 3, 17)])
            labelled = int((points[:, 2] > 0).sum())
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": int(rng.random() < 0.02),
                    "bbox": [0.0, 0.0, *size.tolist()],
                    "area": float(size.prod() * 0.6),
                    "num_keypoints": labelled,
                    "keypoints": points.reshape(-1).tolist(),
                }
            )
    results = []
    for _ in range(detections):
        truth = annotations[rng.integers(len(annotations))]
        points = np.array(truth["keypoints"]).reshape(17, 3)
        points[:, :2] += rng.normal(0, rng.choice([1, 5, 20, 100]), (17, 2))
        score = float(rng.random())
        results.append(
            {"image_id": truth["image_id"], "category_id": 1, "keypoints": points.reshape(-1).tolist(), "score": score}
        )
    listed = [{"id": image, "file_name": f"{image}.jpg", "height": 600, "width": 600} for image in range(images)]
    return {"images": listed, "annotations": annotations, "categories": [CATEGORY]}, results


def pycocotools(coco: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """Changes what it is given: to be called last."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def ours(coco: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    found = keypoint_ap(coco, results, SIGMAS, 1)
    return [-1.0 if value is None else value for value in vars(found).values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=104_125)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=0)
    options = parser.parse_args()
    times: dict[str, list[float]] = {"ours": [], "pycocotools": []}
    for _ in range(options.rounds):
        made, figures = scene(options.images, options.detections, 0), []
        for name, way in (("ours", ours), ("pycocotools", pycocotools)):
            begun = time.perf_counter()
            figures.append(way(*made))
            times[name].append(time.perf_counter() - begun)
    own, other = (statistics.median(seconds) for seconds in times.values())
    off = float(np.abs(np.subtract(*figures)).max())
    print(f"{options.detections} detections: {own:.2f} s, pycocotools {other:.2f} s, ratio {own / other:.3f}")
    print(f"figures off by {off:.1e} at most")
    if options.cases:
        worst = 0.0
        for seed in range(options.cases):
            small = scene(1 + seed % 4, 1 + seed % 13, seed)
            worst = max(worst, float(np.abs(np.subtract(ours(*small), pycocotools(*small))).max()))
        print(f"{options.cases} random scenes: off by {worst:.1e} at most")


if __name__ == "__main__":
    main()
