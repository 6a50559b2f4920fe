"""Folders of images: every skipped file is reported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.datasets.classification import load_classification_dataset
from mobile_eval.datasets.image_files import image_files, skipped_files_summary
from mobile_eval.datasets.segmentation import load_segmentation_dataset
from mobile_eval.errors import HRNetError
from tests.mobile_eval.conftest import Invoke, TaskModel, one_line
from tests.support.image_files import encoded, photograph, png_of_samples

PNG = encoded(photograph(40, 50), format="PNG")
GIF = encoded(photograph(40, 50), format="GIF")


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PNG)
    return folder


def test_all_suffixes_and_linked_folders(tmp_path: Path) -> None:
    names = ["a.gif", "b.JFIF", "c.JPG", "d.Png", "e.tiff", "f.pgm", "sub/deep/g.WEBP", "h.jpe"]
    folder, elsewhere = fill(tmp_path / "images", *names), fill(tmp_path / "elsewhere", "x/1.jpg", "2.jpg")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "sub" / "up").symlink_to(folder)  # a cycle
    (folder / "single.png").symlink_to(elsewhere / "2.jpg")
    fill(folder, ".hidden/1.png", ".1.png")
    files = image_files(folder)
    assert {path.relative_to(folder).as_posix() for path in files.images} == {
        *names, "linked/x/1.jpg", "linked/2.jpg", "single.png",
    }  # fmt: skip
    assert list(files.images) == sorted(files.images)
    assert files.skipped == ()


def test_skipped_files_are_counted_and_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "images", "a.png", "b.heic", "c.AVIF", "d", "sub/e.mp4", "readme.txt", "classes.json")
    (folder / "f.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(folder / "g.png")
    files = image_files(folder)
    assert [path.name for path in files.images] == ["a.png"]
    assert [path.name for path in files.skipped] == ["b.heic", "c.AVIF", "d", "f.jpg", "g.png", "e.mp4"]
    assert skipped_files_summary(files.skipped) == "6 files skipped: b.heic, c.AVIF, d, ..."
    assert skipped_files_summary(files.skipped[:1]) == "1 file skipped: b.heic"
    assert skipped_files_summary(()) == ""


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two classes, one of them a linked folder, and files that are not images."""
    fill(tmp_path / "pictures" / "of dogs", "1.gif", "2.png", "2.heic")
    folder = fill(tmp_path / "animals", "cat/1.png", "cat/more/2.JPG", "loose.png", "cat/notes.docx", "origin.json")
    (folder / "dog").symlink_to(tmp_path / "pictures" / "of dogs")
    (folder / "dog" / "1.gif").write_bytes(GIF)
    return folder


def test_class_folders(animals: Path, tmp_path: Path) -> None:
    data = load_classification_dataset(animals)
    assert data.classes == ("cat", "dog")
    labels = [(image.image_path.name, image.label) for image in data.images]
    assert labels == [
        ("1.png", 0),
        ("2.JPG", 0),
        ("1.gif", 1),
        ("2.png", 1),
    ]
    assert data.skipped_summary == "3 files skipped: loose.png, notes.docx, 2.heic"
    assert data.head(2).skipped_summary == data.with_classes(("dog", "cat")).skipped_summary == data.skipped_summary
    assert data.with_classes(("dog", "cat")).images[0].label == 1


def test_one_class_and_classes_without_images_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "one", "cat/1.png", "2.png")
    with pytest.raises(HRNetError, match=r"one .*cat"):
        load_classification_dataset(tmp_path / "one")
    fill(tmp_path / "two", "cat/1.png", "dog/1.heic")
    with pytest.raises(HRNetError, match=r"dog .*1\.heic"):
        load_classification_dataset(tmp_path / "two")


@pytest.mark.slow
def test_evaluation_reports_skipped_files(animals: Path, task_model: Callable[..., TaskModel], invoke: Invoke) -> None:
    (animals / "dog" / "1.gif").write_bytes(PNG)
    code, out, error = invoke("evaluate", task_model("classification", ("cat", "dog", "eel")).path, "--images", animals)
    assert code == 2
    assert "the model has 3 classes" in one_line(error)
    fill(animals, "eel/1.png")
    code, out, error = invoke("evaluate", task_model("classification", ("cat", "dog", "eel")).path, "--images", animals)
    assert code == 0
    assert "3 files skipped: loose.png, notes.docx, 2.heic" in error
    assert out.startswith("classification-float32.tflite: 5 images\n")


def test_images_without_mask_and_masks_without_image(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", "a.JPG", "b.raw")
    (tmp_path / "masks").mkdir()
    for name in "ac":
        (tmp_path / "masks" / f"{name}.png").write_bytes(png_of_samples(photograph(40, 50)[..., 0] // 128, 8))
    assert (
        load_segmentation_dataset(images, tmp_path / "masks").skipped_summary == "1 file skipped: b.raw, 1 mask without an image"
    )
