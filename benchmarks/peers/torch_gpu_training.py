"""Images per second of training the official PyTorch network on a GPU, in one process; run by benchmarks/gpu_training.py.

    python torch_gpu_training.py REPOSITORY ANNOTATIONS IMAGES BATCH plain|compiled people|batch

`people` times the second epoch over PyTorch's DataLoader, with a worker per core, up to 16, and pinned memory. `batch` times
steps on one batch that stays on the GPU. Both use bfloat16 by autocast, the channels-last layout and fused Adam. Needs torch,
numpy, opencv and yacs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import torch
from official import CONFIG, SIZE
from torch.utils.data import DataLoader
from torch_input_pipeline import Persons

JOINTS, WARMUP, STEPS = 14, 10, 150
WORKERS = min(16, os.cpu_count() or 1)


def training_network(repository: Path) -> Any:
    """Return pose_hrnet of the repository in training mode, with its initial weights."""
    sys.path.insert(0, str(repository / "lib"))
    from config import cfg
    from models.pose_hrnet import get_pose_net

    cfg.merge_from_file(repository / CONFIG)
    cfg.MODEL.NUM_JOINTS = JOINTS
    torch.manual_seed(0)
    return get_pose_net(cfg, is_train=False).train()


def train(model: Any, optimizer: Any, batches: Iterable[Any]) -> int:
    """Train on the batches; return the number of images."""
    count = 0
    for images, heatmaps, weights in batches:
        images = images.to("cuda", non_blocking=True, memory_format=torch.channels_last)
        heatmaps, weights = heatmaps.to("cuda", non_blocking=True), weights.to("cuda", non_blocking=True)[..., None]
        with torch.autocast("cuda", torch.bfloat16):
            predictions = model(images)
        loss = 0.5 * ((predictions.float() - heatmaps).square() * weights).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count += len(images)
    torch.cuda.synchronize()
    return count


def main() -> None:
    repository, annotations, images, batch_size, mode, workload = sys.argv[1:]
    size = int(batch_size)
    model = training_network(Path(repository)).to("cuda", memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True  # as in the official code
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    trained = torch.compile(model) if mode == "compiled" else model
    if workload == "batch":
        batch = torch.rand(size, 3, *SIZE), torch.rand(size, JOINTS, SIZE[0] // 4, SIZE[1] // 4), torch.ones(size, JOINTS, 1)
        batch = tuple(tensor.to("cuda") for tensor in batch)
        train(trained, optimizer, [batch] * WARMUP)
        batches: Iterable[Any] = [batch] * STEPS
    else:
        cv2.setNumThreads(0)
        batches = DataLoader(
            Persons(annotations, images),
            size,
            shuffle=True,
            num_workers=WORKERS,
            drop_last=True,
            pin_memory=True,
            persistent_workers=True,
        )
        train(trained, optimizer, batches)
    begun = time.perf_counter()
    count = train(trained, optimizer, batches)
    print(count / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
