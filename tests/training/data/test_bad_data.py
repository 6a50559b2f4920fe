"""Bad data of every task, and data of one task given to another: one line, exit code 2, and nothing is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import hrnet_tf.__main__
from mobile_eval.errors import HRNetError
from tests.support.image_files import png_that_claims

SMALL = "--input-size 32x32 --modules 1,1,1 --width 4 --epochs 1 --batch-size 2 --output {out}"
SEGMENT = "train segment-small-v1 --images {at}/images --masks {at}/masks " + SMALL
NAMED = f"{SEGMENT} --classes {{at}}/classes.txt"
CLASSIFY = "train classify-small-v1 --images {at}/animals " + SMALL
FACES = "train landmarks-small-v1 --train-annotations {at}/faces.json --images {at}/images --batch-size 2 --output {out}"
POSE = "train pose-small-v1 --train-annotations {at}/faces.json --images {at}/images --batch-size 2 --output {out}"


@pytest.fixture
def at(tmp_path: Path) -> Path:
    """Three images, their masks of three classes, the classes' names, faces in them, and two classes of animals."""
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
        one = {"id": number, "image_id": number, "category_id": 1, "bbox": [5, 5, 30, 30]}
        annotations.append({**one, "keypoints": [10.0, 20.0, 2] * 6})
    (folder / "classes.txt").write_text("sky\nroad\ncar\n")
    category = {"id": 1, "name": "face", "keypoints": names, "skeleton": []}
    (folder / "faces.json").write_text(json.dumps({"images": images, "categories": [category], "annotations": annotations}))
    return folder


def mask_of_another_size(at: Path) -> None:
    cv2.imwrite(str(at / "masks" / "1.png"), np.zeros((40, 61), np.uint8))


def mask_of_another_class(at: Path) -> None:
    cv2.imwrite(str(at / "masks" / "1.png"), np.full((40, 60), 3, np.uint8))


def mask_in_colours(at: Path) -> None:
    cv2.imwrite(str(at / "masks" / "1.png"), np.zeros((40, 60, 3), np.uint8))


def mask_that_is_damaged(at: Path) -> None:
    (at / "masks" / "1.png").write_bytes((at / "masks" / "1.png").read_bytes()[:30])


def masks_of_0_and_255(at: Path) -> None:
    for path in (at / "masks").iterdir():
        cv2.imwrite(str(path), np.tile(np.array([0, 255], np.uint8), (40, 30)))


def masks_of_one_class(at: Path) -> None:
    for path in (at / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((40, 60), np.uint8))


def masks_of_greys(at: Path) -> None:
    for number, path in enumerate((at / "masks").iterdir()):
        cv2.imwrite(str(path), np.full((40, 60), 60 * number, np.uint8))


def mask_too_large(at: Path) -> None:
    (at / "masks" / "1.png").write_bytes(png_that_claims(40000, 30000, 1, 0))


def image_too_large(at: Path) -> None:
    (at / "images" / "1.png").write_bytes(png_that_claims(100000, 100000))


def one_class_folder(at: Path) -> None:
    (at / "animals" / "dog").rename(at / "dog")


def no_mask(at: Path) -> None:
    (at / "masks" / "1.png").unlink()


def empty_class(at: Path) -> None:
    (at / "animals" / "zebra").mkdir()


def other_classes(at: Path) -> None:
    (at / "val" / "horse").mkdir(parents=True)
    (at / "val" / "cat").mkdir()
    for name in ("horse", "cat"):
        cv2.imwrite(str(at / "val" / name / "a.png"), np.zeros((9, 9, 3), np.uint8))


def class_named_twice(at: Path) -> None:
    (at / "classes.txt").write_text("sky\nroad\nsky\n")


def other_masks_to_measure_on(at: Path) -> None:
    (at / "val").mkdir()
    for number in range(3):
        cv2.imwrite(str(at / "val" / f"{number}.png"), np.zeros((30, 30), np.uint8))


def boxes_only(at: Path) -> None:
    coco = json.loads((at / "faces.json").read_text())
    coco["categories"] = [{"id": 1, "name": "face"}]
    (at / "faces.json").write_text(json.dumps(coco))


def landmarks_without_sides(at: Path) -> None:
    (at / "faces.json").write_text((at / "faces.json").read_text().replace("left_", "one_").replace("right_", "two_"))


