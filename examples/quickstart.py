"""From own data to a measured pruned int8 file: key points of drawn crosses, in a minute on two cores."""

import sys
from pathlib import Path

import numpy as np

import hrnet_tf as hr


def draw(count: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Your data: RGB images (N, H, W, 3), uint8, and x and y of three key points (N, 3, 2), in pixels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, size, size, 3), np.uint8)
    points = rng.integers(8, size - 8, (count, 3, 2))
    for image, keypoints in zip(images, points, strict=True):
        for channel, (x, y) in enumerate(keypoints):
            image[y - 1 : y + 2, x - 5 : x + 6, channel] = image[y - 5 : y + 6, x - 1 : x + 2, channel] = 255
    return images, points


def main(folder: Path, count: int = 512, epochs: int = 8) -> hr.BenchmarkResult:
    """Train, prune, quantize, convert and measure."""
    images, points = draw(count)

    x, (y, weights) = hr.normalize(images), hr.heatmap_targets(points, 64)
    model = hr.HRNet("pose-small-v1", input_size=64, outputs=3, width=8, blocks=1, stem_width=16, stage1_width=8)
    model.compile("adam", hr.losses.HeatmapMSE())
    model.fit(x, y, sample_weight=weights, epochs=epochs)
    ranking = hr.rank(model, (x, y, weights))
    smaller = hr.prune(model, hr.plan(model, ranking, keep_macs=0.8))
    smaller.compile("adam", hr.losses.HeatmapMSE())
    hr.distill(smaller, teacher=model).fit(x, y, sample_weight=weights, epochs=epochs)
    qat = hr.quantize(smaller, x)
    qat.compile("adam", hr.losses.HeatmapMSE())
    qat.fit(x, y, sample_weight=weights, epochs=1)
    full = hr.convert(model, folder / "full-int8.tflite", representative_data=x)
    pruned = hr.convert(qat, folder / "pruned-int8.tflite", representative_data=x, labels=["red", "green", "blue"])
    return hr.benchmark(full, pruned, threads=1)


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
