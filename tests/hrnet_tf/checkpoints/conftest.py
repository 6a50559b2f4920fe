"""Checkpoints of micro networks with random weights, in the layout of the official repositories."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hrnet_tf.backend.types import KerasModel
from hrnet_tf.checkpoints.to_torch import official_arrays
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.weights import model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import OBJECT_CONTEXT, HRNetSpec, StageSpec
from tests.support.golden import GOLDEN

Micro = Callable[..., HRNetSpec]


@pytest.fixture(scope="session")
def micro() -> Micro:
    """A function that returns the spec of a micro network for a task, or with the head of HRNet-OCR, with changes."""

    def make(task: str, **changes: object) -> HRNetSpec:
        stages = (StageSpec(1, 1),) * {"pose": 3, "landmarks": 1}.get(task, 2)  # few layers to build
        sizes: dict[str, object] = {"width": 4, "input_size": (64, 64), "classes": 5, "stages": stages}
        sizes |= {"stem_width": 8, "stage1_blocks": 1, "stage1_width": 4}
        interpolation = "bilinear" if task in ("segmentation", "landmarks") else "nearest"
        if task == OBJECT_CONTEXT:
            task, interpolation = "segmentation", "aligned"
            sizes |= {"head": OBJECT_CONTEXT, "head_width": 6}
        return HRNetSpec(name="micro", task=task, interpolation=interpolation, **{**sizes, **changes}).full()  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def built() -> Callable[[Network], KerasModel]:
    """`build_model`, which builds networks that differ only in name and input size once: that takes a second or more."""
    build = functools.cache(build_model)
    return lambda spec: build(dataclasses.replace(spec, name="micro", input_size=(64, 64)))


@pytest.fixture(scope="session")
def checkpoint(built: Callable[[Network], KerasModel]) -> Callable[[Network], Arrays]:
    """A function that returns the arrays of a network in the official layout, with random values."""

    @functools.cache
    def arrays(spec: Network) -> Arrays:
        weights = {}
        for name, array in model_weights(built(spec)).items():
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            low, high = (0.5, 1.5) if name.endswith(("gamma", "variance")) else (-0.5, 0.5)
            weights[name] = rng.uniform(low, high, array.shape).astype(np.float32)
        return official_arrays(spec, weights)

    return lambda spec: dict(arrays(spec))


@pytest.fixture(scope="session")
def fill() -> Any:
    """The module that computes weights from the names of the entries."""
    if not (GOLDEN / "fill.py").is_file():
        pytest.skip(f"no golden outputs in {GOLDEN} (set HRNET_GOLDEN to their folder)")
    module_spec = importlib.util.spec_from_file_location("fill", GOLDEN / "fill.py")
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module
