"""Images per second of training the official PyTorch network on a GPU, in one process; run by benchmarks/gpu_training.py.

python torch_gpu_training.py REPOSITORY ANNOTATIONS IMAGES BATCH plain|compiled people|batch

`people` is an epoch of PyTorch's DataLoader (as many workers as fit; pinned memory), after a first one; `batch` steps of one
batch that stays on the GPU. bfloat16 by autocast, channels last, Adam fused. Needs torch, numpy, opencv, yacs.
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


def network(repository: Path) -> Any:
    """pose_hrnet of the repository, as it begins to learn."""
    sys.path.insert(0, str(repository / "lib"))
    from config import cfg
    from models.pose_hrnet import get_pose_net

    cfg.merge_from_file(repository / CONFIG)
    cfg.MODEL.NUM_JOINTS = JOINTS
    torch.manual_seed(0)
    return get_pose_net(cfg, is_train=False).train()


def steps(model: Any, optimizer: Any, batches: Iterable[Any]) -> int:
    """Learn from the batches; how many images they were."""
    count = 0
    for images, heatmaps, weights in batches:
        images = images.to("cuda", non_blocking=True, memory_format=torch.channels_last)
        heatmaps, weights = heatmaps.to("cuda", non_blocking=True), weights.to("cuda", non_blocking=True)[..., None]
        with torch.autocast("cuda", torch.bfloat16):
            found = model(images)
        loss = 0.5 * ((found.float() - heatmaps).square() * weights).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count += len(images)
    torch.cuda.synchronize()
    return count


def main() -> None:
    repository, annotations, images, batch, way, kind = sys.argv[1:]
    size = int(batch)
    model = network(Path(repository)).to("cuda", memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True  # as the official code has it
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    learnt = torch.compile(model) if way == "compiled" else model
    if kind == "batch":
        one = torch.rand(size, 3, *SIZE), torch.rand(size, JOINTS, SIZE[0] // 4, SIZE[1] // 4), torch.ones(size, JOINTS, 1)
        one = tuple(part.to("cuda") for part in one)
        steps(learnt, optimizer, [one] * WARMUP)
        batches: Iterable[Any] = [one] * STEPS
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
        steps(learnt, optimizer, batches)
    begun = time.perf_counter()
    count = steps(learnt, optimizer, batches)
    print(count / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
