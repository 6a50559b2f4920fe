"""A sound file of every kind that the package reads, and the public function that reads it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import yaml
from safetensors.numpy import save

from conversion.quantization.quantization_recipe import load_quantization_recipe
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.checkpoints.infer_spec import infer_network
from hrnet_tf.checkpoints.layer_names import official_names
from hrnet_tf.checkpoints.torch_reader import read_checkpoint
from hrnet_tf.runs.history import read_history, write_history
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.convolutions import convolutions
from hrnet_tf.spec.network import HRNetSpec, StageSpec
from mobile_eval.benchmark.environment import Environment
from mobile_eval.benchmark.profile import OperatorTime, ProfileResult, load_profile, part_of
from mobile_eval.datasets.classes import read_class_names
from mobile_eval.datasets.coco.detection import load_detection_dataset
from mobile_eval.datasets.coco.detector_boxes import load_detector_boxes
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.datasets.segmentation import read_mask
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_image
from mobile_eval.image.image_size import stored_size
from mobile_eval.model.archive import MEMBER, is_described, read_description, save_model_file
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.report.devices import compare_devices
from mobile_eval.report.links import compare_links
from mobile_eval.report.study import load_arms
from mobile_eval.runtime.backend import Backend
from mobile_eval.runtime.isolated import check_runs
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.viz.link_diagram import link_diagram_svg
from mobile_eval.viz.profile_chart import profile_svg
from training.pruning.cost_model import latency_cost_model
from training.recipe import load_recipe

from .mutations import damaged_bytes, damaged_csv, damaged_json, damaged_yaml
from .tiny_model import JOINTS, description, flatbuffer

Mutation = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """A sound file, how it is damaged, and what reads it. Error messages must contain `named`, or the file's path."""

    path: Path
    damage: Mutation
    read: Callable[[], object]
    named: Path | None = None


def spec() -> HRNetSpec:
    """A small network."""
    return HRNetSpec("small", 4, (32, 32), 2, (StageSpec(1, 1),), stem_width=4, stage1_blocks=1, stage1_width=4).full()


def readers(folder: Path) -> dict[str, Reader]:
    """Write the sound files to `folder`; readers by kind."""
    images = folder / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    for name in ("1.png", "2.jpg"):
        cv2.imwrite(str(images / name), pixels)
    return {
        **_datasets(folder, images),
        **_images(folder, images),
        **_models(folder),
        **_measurements(folder),
        **_runs(folder),
        **_recipes(folder),
        **_checkpoints(folder),
    }


def _json(path: Path, content: Any, read: Callable[[Path], object], named: Path | None = None) -> Reader:
    path.write_text(json.dumps(content))
    return Reader(path, damaged_json, lambda: read(path), named)


