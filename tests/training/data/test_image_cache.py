"""Decoded images kept on disk: the same pixels, read once, whatever happens in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_item
from training.data.image_cache import DONE, PIXELS, ImageCache


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def no_reading(*arguments: object) -> None:
    raise HRNetError("read again")


def test_images_are_read_once_and_are_the_same(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path, people.instances)
    for _ in range(2):
        for instance in people.instances:
            np.testing.assert_array_equal(cache.read(instance), read_item(instance))
    cache.save()
    assert cache.size_bytes == 24 * 192 * 160 * 3 == (cache.folder / PIXELS).stat().st_size
    monkeypatch.setattr("training.data.image_cache.read_item", no_reading)
    again = ImageCache(tmp_path, people.instances)
    assert sum(int(again.read(instance).sum()) for instance in people.instances[:4]) > 0


def test_what_was_not_noted_is_read_again(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path, people.instances)
    cache.read(people.instances[0])
    cache.save()
    last = next(instance for instance in people.instances if instance.image_path != people.instances[0].image_path)
    cache.read(last)  # and then the training is killed
    monkeypatch.setattr("training.data.image_cache.read_item", no_reading)
    again = ImageCache(tmp_path, people.instances)
    again.read(people.instances[0])
    with pytest.raises(HRNetError, match="read again"):
        again.read(last)


def test_other_images_have_another_place(people: KeypointDataset, tmp_path: Path) -> None:
    one, other = ImageCache(tmp_path, people.instances), ImageCache(tmp_path, people.instances[:3])
    assert one.folder != other.folder


def test_a_damaged_cache_is_refused(people: KeypointDataset, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, people.instances)
    (cache.folder / DONE).write_bytes(b"\1")
    with pytest.raises(HRNetError, match=r"done.bin is damaged: 1 images, expected 24; delete "):
        ImageCache(tmp_path, people.instances)
    (cache.folder / PIXELS).write_bytes(b"\1")
    with pytest.raises(HRNetError, match=r"pixels.rgb is damaged: 1 bytes, expected 2211840; delete "):
        ImageCache(tmp_path, people.instances)


def test_a_full_disk_is_said_before(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(HRNetError, match=r"No space left on device.*`cache`"):
        ImageCache(tmp_path, people.instances)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
