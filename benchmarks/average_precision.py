"""AP on as many poses as COCO's validation set has: time of `keypoint_ap` and of pycocotools, and the difference of their scores.

    python benchmarks/average_precision.py [--images 5000] [--detections 104125] [--rounds 3] [--cases 0]

Both evaluate the same random poses, in turn; the times are medians over the rounds. `--cases N` also compares the scores of N
small random scenes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mobile_eval.datasets.coco.schema import CocoAnnotation, CocoCategory, CocoData, CocoImage
from mobile_eval.metrics.keypoint_ap import keypoint_ap
from mobile_eval.typed import JsonObject

SIGMAS = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
JOINTS = len(SIGMAS)
CATEGORY: CocoCategory = {"id": 1, "name": "person", "keypoints": [str(joint) for joint in range(JOINTS)]}
Scores = NDArray[np.float64]  # (10,), -1 where a score is not defined


def random_scene(images: int, detections: int, seed: int) -> tuple[CocoData, list[JsonObject]]:
    """Make annotations, about 2.2 persons per image, and COCO results: as many `detections` in all, near a person or far away."""
    rng = np.random.default_rng(seed)
    annotations: list[CocoAnnotation] = []
    for image in range(images):
        for _ in range(rng.poisson(2.2) + (image == 0)):
            width, height = size = rng.uniform(30, 300, 2)
            points = np.column_stack([rng.uniform(0, 1, (JOINTS, 2)) * size + rng.uniform(0, 300, 2), rng.integers(0, 3, JOINTS)])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": int(rng.random() < 0.02),
                    "bbox": [0.0, 0.0, float(width), float(height)],
                    "area": float(size.prod() * 0.6),
                    "num_keypoints": int((points[:, 2] > 0).sum()),
                    "keypoints": points.reshape(-1).tolist(),
                }
            )
    results: list[JsonObject] = []
    for _ in range(detections):
        annotation = annotations[rng.integers(len(annotations))]
        points = np.array(annotation["keypoints"]).reshape(JOINTS, 3)
        points[:, :2] += rng.normal(0, rng.choice([1, 5, 20, 100]), (JOINTS, 2))
        score = float(rng.random())
        results.append(
            {"image_id": annotation["image_id"], "category_id": 1, "keypoints": points.reshape(-1).tolist(), "score": score}
        )
    entries: list[CocoImage] = [
        {"id": image, "file_name": f"{image}.jpg", "height": 600, "width": 600} for image in range(images)
    ]
    return {"images": entries, "annotations": annotations, "categories": [CATEGORY]}, results


def pycocotools_scores(coco: CocoData, results: list[JsonObject]) -> Scores:
    """Evaluate with pycocotools, which changes its arguments."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.array(evaluation.stats, np.float64)


def package_scores(coco: CocoData, results: list[JsonObject]) -> Scores:
    scores = vars(keypoint_ap(coco, results, SIGMAS, 1)).values()
    return np.array([-1.0 if score is None else score for score in scores])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=104_125)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", type=int, default=0)
    options = parser.parse_args()
    evaluators = (package_scores, pycocotools_scores)
    times: list[list[float]] = [[], []]
    difference = 0.0
    for _ in range(options.rounds):
        scene, scores = random_scene(options.images, options.detections, 0), []
        for evaluate, seconds in zip(evaluators, times, strict=True):
            begun = time.perf_counter()
            scores.append(evaluate(*scene))
            seconds.append(time.perf_counter() - begun)
        difference = max(difference, float(np.abs(scores[0] - scores[1]).max()))
    package, reference = map(statistics.median, times)
    print(f"{options.detections} detections: {package:.2f} s, pycocotools {reference:.2f} s, ratio {package / reference:.3f}")
    print(f"largest difference of the scores: {difference:.1e}")
    if options.cases:
        difference = 0.0
        for seed in range(options.cases):
            scene = random_scene(1 + seed % 4, 1 + seed % 13, seed)
            difference = max(difference, float(np.abs(package_scores(*scene) - pycocotools_scores(*scene)).max()))
        print(f"{options.cases} random scenes: largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