def nothing(at: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "command", "message"),
    [
        (mask_of_another_size, NAMED, "1.png is 40x61 (height x width), but its image "),
        (mask_of_another_size, SEGMENT, "1.png is 40x61 (height x width), but its image "),
        (mask_of_another_class, NAMED, "1.png holds class 3, but the model has 3 classes, 0 to 2 (255 is ignored)"),
        (mask_in_colours, NAMED, "1.png is uint8 (40, 60, 3); expected one channel"),
        (mask_in_colours, SEGMENT, "1.png is uint8 (40, 60, 3); expected one channel"),
        (mask_that_is_damaged, NAMED, "1.png is damaged"),
        (masks_of_0_and_255, SEGMENT, "masks hold nothing but 0 and 255"),
        (masks_of_0_and_255, NAMED, "masks hold nothing but 0 and 255"),
        (masks_of_one_class, SEGMENT, "only class_0"),
        (
            masks_of_greys,
            SEGMENT,
            "3 of the class indices 0 to 120 (0, 60, 120)",
        ),
        (mask_too_large, NAMED, "1.png is 30000x40000 (height x width)"),
        (mask_too_large, SEGMENT, "1.png is 30000x40000 (height x width)"),
        (
            image_too_large,
            SEGMENT + " --val-images {at}/images --val-masks {at}/masks",
            "1.png is 100000x100000 (height",
        ),
        (nothing, SEGMENT.replace("{at}/masks", "{at}/images"), "images and masks are both in {at}/images"),
        (one_class_folder, CLASSIFY, "animals holds one class folder, cat; expected at least two"),
        (
            nothing,
            CLASSIFY + " --val-images {at}/animals --max-pixels 9",
            "40x60 (height x width), 2,400 pixels where",
        ),
        (no_mask, NAMED, "1.png has no mask: "),
        (class_named_twice, NAMED, "classes.txt has a class name twice: sky"),
        (other_masks_to_measure_on, NAMED + " --val-masks {at}/val", "0.png is 30x30 (height x width), but its image "),
        (nothing, SEGMENT + " --classes {at}/none.txt", "cannot read file of classes "),
        (nothing, SEGMENT + " --class-weights 1,2", "--class-weights has 2 numbers, but the data have 3 classes"),
        (nothing, SEGMENT + " --class-weights 1,x,2", "got '1,x,2'"),
        (nothing, SEGMENT + " --train-annotations {at}/faces.json", "--train-annotations cannot be used for segmentation"),
        (nothing, SEGMENT + " --mixup 0.2", "--mixup does not apply to segmentation"),
        (nothing, SEGMENT.replace("--masks {at}/masks", ""), "segmentation needs --images and --masks: --masks is missing"),
        (nothing, SEGMENT.replace("{at}/masks", "{at}/no"), "image folder {at}/no does not exist"),
        (nothing, SEGMENT.replace("{at}/masks", "{at}/animals"), "0.png has no mask: "),
        (empty_class, CLASSIFY, "class folder {at}/animals/zebra has no images"),
        (other_classes, CLASSIFY + " --val-images {at}/val", "(cat, horse, ...) than the training data (cat, dog, ...)"),
        (nothing, CLASSIFY.replace("animals", "images"), "images holds no folder; expected one for each class"),
        (nothing, CLASSIFY.replace("animals", "none"), "image folder {at}/none does not exist"),
        (nothing, CLASSIFY + " --masks {at}/masks", "--masks cannot be used for classification"),
        (nothing, CLASSIFY + " --val-annotations {at}/faces.json", "--val-annotations cannot be used for classification"),
        (nothing, CLASSIFY + " --class-weights 1", "--class-weights has 1 numbers, but the data have 2 classes"),
        (nothing, CLASSIFY + " --class-weights 1,2 --balance-classes", "give only one of the two"),
        (nothing, CLASSIFY + " --max-crop-aspect 0.5", "--max-crop-aspect must be at least 1, got 0.5"),
        (nothing, CLASSIFY + " --recipe coco", "'coco'; there are imagenet, small"),
        (boxes_only, FACES, "faces.json has no category with keypoints"),
        (
            landmarks_without_sides,
            FACES,
            "the 6 keypoints (one_0, one_1, one_2, ...) are left and right",
        ),
        (nothing, FACES + " --masks {at}/masks", "--masks cannot be used for landmarks"),
        (nothing, FACES + " --balance-classes", "--balance-classes does not apply to landmarks"),
        (nothing, FACES.replace("faces.json", "masks"), "masks is a folder without .pts files"),
        (nothing, FACES.replace("faces.json", "classes.txt"), "classes.txt, line 1: 1 entries, expected 207"),
        (nothing, FACES.replace("faces.json", "images/0.png"), "0.png is not JSON"),
        (nothing, POSE + " --classes {at}/classes.txt", "--classes cannot be used for pose"),
        (nothing, POSE + " --min-crop-area 0.2", "--min-crop-area does not apply to pose"),
        (nothing, POSE.replace("faces.json", "masks"), "masks is a folder without .pts files"),
        (nothing, POSE.replace("pose-small-v1", "segment-tiny"), "'segment-tiny'"),
        (nothing, POSE.replace("pose-small-v1", "segment-w18"), "segmentation needs --images and --masks: --masks is missing"),
    ],
)
def test_one_line_and_nothing_written(
    spoil: Callable[[Path], None],
    command: str,
    message: str,
    at: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(at)
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["hrnet", *command.format(at=at, out=out).split()])
    with pytest.raises(SystemExit) as ended:
        hrnet_tf.__main__.main()
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message.format(at=at) in lines[0]
    assert not out.exists()


def test_a_mask_that_is_spoilt_while_training_ends_it_in_one_line(at: Path) -> None:
    from hrnet_tf.spec.presets import customized, preset
    from mobile_eval.datasets.base import DataSource
    from mobile_eval.tasks.registry import TASKS
    from training.config import DataConfig, TrainingConfig
    from training.data.examples import examples_for
    from training.data.tf_pipeline import reraised_data_errors, training_dataset
    from training.tasks.segmentation.settings import SegmentationSettings

    source = DataSource(at / "images", masks=at / "masks")
    data = TASKS["segmentation"].load(source)
    config = TrainingConfig("segmentation", SegmentationSettings(), DataConfig(source, batch_size=3))
    examples = examples_for(data, customized(preset("segment-small-v1"), input_size=(32, 32)), config)
    mask_of_another_size(at)
    with pytest.raises(HRNetError, match=r"^mask \S+1.png is 40x61") as caught, reraised_data_errors(examples):
        next(iter(training_dataset(examples, range(1))))
    assert "\n" not in str(caught.value)
