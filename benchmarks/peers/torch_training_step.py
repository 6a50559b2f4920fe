"""Images per second of training steps of the official PyTorch network at the size of `pose-small-v2`, in one process.

    python torch_training_step.py REPOSITORY STEPS nchw|channels-last float32|bfloat16

REPOSITORY is a checkout of the official pose repository. Run by benchmarks/training_step.py with a Python that has torch and
yacs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from official import CONFIG

BATCH, SIZE, JOINTS, WARMUP = 32, (128, 96), 17, 3
STAGES = {"STAGE2": (1, 2), "STAGE3": (3, 3), "STAGE4": (2, 4)}  # modules, branches
WIDTH, BLOCKS, STAGE1_BLOCKS = 18, 2, 2


def small_v2(repository: Path) -> Any:
    sys.path.insert(0, str(repository / "lib"))
    from config import cfg
    from models.pose_hrnet import get_pose_net

    cfg.merge_from_file(repository / CONFIG)
    extra = cfg.MODEL.EXTRA
    for name, (modules, branches) in STAGES.items():
        extra[name].NUM_MODULES = modules
        extra[name].NUM_BLOCKS = [BLOCKS] * branches
        extra[name].NUM_CHANNELS = [WIDTH * 2**branch for branch in range(branches)]
    torch.manual_seed(0)
    model = get_pose_net(cfg, is_train=False)
    model.layer1 = torch.nn.Sequential(*list(model.layer1)[:STAGE1_BLOCKS])  # the official code always builds 4
    return model.train()


def main() -> None:
    repository, steps, layout, precision = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    model = small_v2(repository)
    images, heatmaps = torch.randn(BATCH, 3, *SIZE), torch.rand(BATCH, JOINTS, SIZE[0] // 4, SIZE[1] // 4)
    weights = torch.ones(BATCH, JOINTS, 1, 1)
    if layout == "channels-last":
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    begun = 0.0
    for step in range(WARMUP + steps):
        if step == WARMUP:
            begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            predictions = model(images)
        loss = 0.5 * ((predictions.float() - heatmaps).square() * weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(BATCH * steps / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
