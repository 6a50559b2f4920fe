"""Flip pairs in training: mirrored examples, errors, and that later steps reuse the pairs of the run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.datasets.flip_pairs import FACE_PAIRS
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_item
from mobile_eval.model.archive import read_description
from mobile_eval.tasks.landmarks.evaluate import load_faces
from tests.support.program import Hrnet
from training.config import DataConfig, TrainingConfig, fine_tuning_config
from training.data.examples import examples_for
from training.engine.inputs import load_data
from training.tasks.landmarks.settings import LandmarkSettings
from training.tasks.pose.augmentation import upper_body
from training.tasks.pose.settings import PoseSettings
from training.tasks.pose.task import pose_example_builder
from training.tasks.segmentation.settings import SegmentationSettings

HALVES = PoseSettings(sigma=1.5, rotation=0, scale=0, flip_probability=0.5)
MICRO = "--width 4 --modules 1 --blocks 1 --stem-width 8 --stage1-blocks 1 --stage1-width 4 --input-size 64x64"
WORDS = {"left": "near", "right": "far"}  # names that do not tell the side


def renamed(drawn: Path, at: Path, split: str = "train", task: str = "person") -> Path:
    """Writes annotations whose keypoint names do not tell the side."""
    coco = json.loads((drawn / f"{task}_keypoints_{split}.json").read_text())
    [category] = coco["categories"]
    for side, word in WORDS.items():
        category["keypoints"] = [name.replace(f"{side}_", f"{word}_") for name in category["keypoints"]]
    path = at / f"{split}.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.fixture
def config(drawn: Path, tmp_path: Path) -> TrainingConfig:
    """Training on people whose flip pairs are unknown."""
    return TrainingConfig("pose", HALVES, DataConfig(DataSource(drawn / "images", renamed(drawn, tmp_path)), batch_size=8))


FLIP_PAIRS = ",".join(f"near_{part}:far_{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))


def test_pose_refuses_to_mirror_without_pairs(config: TrainingConfig, spec: HRNetSpec) -> None:
    with pytest.raises(HRNetError, match=r"17 keypoints \(nose, near_eye, far_eye, ...\).*none"):
        load_data(config)
    unmirrored, _ = load_data(config.replace(flip_probability=0.0))
    assert unmirrored.label_schema.get("flip_pairs") is None
    with pytest.raises(HRNetError, match="17 keypoints"):  # checked again when examples are made
        examples_for(unmirrored, spec, config.replace(flip_probability=1.0)).batch(0, 0)
    one_sided, _ = load_data(config.replace(flip_pairs="none"))
    assert one_sided.label_schema["flip_pairs"] == []
    with pytest.raises(HRNetError, match="`flip_pairs` 1:99: '99'"):
        load_data(config.replace(flip_pairs="1:99"))


def mirrored_example(config: TrainingConfig, spec: HRNetSpec, flip_pairs: str) -> tuple[np.ndarray, ...]:
    """Mirrored crop, heatmaps and weights of the first person."""
    config = config.replace(flip_pairs=flip_pairs, flip_probability=1.0)
    data, _ = load_data(config)
    example_builder = pose_example_builder(data, spec, config.settings)
    out = tuple(np.empty(shape, np.float32) for shape in example_builder.shapes)
    example_builder.augmented(0, read_item(data.items[0]), np.random.default_rng(0), out)
    return out


def test_mirrored_examples_swap_flip_pairs(config: TrainingConfig, spec: HRNetSpec) -> None:
    crop, heatmaps, weights = mirrored_example(config, spec, "none")
    paired_crop, paired_heatmaps, paired_weights = mirrored_example(config, spec, FLIP_PAIRS)
    order = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]  # COCO's joints: the nose, then pairs
    np.testing.assert_array_equal(paired_crop, crop)
    np.testing.assert_array_equal(paired_heatmaps, heatmaps[..., order])
    np.testing.assert_array_equal(paired_weights, weights[..., order])
    assert not np.array_equal(paired_heatmaps, heatmaps)


def test_fine_tuning_reuses_flip_pairs(config: TrainingConfig, spec: HRNetSpec, tmp_path: Path) -> None:
    parent = config.replace(flip_pairs="near_eye:far_eye")
    run = Run(tmp_path / "run", "train", spec, {"name": "person"}, parent.to_json())
    tuned = fine_tuning_config(run, config.data.train, None, {"batch_size": 8})
    assert tuned.settings.flip_pairs == "near_eye:far_eye"
    data, _ = load_data(tuned)
    category = data.label_schema
    assert category["flip_pairs"] == [["near_eye", "far_eye"]]
    imported, _ = load_data(config, category)  # a restored run knows its pairs only from its category
    assert imported.label_schema["flip_pairs"] == [["near_eye", "far_eye"]]
    more, _ = load_data(config.replace(flip_pairs="near_hip:far_hip"), category)
    assert more.label_schema["flip_pairs"] == [["near_eye", "far_eye"], ["near_hip", "far_hip"]]
    reordered = {**category, "keypoints": category["keypoints"][::-1]}
    with pytest.raises(HRNetError, match="17 keypoints"):
        load_data(config, reordered)


def test_flip_pairs_do_not_apply_to_segmentation() -> None:
    segmentation = TrainingConfig("segmentation", SegmentationSettings(), DataConfig(DataSource()))
    with pytest.raises(HRNetError, match="`flip_pairs`"):
        segmentation.replace(flip_pairs="none")


def test_flip_pairs_of_98_face_landmarks(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    header = ",".join(f"original_{index}_x,original_{index}_y" for index in range(98))
    (tmp_path / "t.csv").write_text(
        f"image_name,scale,center_w,center_h,{header}\n" + "\n".join(["a.png,0.2,30,30," + ",".join(["30"] * 196)] * 8)
    )
    source = DataSource(tmp_path, tmp_path / "t.csv")
    assert load_faces(source).category.flip_pairs == FACE_PAIRS[98]
    config = TrainingConfig("landmarks", LandmarkSettings(), DataConfig(source, batch_size=8))
    data, _ = load_data(config)
    assert data.label_schema["flip_pairs"][0] == ["landmark_0", "landmark_32"]


@pytest.mark.parametrize(
    "name",
    ["l_{}", "{}L", "L{}", "Left {}", "left{}"],
)
def test_upper_body_by_keypoint_names(name: str) -> None:
    parts = ["Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]
    names = tuple(name.format(part.lower() if name == "l_{}" else part) for part in parts)
    assert upper_body(names) is not None
    assert upper_body(names).tolist() == [True] * 3 + [False] * 3  # type: ignore[union-attr]


@pytest.mark.slow
def test_flip_pairs_from_train_to_evaluate(drawn: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    data = ("--train-annotations", renamed(drawn, tmp_path), "--images", drawn / "images")
    size = ("--epochs", 1, "--batch-size", 8)
    full, tuned, file = tmp_path / "full", tmp_path / "tuned", tmp_path / "m.tflite"
    train = ("train", "pose-small-v1", *MICRO.split(), *data, *size, "--output", full)
    ended = hrnet(*train)
    assert ended.code == 2
    assert "--flip-pairs nose_a:nose_b,2:5" in ended.err
    assert not full.exists()
    assert hrnet(*train, "--flip-pairs", FLIP_PAIRS).code == 0
    pairs = [part.split(":") for part in FLIP_PAIRS.split(",")]
    assert Run.load(full).category["flip_pairs"] == pairs
    assert Run.load(full).config["flip_pairs"] == FLIP_PAIRS
    assert hrnet("quantize", full, *data, *size, "--output", tuned).code == 0
    assert Run.load(tuned).category["flip_pairs"] == pairs
    assert hrnet("convert", tuned, "--output", file).code == 0
    assert read_description(file).category.to_json()["flip_pairs"] == pairs
    evaluate = ("evaluate", file, "--annotations", renamed(drawn, tmp_path, "val"), "--images", drawn / "images")
    assert hrnet(*evaluate, "--flip").code == 0