def _datasets(folder: Path, images: Path) -> dict[str, Reader]:
    entries = [{"id": number, "file_name": name, "height": 40, "width": 50} for number, name in ((1, "1.png"), (2, "2.jpg"))]
    joints = [10.0, 10.0, 2, 20.0, 10.0, 1]
    each = {
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [5.0, 5.0, 30.0, 30.0],
        "area": 500.0,
        "keypoints": joints,
        "num_keypoints": 2,
    }
    annotations = [{"id": number, "image_id": number, **each} for number in (1, 2)]
    category = {"id": 1, "name": "face", "keypoints": list(JOINTS), "skeleton": [[1, 2]], "sigmas": [0.1, 0.1]}
    coco = {"images": entries, "annotations": annotations, "categories": [category]}
    sound = folder / "sound.json"
    sound.write_text(json.dumps(coco))
    boxes = [{key: value for key, value in annotation.items() if not key.endswith("keypoints")} for annotation in annotations]
    instances = {**coco, "annotations": boxes, "categories": [{"id": 1, "name": "face"}]}
    results = [{"image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}] * 2
    table = folder / "faces.csv"
    table.write_text("image_name,scale,center_w,center_h,original_0_x,original_0_y\n1.png,0.1,20,20,10,10\n2.jpg,0.1,20,20,9,9\n")
    names = folder / "classes.json"
    return {
        "keypoints": _json(folder / "keypoints.json", coco, lambda path: load_keypoint_dataset(path, images)),
        "instances": _json(folder / "instances.json", instances, lambda path: load_detection_dataset(path, images)),
        "detections": _json(
            folder / "boxes.json", results, lambda path: load_detector_boxes(path, load_keypoint_dataset(sound, images), images)
        ),
        "faces": Reader(table, damaged_csv, lambda: load_keypoint_dataset(table, images)),
        "class names": _json(names, ["sky", "road"], read_class_names),
    }


def _images(folder: Path, images: Path) -> dict[str, Reader]:
    mask = folder / "mask.png"
    cv2.imwrite(str(mask), np.eye(12, dtype=np.uint8))

    def read(path: Path) -> None:
        stored_size(path)
        read_image(path)

    readers = {path.suffix: Reader(path, damaged_bytes, lambda path=path: read(path)) for path in sorted(images.iterdir())}  # type: ignore[misc]
    return {**readers, "mask": Reader(mask, damaged_bytes, lambda: read_mask(mask, 2))}


def _models(folder: Path) -> dict[str, Reader]:
    described, runnable, graph, bare = (folder / f"{name}.tflite" for name in ("described", "runnable", "graph", "bare"))
    for path in (described, runnable):
        save_model_file(path, flatbuffer(), description())
    for path in (graph, bare):
        path.write_bytes(flatbuffer())

    def read_described() -> None:
        if is_described(described):  # a file whose zip is damaged counts as one without a description
            link_diagram_svg(read_description(described).network)
            compare_links([described, runnable], folder / "links")

    def read_graph() -> None:
        parsed = TFLiteGraph(graph)
        for operator in parsed.operators:
            assert operator.signature
            parsed.constant(operator.index, 1)
            parsed.extract(operator.index, 2)
        str(check_edgetpu(graph))

    return {
        "description": Reader(described, damaged_description, read_described),
        "graph": Reader(graph, damaged_bytes, read_graph),
        "model": Reader(bare, damaged_bytes, lambda: check_runs([bare], Backend())),
        "described model": Reader(runnable, damaged_bytes, lambda: TFLiteModel(runnable)),
    }


def damaged_description(data: bytes, random: Random) -> bytes:
    """The model with a damaged description in a sound zip; the checksum of the flatbuffer mostly stays right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(MEMBER)
    damaged = io.BytesIO(data[: json.loads(text)["flatbuffer"]["size_bytes"]])
    with zipfile.ZipFile(damaged, "a") as archive:
        archive.writestr(MEMBER, damaged_json(text, random))
    return damaged.getvalue()


def _measurements(folder: Path) -> dict[str, Reader]:
    environment = Environment("cpu", "x86_64", 2, "Linux", "3.11", "unavailable", 2400.0, "unavailable", "2026-01-01", (0, 1))
    members = enumerate(convolutions(spec()))
    times = [OperatorTime(index, "CONV_2D", conv.name, part_of(conv.name), 0.1) for index, conv in members]
    network = {"architecture": "hrnet", "spec": spec().to_json()}
    profiled = ProfileResult("small", "0" * 64, "litert", 1, network, tuple(times), 1.0, environment)

    def read_profile(path: Path) -> None:
        result = load_profile(path)
        profile_svg(result)
        str(result)
        try:
            latency_cost_model(spec(), result)
        except HRNetError as error:  # names the profiled model instead of the file
            raise HRNetError(f"{path}: {error}") from error

    full = {"label": "full", "reference": "full", "score": 0.7, "latency_ratio": 1.0, "latency": {"p50_ms": 2.0, "p90_ms": 2.5}}
    full |= {"description": {"precision": "int8"}, "latency_ratio_interval": None, "evaluation": {}}
    pruned = {**full, "label": "pruned", "score": 0.6, "score_difference_interval": {"low": -0.2, "high": 0.1}}
    about = {"runtime": "litert", "threads": 1, "items": 10, "metric": {"name": "AP"}}
    machine = {"processor": "cpu", "architecture": "x86_64", "date": "2026-01-01"}
    arms = [
        {"name": "full", "kind": "full", "budget": None, "seed": 0, "labels": ["full"]},
        {"name": "links-80", "kind": "links", "budget": 0.8, "seed": 0, "labels": ["links"]},
    ]
    return {
        "profile": _json(folder / "profile.json", profiled.to_json(), read_profile),
        "results": _json(
            folder / "results.json",
            {**about, "environment": machine, "models": [full, pruned]},
            lambda path: compare_devices([path], folder / "report"),
        ),
        "manifest": _json(folder / "study.json", {"arms": arms}, lambda path: load_arms(path, ["full", "links"])),
    }


def _runs(folder: Path) -> dict[str, Reader]:
    readers = {}
    for name in ("run.json", "spec.json", "ranking.json", "history.csv", "weights.safetensors"):
        path = folder / f"run-{name}"
        category = {"name": "face", "keypoints": list(JOINTS), "skeleton": [[1, 2]]}
        run = Run(path, "train", spec(), category, _config())
        save_run(run)
        save_ranking(run.path, Ranking(spec(), 10, 0, {"taylor": dict.fromkeys(spec().links, 0.5)}, {"taylor": 0.9}, {}))
        write_history(path, [{"epoch": epoch, "loss": 0.5 / epoch, "val_pck": 0.1 * epoch} for epoch in (1, 2, 3)])
        run.weights_path.write_bytes(save({"stem_conv1/kernel": np.zeros((3, 3, 3, 4), np.float32)}))
        damage = damaged_json if name.endswith(".json") else damaged_csv if name.endswith(".csv") else damaged_bytes
        readers[name] = Reader(path / name, damage, lambda path=path: _read_run(path), path)  # type: ignore[misc]
    return readers


def _config() -> dict[str, Any]:
    settings = load_recipe("pose", "small")
    train = {"images": "images", "annotations": "train.json"}
    return {"task": "pose", "train": train, "val": None, "epochs": 3, "batch_size": 8, **settings}


def _read_run(path: Path) -> None:
    run = Run.load(path)
    _ = run.ranking
    read_history(path)
    load_weights(run.weights_path)


def _recipes(folder: Path) -> dict[str, Reader]:
    training = folder / "training.yaml"
    text = {
        "epochs": 3,
        "learning_rate": 0.001,
        "lr_milestones": [1, 2],
        "optimizer": "adam",
        "flip_probability": 0.5,
        "ema": 0.0,
    }
    training.write_text(yaml.safe_dump(text))
    quantization = {"float_layers": ["stem_conv1"], "activations": "percentile", "percentile": 99.9, "weights": "mse"}
    return {
        "training recipe": Reader(training, damaged_yaml, lambda: load_recipe("pose", str(training))),
        "quantization recipe": _json(folder / "quantization.json", quantization, load_quantization_recipe),
    }


def _checkpoints(folder: Path) -> dict[str, Reader]:
    shapes = {
        "conv1.weight": (4, 3, 3, 3),
        "layer1.0.conv1.weight": (4, 4, 1, 1),
        "stage2.0.branches.0.0.conv2.weight": (4, 4, 3, 3),
        "final_layer.weight": (2, 4, 1, 1),
    }
    arrays = {f"module.{name}": np.ones(shape, np.float32) for name, shape in shapes.items()}
    npz, safe = folder / "checkpoint.npz", folder / "checkpoint.safetensors"
    np.savez(npz, **arrays)  # type: ignore[arg-type]
    safe.write_bytes(save(arrays))

    def read(path: Path) -> None:
        arrays = read_checkpoint(path)
        try:
            infer_network(official_names(arrays))
        except HRNetError as error:  # `import_checkpoint` adds the file's name
            raise HRNetError(f"{path}: {error}") from error

    return {path.suffix: Reader(path, damaged_bytes, lambda path=path: read(path)) for path in (npz, safe)}  # type: ignore[misc]
