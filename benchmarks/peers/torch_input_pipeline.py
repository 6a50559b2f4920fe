"""The paper's input pipeline with PyTorch's DataLoader and opencv, each step as in the official code.

    python torch_input_pipeline.py ANNOTATIONS IMAGES WORKERS BATCHES

Prints the samples per second over BATCHES batches, after eight for the start-up. Run by benchmarks/input_pipeline.py with a
Python that has torch (CPU), numpy and opencv-python-headless.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

IMAGE_SIZE, HEATMAP_SIZE = np.array([192, 256]), np.array([48, 64])  # width, height
SIGMA, SCALE, ROTATION, HALF_BODY = 2, 0.35, 45, 0.3
BATCH, WARMUP = 32, 8
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
LOWER = ("hip", "knee", "ankle")


class Persons(Dataset):  # type: ignore[type-arg, misc]
    def __init__(self, annotations: str, images: str):
        coco = json.loads(Path(annotations).read_text())
        names = coco["categories"][0]["keypoints"]
        self.lower = [index for index, name in enumerate(names) if name.endswith(LOWER)]
        self.pairs = [(i, names.index(n.replace("left", "right"))) for i, n in enumerate(names) if n.startswith("left")]
        files = {image["id"]: str(Path(images) / image["file_name"]) for image in coco["images"]}
        self.persons = [(files[a["image_id"]], a["bbox"], np.reshape(a["keypoints"], (-1, 3))) for a in coco["annotations"]]

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        file, box, keypoints = self.persons[index]
        pixels = cv2.imread(file, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise FileNotFoundError(file)
        image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        joints, visible = keypoints[:, :2].astype(float), keypoints[:, 2] > 0
        center, extent = self.box(np.array([box[0] + box[2] / 2, box[1] + box[3] / 2]), box[2], box[3], 1.25)
        if visible.sum() > 8 and random.random() < HALF_BODY:
            center, extent = self.half_body(joints, visible) or (center, extent)
        extent = extent * np.clip(random.gauss(0, 1) * SCALE + 1, 1 - SCALE, 1 + SCALE)
        rotation = np.clip(random.gauss(0, 1) * ROTATION, -ROTATION * 2, ROTATION * 2) if random.random() <= 0.6 else 0
        if random.random() <= 0.5:
            image = image[:, ::-1, :]
            joints[:, 0] = image.shape[1] - joints[:, 0] - 1
            for left, right in self.pairs:
                joints[[left, right]] = joints[[right, left]]
                visible[[left, right]] = visible[[right, left]]
            center[0] = image.shape[1] - center[0] - 1
        warp = affine(center, extent, rotation)
        crop = cv2.warpAffine(image, warp, (int(IMAGE_SIZE[0]), int(IMAGE_SIZE[1])), flags=cv2.INTER_LINEAR)
        tensor = torch.from_numpy(crop.transpose(2, 0, 1)).contiguous().float().div(255)  # torchvision's ToTensor
        tensor.sub_(MEAN[:, None, None]).div_(STD[:, None, None])  # torchvision's Normalize
        joints = joints @ warp[:, :2].T + warp[:, 2]
        target, weight = heatmaps(joints, visible)
        return tensor, torch.from_numpy(target), torch.from_numpy(weight)

    def box(self, center: np.ndarray, width: float, height: float, padding: float) -> tuple[np.ndarray, np.ndarray]:
        aspect = IMAGE_SIZE[0] / IMAGE_SIZE[1]
        if width > aspect * height:
            height = width / aspect
        elif width < aspect * height:
            width = height * aspect
        return center, np.array([width, height]) * padding

    def half_body(self, joints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        upper = [joint for index, joint in enumerate(joints) if visible[index] and index not in self.lower]
        lower = [joint for index, joint in enumerate(joints) if visible[index] and index in self.lower]
        take_upper = random.gauss(0, 1) < 0.5 and len(upper) > 2
        chosen = lower if not take_upper and len(lower) > 2 else upper
        if len(chosen) < 2:
            return None
        points = np.array(chosen)
        size = points.max(axis=0) - points.min(axis=0)
        return self.box(points.mean(axis=0), size[0], size[1], 1.5)


def affine(center: np.ndarray, extent: np.ndarray, rotation: float) -> np.ndarray:
    """Return the matrix from three pairs of points, as the official get_affine_transform."""
    angle = np.pi * rotation / 180
    up = np.array([0, extent[0] * -0.5])
    direction = np.array([up[0] * np.cos(angle) - up[1] * np.sin(angle), up[0] * np.sin(angle) + up[1] * np.cos(angle)])
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    source[0], source[1] = center, center + direction
    target[0], target[1] = IMAGE_SIZE * 0.5, IMAGE_SIZE * 0.5 + np.array([0, IMAGE_SIZE[0] * -0.5])
    for points in (source, target):
        side = points[0] - points[1]
        points[2] = points[1] + np.array([-side[1], side[0]])
    return cv2.getAffineTransform(source, target)


def heatmaps(joints: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return heatmaps (K, H, W) and weights (K, 1), as the official generate_target."""
    weight = visible.astype(np.float32)[:, None]
    target = np.zeros((len(joints), HEATMAP_SIZE[1], HEATMAP_SIZE[0]), np.float32)
    reach = SIGMA * 3
    for index, joint in enumerate(joints):
        mu_x, mu_y = int(joint[0] / 4 + 0.5), int(joint[1] / 4 + 0.5)
        left, top, right, bottom = mu_x - reach, mu_y - reach, mu_x + reach + 1, mu_y + reach + 1
        if left >= HEATMAP_SIZE[0] or top >= HEATMAP_SIZE[1] or right < 0 or bottom < 0:
            weight[index] = 0
            continue
        x = np.arange(2 * reach + 1, dtype=np.float32)
        gaussian = np.exp(-((x - reach) ** 2 + (x[:, None] - reach) ** 2) / (2 * SIGMA**2))
        g_x = max(0, -left), min(right, HEATMAP_SIZE[0]) - left
        g_y = max(0, -top), min(bottom, HEATMAP_SIZE[1]) - top
        i_x = max(0, left), min(right, HEATMAP_SIZE[0])
        i_y = max(0, top), min(bottom, HEATMAP_SIZE[1])
        if weight[index] > 0.5:
            target[index][i_y[0] : i_y[1], i_x[0] : i_x[1]] = gaussian[g_y[0] : g_y[1], g_x[0] : g_x[1]]
    return target, weight


def main(annotations: str, images: str, workers: int, batches: int) -> None:
    cv2.setNumThreads(0)  # each worker is a process
    loader = DataLoader(Persons(annotations, images), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    number, begun = 0, 0.0
    while number < WARMUP + batches:
        for _ in loader:
            number += 1
            if number == WARMUP:
                begun = time.perf_counter()
            if number == WARMUP + batches:
                break
    print(batches * BATCH / (time.perf_counter() - begun))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
