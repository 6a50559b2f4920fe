"""The cache of decoded images on disk: the same pixels, and each file decoded once."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.image_file import read_item
from training.data import image_cache
from training.data.image_cache import DONE, PIXELS, ImageCache


@pytest.fixture(scope="module")
def people(drawn: Path) -> KeypointDataset:
    return load_keypoint_dataset(drawn / "person_keypoints_train.json", drawn / "images")


def fail_to_read(*arguments: object) -> None:
    raise HRNetError("read again")


def test_cached_images_are_not_decoded_again(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path, people.instances)
    for _ in range(2):
        for instance in people.instances:
            np.testing.assert_array_equal(cache.read(instance), read_item(instance))
    cache.save()
    assert cache.size_bytes == 24 * 192 * 160 * 3 == (cache.folder / PIXELS).stat().st_size
    monkeypatch.setattr(image_cache, "read_item", fail_to_read)
    reopened = ImageCache(tmp_path, people.instances)
    assert sum(int(reopened.read(instance).sum()) for instance in people.instances[:4]) > 0


def test_unsaved_image_is_decoded_again(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ImageCache(tmp_path, people.instances)
    cache.read(people.instances[0])
    cache.save()
    unsaved = next(instance for instance in people.instances if instance.image_path != people.instances[0].image_path)
    cache.read(unsaved)  # not saved, as in a killed training
    monkeypatch.setattr(image_cache, "read_item", fail_to_read)
    reopened = ImageCache(tmp_path, people.instances)
    reopened.read(people.instances[0])
    with pytest.raises(HRNetError, match="read again"):
        reopened.read(unsaved)


def test_folder_depends_on_the_images(people: KeypointDataset, tmp_path: Path) -> None:
    all_images, first_images = ImageCache(tmp_path, people.instances), ImageCache(tmp_path, people.instances[:3])
    assert all_images.folder != first_images.folder


def test_damaged_cache(people: KeypointDataset, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path, people.instances)
    (cache.folder / DONE).write_bytes(b"\1")
    with pytest.raises(HRNetError, match=r"done\.bin.* 1 images, expected 24"):
        ImageCache(tmp_path, people.instances)
    (cache.folder / PIXELS).write_bytes(b"\1")
    with pytest.raises(HRNetError, match=r"pixels\.rgb.* 1 bytes, expected 2211840"):
        ImageCache(tmp_path, people.instances)


def test_full_disk(people: KeypointDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_to_allocate(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail_to_allocate)
    with pytest.raises(HRNetError, match=r"No space left on device.*`cache`"):
        ImageCache(tmp_path, people.instances)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
