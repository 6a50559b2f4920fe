"""Training of a micro network: by a recipe, from an ImageNet trunk, with damaged images and with a cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hrnet_tf.checkpoints.from_torch import import_checkpoint
from hrnet_tf.checkpoints.to_torch import export_run
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.history import read_history
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import load_weights, model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.pose.predictions import load_keypoints
from tests.support.program import Hrnet
from training.config import TrainingConfig
from training.train import dataset_summary, train

pytestmark = pytest.mark.slow

MICRO = "--width 4 --modules 1 --blocks 1 --stem-width 8 --stage1-blocks 1 --stage1-width 4 --input-size 32x32 --batch-size 8"


def test_pose_w32_is_trained_by_the_coco_recipe(drawn: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    data = f"--train-annotations {drawn / 'person_keypoints_train.json'} --images {drawn / 'images'}"
    command = f"train pose-w32 {MICRO} {data} --epochs 2 --lr-milestones 1 --loss ohkm --cache {tmp_path / 'cache'}"
    output = hrnet(f"{command} --output {tmp_path / 'run'}").output()
    assert "recipe coco" in output
    assert "\ndevice: " in f"\n{output}"
    assert "training on " in output
    assert "instead of 170, 200" in " ".join(output.split())
    config = Run.load(tmp_path / "run").config
    assert (config["lr_schedule"], config["lr_milestones"], config["targets"], config["loss"]) == (
        "step",
        [1],
        "official",
        "ohkm",
    )
    assert (config["half_body_probability"], config["learning_rate"]) == (0.3, 1e-3)
    assert [row["epoch"] for row in read_history(tmp_path / "run")] == [1, 2]
    assert len(list((tmp_path / "cache").glob("*/done.bin"))) == 1
    assert hrnet(f"{command} --output {tmp_path / 'run'} --resume").code == 0  # the same settings
    ended = hrnet(f"{command} --output {tmp_path / 'run'} --resume --sigma 3")
    assert ended.code == 2
    assert "--sigma was 2.0, is now 3.0" in ended.err


def test_elastic_training(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    elastic = config.replace(elastic=0.5, epochs=1)
    plain, trained = (
        train(tiny, each, tmp_path / name) for each, name in ((config.replace(epochs=1), "plain"), (elastic, "elastic"))
    )
    weights, other = load_weights(trained.weights_path), load_weights(plain.weights_path)
    assert weights.keys() == other.keys()  # what masks is not kept
    assert any(not np.array_equal(weights[name], other[name]) for name in weights)
    with pytest.raises(HRNetError, match=r"`elastic`.*simple-baseline"):
        train(preset("simple-baseline-r50"), elastic, tmp_path / "baseline")


def test_pose_network_is_initialized_from_an_imagenet_trunk(tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path) -> None:
    """The full trunk is loaded from an import with and without a spec."""
    classifier = dataclasses.replace(tiny, task="classification", classes=5, links=frozenset()).full()
    run = Run(tmp_path / "classifier", "import", classifier, {"name": "classification", "classes": 5}, {})
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(classifier)))
    export_run(run, tmp_path / "imagenet.npz", "official")
    full_network, _ = import_checkpoint(tmp_path / "imagenet.npz", tmp_path / "full")
    trunk, _ = import_checkpoint(tmp_path / "imagenet.npz", tmp_path / "trunk", tiny)
    expected = load_weights(run.weights_path)
    for start in (full_network, trunk):
        frozen_config = config.replace(epochs=1, learning_rate=1e-9, val=None)
        trained = load_weights(train(tiny, frozen_config, tmp_path / f"from-{start.path.name}", init=start).weights_path)
        kernels = [name for name in trained if name.endswith("/kernel") and not name.startswith("head")]
        assert len(kernels) == 13
        for name in kernels:
            np.testing.assert_allclose(trained[name], expected[name], atol=1e-6, err_msg=name)


def test_too_many_damaged_images(drawn: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    images = shutil.copytree(drawn / "images", tmp_path / "images")
    for path in sorted(images.glob("train_*"))[:12]:
        path.write_bytes(path.read_bytes()[:1000])
    data = f"--train-annotations {drawn / 'person_keypoints_train.json'} --images {images}"
    out = tmp_path / "run"
    ended = hrnet(f"train pose-small-v1 {MICRO} {data} --epochs 1 --output {out}")
    assert ended.code == 2
    line = ended.err.strip().splitlines()[-1]
    assert line.startswith("error: epoch 1: the images of ")
    assert "examples cannot be read, more than 1%; the first: image " in line
    assert not out.exists()


def test_few_damaged_images_are_skipped(
    tiny: HRNetSpec, config: TrainingConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = Path(shutil.copytree(config.data.train.path("images"), tmp_path / "images"))
    coco = json.loads(config.data.train.path("annotations").read_text())
    damaged = dict(coco["images"][0], id=9999, file_name="bad.jpg")
    (images / "bad.jpg").write_bytes((images / coco["images"][0]["file_name"]).read_bytes()[:1500])
    first = len(coco["annotations"])
    copies = [dict(a, id=first * copy + a["id"]) for copy in range(1, 5) for a in coco["annotations"]]
    copies[0]["image_id"] = 9999
    coco["images"].append(damaged)
    coco["annotations"] += copies
    (tmp_path / "train.json").write_text(json.dumps(coco))
    changed = config.replace(train=DataSource(images, tmp_path / "train.json"), val=None)
    run = train(tiny, changed, tmp_path / "run")
    assert [row["epoch"] for row in read_history(run.path)] == [1, 2]
    assert [message.split(" of ")[0] for message in caplog.messages if "skipped" in message] == ["epoch 1: 1", "epoch 2: 1"]


def test_damaged_validation_image(config: TrainingConfig, tiny: HRNetSpec, tmp_path: Path) -> None:
    images = Path(shutil.copytree(config.data.train.path("images"), tmp_path / "images"))
    path = next(images.glob("val_*"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(HRNetError, match=f"image .*{path.name} is truncated"):
        train(tiny, config.replace(val=dataclasses.replace(config.data.val, images=images)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_summary_counts_skipped_persons(config: TrainingConfig, tmp_path: Path) -> None:
    coco = json.loads(config.data.train.path("annotations").read_text())
    count = len(coco["annotations"])
    coco["annotations"][0]["keypoints"] = [0.0] * 51
    coco["annotations"][1]["iscrowd"] = 1
    (tmp_path / "train.json").write_text(json.dumps(coco))
    line = dataset_summary(load_keypoint_dataset(tmp_path / "train.json", config.data.train.path("images")), "persons")
    assert line == f"training on {count - 2} persons (2 annotations skipped: 1 of crowds, 1 without labelled keypoints)"
    assert dataset_summary(load_keypoints(config.data.train), "persons") == f"training on {count} persons"
    assert dataset_summary(load_keypoints(config.data.train).head(1), "persons") == "training on 1 person"
