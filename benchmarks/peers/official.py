"""The start of all routes: the official PyTorch network with random weights, and calibration images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

SAMPLES = 32
SIZE = (256, 192)
CONFIG = "experiments/coco/hrnet/w32_256x192_adam_lr1e-3.yaml"


def official_network(repository: Path) -> Any:
    """Return pose_hrnet of the repository in evaluation mode, with random weights, always the same."""
    sys.path.insert(0, str(repository / "lib"))
    from config import cfg
    from models.pose_hrnet import get_pose_net

    cfg.merge_from_file(repository / CONFIG)
    torch.manual_seed(0)
    model = get_pose_net(cfg, is_train=False).eval()
    for module in model.modules():  # activations neither vanish nor explode
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


def random_images() -> np.ndarray:
    """Return random normalized images (N, H, W, 3), always the same."""
    return np.random.default_rng(0).standard_normal((SAMPLES, *SIZE, 3)).astype(np.float32)
