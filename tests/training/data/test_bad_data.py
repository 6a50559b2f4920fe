"""Bad data of every task, and data of the wrong task: one line of error, exit code 2, and no output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mobile_eval.errors import HRNetError
from tests.support.image_files import png_that_claims
from tests.support.program import Hrnet

SMALL = "--input-size 32x32 --modules 1 --blocks 1 --width 4 --epochs 1 --batch-size 2 --output {out}"
SEGMENT = "train segment-small-v1 --images {root}/images --masks {root}/masks " + SMALL
NAMED = f"{SEGMENT} --classes {{root}}/classes.txt"
CLASSIFY = "train classify-small-v1 --images {root}/animals " + SMALL
FACES = "train landmarks-small-v1 --train-annotations {root}/faces.json --images {root}/images --batch-size 2 --output {out}"
POSE = "train pose-small-v1 --train-annotations {root}/faces.json --images {root}/images --batch-size 2 --output {out}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three images with masks of three classes, class names and faces, and two classes of animals."""
    folder = tmp_path / "data"
    names = [f"left_{index}" for index in range(3)] + [f"right_{index}" for index in range(3)]
    images, annotations = [], []
    for number in range(3):
        content = np.full((40, 60, 3), 50 * number, np.uint8)
        for path in (f"images/{number}.png", f"animals/cat/{number}.png", f"animals/dog/{number}.png"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / path), content)
        (folder / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), np.full((40, 60), number, np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "height": 40, "width": 60})
        annotation = {"id": number, "image_id": number, "category_id": 1, "bbox": [5, 5, 30, 30]}
        annotations.append({**annotation, "keypoints": [10.0, 20.0, 2] * 6})
    (folder / "classes.txt").write_text("sky\nroad\ncar\n")
    category = {"id": 1, "name": "face", "keypoints": names, "skeleton": []}
    (folder / "faces.json").write_text(json.dumps({"images": images, "categories": [category], "annotations": annotations}))
    return folder


def mask_of_another_size(root: Path) -> None:
    cv2.imwrite(str(root / "masks" / "1.png"), np.zeros((40, 61), np.uint8))


def mask_of_another_class(root: Path) -> None:
    cv2.imwrite(str(root / "masks" / "1.png"), np.full((40, 60), 3, np.uint8))


def mask_with_colors(root: Path) -> None:
    cv2.imwrite(str(root / "masks" / "1.png"), np.zeros((40, 60, 3), np.uint8))


def damaged_mask(root: Path) -> None:
    (root / "masks" / "1.png").write_bytes((root / "masks" / "1.png").read_bytes()[:30])


def masks_of_0_and_255(root: Path) -> None:
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), np.tile(np.array([0, 255], np.uint8), (40, 30)))


def masks_of_one_class(root: Path) -> None:
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((40, 60), np.uint8))


def masks_of_gray_levels(root: Path) -> None:
    for number, path in enumerate((root / "masks").iterdir()):
        cv2.imwrite(str(path), np.full((40, 60), 60 * number, np.uint8))


def mask_too_large(root: Path) -> None:
    (root / "masks" / "1.png").write_bytes(png_that_claims(40000, 30000, 1, 0))


def image_too_large(root: Path) -> None:
    (root / "images" / "1.png").write_bytes(png_that_claims(100000, 100000))


def one_class_folder(root: Path) -> None:
    (root / "animals" / "dog").rename(root / "dog")


def missing_mask(root: Path) -> None:
    (root / "masks" / "1.png").unlink()


def empty_class(root: Path) -> None:
    (root / "animals" / "zebra").mkdir()


def other_classes(root: Path) -> None:
    (root / "val" / "horse").mkdir(parents=True)
    (root / "val" / "cat").mkdir()
    for name in ("horse", "cat"):
        cv2.imwrite(str(root / "val" / name / "a.png"), np.zeros((9, 9, 3), np.uint8))


def class_named_twice(root: Path) -> None:
    (root / "classes.txt").write_text("sky\nroad\nsky\n")


def validation_masks_of_another_size(root: Path) -> None:
    (root / "val").mkdir()
    for number in range(3):
        cv2.imwrite(str(root / "val" / f"{number}.png"), np.zeros((30, 30), np.uint8))


def boxes_only(root: Path) -> None:
    coco = json.loads((root / "faces.json").read_text())
    coco["categories"] = [{"id": 1, "name": "face"}]
    (root / "faces.json").write_text(json.dumps(coco))


def landmarks_without_sides(root: Path) -> None:
    (root / "faces.json").write_text((root / "faces.json").read_text().replace("left_", "one_").replace("right_", "two_"))


