"""Similar images: against comparing all pairs, and changes that must and must not count."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.check.duplicates import MAX_BITS, difference_hashes, similar_images
from training.data.check.images import THUMBNAIL, ImageFacts


def facts(name: str, thumbnail: np.ndarray) -> ImageFacts:
    return ImageFacts(Path(name), (8, 9), name.encode(), thumbnail.astype(np.uint8))


def test_similar_images_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    train = rng.integers(0, 250, (300, *THUMBNAIL))
    queries = np.concatenate([train[:60] + rng.integers(-3, 4, (60, *THUMBNAIL)), rng.integers(0, 250, (40, *THUMBNAIL))])
    queries = np.clip(queries, 0, 255)
    hashes, query_hashes = (np.unpackbits(difference_hashes(each.astype(np.uint8)), axis=1) for each in (train, queries))
    bits = (hashes[None] != query_hashes[:, None]).sum(axis=2)
    levels = np.abs(train[None] - queries[:, None]).mean(axis=(2, 3))
    expected = set(np.flatnonzero(((bits <= MAX_BITS) & (levels <= 3)).any(axis=1)).tolist())
    assert 20 < len(expected) <= 60
    pairs = similar_images(
        [facts(f"t{index}", image) for index, image in enumerate(train)],
        [facts(f"v{index}", image) for index, image in enumerate(queries)],
    )
    assert {int(str(val)[1:]) for val, _ in pairs} == expected
    assert all(str(val)[1:] == str(other)[1:] for val, other in pairs)


@pytest.mark.parametrize(
    ("change", "is_similar"), [("compressed", True), ("smaller", True), ("flipped", False), ("darker", False)]
)
def test_changes_of_an_image(change: str, is_similar: bool) -> None:
    image = cv2.resize(np.random.default_rng(1).integers(0, 256, (10, 12), np.uint8), (240, 200), interpolation=cv2.INTER_CUBIC)
    changed = {
        "compressed": cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE),
        "smaller": cv2.resize(image, (180, 150), interpolation=cv2.INTER_AREA),
        "flipped": image[:, ::-1],
        "darker": image // 2,
    }[change]
    thumbnails = [cv2.resize(each, THUMBNAIL[::-1], interpolation=cv2.INTER_AREA) for each in (image, changed)]
    assert bool(similar_images([facts("a", thumbnails[0])], [facts("b", thumbnails[1])])) is is_similar


def test_images_without_contrast_are_not_compared() -> None:
    flat = facts("a", np.full(THUMBNAIL, 100))
    assert similar_images([flat], [flat]) == []