def unchanged(root: Path) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "command", "message"),
    [
        (mask_of_another_size, NAMED, "1.png is 40x61 (height x width), but its image "),
        (mask_of_another_size, SEGMENT, "1.png is 40x61 (height x width), but its image "),
        (mask_of_another_class, NAMED, "1.png holds class 3, but the model has 3 classes, 0 to 2 (255 is ignored)"),
        (mask_with_colors, NAMED, "1.png is uint8 (40, 60, 3); expected one channel"),
        (mask_with_colors, SEGMENT, "1.png is uint8 (40, 60, 3); expected one channel"),
        (damaged_mask, NAMED, "1.png is damaged"),
        (masks_of_0_and_255, SEGMENT, "masks hold nothing but 0 and 255"),
        (masks_of_0_and_255, NAMED, "masks hold nothing but 0 and 255"),
        (masks_of_one_class, SEGMENT, "only class_0"),
        (
            masks_of_gray_levels,
            SEGMENT,
            "3 of the class indices 0 to 120 (0, 60, 120)",
        ),
        (mask_too_large, NAMED, "1.png is 30000x40000 (height x width)"),
        (mask_too_large, SEGMENT, "1.png is 30000x40000 (height x width)"),
        (
            image_too_large,
            SEGMENT + " --val-images {root}/images --val-masks {root}/masks",
            "1.png is 100000x100000 (height",
        ),
        (unchanged, SEGMENT.replace("{root}/masks", "{root}/images"), "images and masks are both in {root}/images"),
        (one_class_folder, CLASSIFY, "animals holds one class folder, cat; expected at least two"),
        (
            unchanged,
            CLASSIFY + " --val-images {root}/animals --max-pixels 9",
            "40x60 (height x width), 2,400 pixels where",
        ),
        (missing_mask, NAMED, "1.png has no mask: "),
        (class_named_twice, NAMED, "classes.txt has a class name twice: sky"),
        (validation_masks_of_another_size, NAMED + " --val-masks {root}/val", "0.png is 30x30 (height x width), but its image "),
        (unchanged, SEGMENT + " --classes {root}/none.txt", "cannot read file of classes "),
        (unchanged, SEGMENT + " --class-weights 1,2", "--class-weights has 2 numbers, but the data have 3 classes"),
        (unchanged, SEGMENT + " --class-weights 1,x,2", "got '1,x,2'"),
        (unchanged, SEGMENT + " --train-annotations {root}/faces.json", "--train-annotations cannot be used for segmentation"),
        (unchanged, SEGMENT + " --mixup 0.2", "--mixup does not apply to segmentation"),
        (unchanged, SEGMENT.replace("--masks {root}/masks", ""), "segmentation needs --images and --masks: --masks is missing"),
        (unchanged, SEGMENT.replace("{root}/masks", "{root}/no"), "image folder {root}/no does not exist"),
        (unchanged, SEGMENT.replace("{root}/masks", "{root}/animals"), "0.png has no mask: "),
        (empty_class, CLASSIFY, "class folder {root}/animals/zebra has no images"),
        (other_classes, CLASSIFY + " --val-images {root}/val", "(cat, horse, ...) than the training data (cat, dog, ...)"),
        (unchanged, CLASSIFY.replace("animals", "images"), "images holds no folder; expected one for each class"),
        (unchanged, CLASSIFY.replace("animals", "none"), "image folder {root}/none does not exist"),
        (unchanged, CLASSIFY + " --masks {root}/masks", "--masks cannot be used for classification"),
        (unchanged, CLASSIFY + " --val-annotations {root}/faces.json", "--val-annotations cannot be used for classification"),
        (unchanged, CLASSIFY + " --class-weights 1", "--class-weights has 1 numbers, but the data have 2 classes"),
        (unchanged, CLASSIFY + " --class-weights 1,2 --balance-classes", "give only one of the two"),
        (unchanged, CLASSIFY + " --max-crop-aspect 0.5", "--max-crop-aspect must be at least 1, got 0.5"),
        (unchanged, CLASSIFY + " --recipe coco", "'coco'; there are imagenet, small"),
        (boxes_only, FACES, "faces.json has no category with keypoints"),
        (
            landmarks_without_sides,
            FACES,
            "the 6 keypoints (one_0, one_1, one_2, ...) are left and right",
        ),
        (unchanged, FACES + " --masks {root}/masks", "--masks cannot be used for landmarks"),
        (unchanged, FACES + " --balance-classes", "--balance-classes does not apply to landmarks"),
        (unchanged, FACES.replace("faces.json", "masks"), "masks is a folder without .pts files"),
        (unchanged, FACES.replace("faces.json", "classes.txt"), "classes.txt, line 1: 1 entries, expected 207"),
        (unchanged, FACES.replace("faces.json", "images/0.png"), "0.png is not JSON"),
        (unchanged, POSE + " --classes {root}/classes.txt", "--classes cannot be used for pose"),
        (unchanged, POSE + " --min-crop-area 0.2", "--min-crop-area does not apply to pose"),
        (unchanged, POSE.replace("faces.json", "masks"), "masks is a folder without .pts files"),
        (unchanged, POSE.replace("pose-small-v1", "segment-tiny"), "'segment-tiny'"),
        (unchanged, POSE.replace("pose-small-v1", "segment-w18"), "segmentation needs --images and --masks: --masks is missing"),
    ],
)
def test_error_is_one_line_and_nothing_is_written(
    spoil: Callable[[Path], None],
    command: str,
    message: str,
    root: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    spoil(root)
    out = tmp_path / "out"
    ended = hrnet(command.format(root=root, out=out))
    assert ended.code == 2
    assert "Traceback" not in ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message.format(root=root) in lines[0]
    assert not out.exists()


def test_mask_damaged_during_training(root: Path) -> None:
    from hrnet_tf.spec.presets import customized, preset
    from mobile_eval.datasets.base import DataSource
    from mobile_eval.tasks.registry import TASKS
    from training.config import DataConfig, TrainingConfig
    from training.data.examples import examples_for
    from training.data.tf_pipeline import reraised_data_errors, training_dataset
    from training.tasks.segmentation.settings import SegmentationSettings

    source = DataSource(root / "images", masks=root / "masks")
    data = TASKS["segmentation"].load(source)
    config = TrainingConfig("segmentation", SegmentationSettings(), DataConfig(source, batch_size=3))
    examples = examples_for(data, customized(preset("segment-small-v1"), input_size=(32, 32)), config)
    mask_of_another_size(root)
    with pytest.raises(HRNetError, match=r"^mask \S+1.png is 40x61") as caught, reraised_data_errors(examples):
        next(iter(training_dataset(examples, range(1))))
    assert "\n" not in str(caught.value)
