"""Images that occur twice: in a set, or in the training set and the validation set.

Similar images are those whose difference hashes (Krawetz, "Kind of Like That", 2013) differ in at most 3 of 64 bits, and whose
thumbnails differ by at most 3 gray levels on average. Images without contrast are not compared.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_eval.messages import number_of
from training.data.check.images import ImageFacts
from training.data.check.result import WARNING, Finding

MAX_BITS = 3  # of 64: hashes with at most as many different bits share one of their 4 parts of 16 bits
MAX_GRAY_LEVELS = 3.0
MIN_CONTRAST = 4.0  # standard deviation of a thumbnail in gray levels
Hashes = NDArray[np.uint8]  # (N, 8)


def duplicates_within(images: Sequence[ImageFacts], split: str) -> list[Finding]:
    """Files of a set with the same content.

    Args:
        images: The images of the set.
        split: "train" or "val".
    """
    groups: defaultdict[bytes, list[Path]] = defaultdict(list)
    for facts in images:
        if facts.digest:
            groups[facts.digest].append(facts.path)
    same = [paths for paths in groups.values() if len(paths) > 1]
    if not same:
        return []
    count = sum(len(paths) - 1 for paths in same)
    examples = tuple(" = ".join(str(path) for path in paths[:2]) for paths in same)
    return [
        Finding(
            "copies",
            f"{count:,} of {number_of(len(images), 'images')} are copies of others in the set",
            WARNING,
            split,
            count,
            examples,
        )
    ]


def duplicates_between(train: Sequence[ImageFacts], val: Sequence[ImageFacts]) -> list[Finding]:
    """Validation images that are in the training set too: the same file, the same content, or similar pixels.

    Args:
        train: The images of the training set.
        val: The images of the validation set. Each is in one finding at most.
    """
    files = {os.path.realpath(facts.path): facts.path for facts in train}
    contents = {facts.digest: facts.path for facts in train if facts.digest}
    shared: list[tuple[Path, Path]] = []
    copied: list[tuple[Path, Path]] = []
    rest: list[ImageFacts] = []
    for facts in val:
        if (path := files.get(os.path.realpath(facts.path))) is not None:
            shared.append((facts.path, path))
        elif facts.digest and (path := contents.get(facts.digest)) is not None:
            copied.append((facts.path, path))
        else:
            rest.append(facts)
    kinds = {
        "shared images": (shared, "are in the training set too"),
        "shared copies": (copied, "are copies of training images"),
        "similar images": (similar_images(train, rest), "are nearly the same as training images"),
    }
    return [
        Finding(
            kind,
            f"{len(pairs):,} of {number_of(len(val), 'images')} in val {text}",
            WARNING,
            "",
            len(pairs),
            tuple(f"{a} = {b}" for a, b in pairs),
        )
        for kind, (pairs, text) in kinds.items()
        if pairs
    ]


def similar_images(train: Sequence[ImageFacts], val: Sequence[ImageFacts]) -> list[tuple[Path, Path]]:
    """Pairs (validation image, training image) of similar images; one for each validation image at most."""
    train, val = ([facts for facts in images if facts.thumbnail.std() >= MIN_CONTRAST] for images in (train, val))
    if not train or not val:
        return []
    train_thumbnails, val_thumbnails = (np.stack([facts.thumbnail for facts in images]) for images in (train, val))
    hashes, queries = difference_hashes(train_thumbnails), difference_hashes(val_thumbnails)
    pairs = []
    for index, candidates in enumerate(_candidates(hashes, queries)):
        bits = np.unpackbits(hashes[candidates] ^ queries[index], axis=1).sum(axis=1)
        candidates = candidates[bits <= MAX_BITS]
        difference = np.abs(train_thumbnails[candidates].astype(np.int16) - val_thumbnails[index]).mean(axis=(1, 2))
        if len(difference) and difference.min() <= MAX_GRAY_LEVELS:
            pairs.append((val[index].path, train[candidates[difference.argmin()]].path))
    return pairs


def difference_hashes(thumbnails: NDArray[np.uint8]) -> Hashes:
    """Hashes (N, 8) of thumbnails (N, 8, 9): whether each pixel is brighter than its left neighbor."""
    return np.packbits(thumbnails[:, :, 1:] > thumbnails[:, :, :-1], axis=2)[:, :, 0]


def _candidates(hashes: Hashes, queries: Hashes) -> list[NDArray[np.intp]]:
    """For each query, the indices of the hashes that share one of the four parts of 16 bits with it."""
    parts, query_parts = (np.ascontiguousarray(values).view(np.uint16) for values in (hashes, queries))
    matches: list[list[NDArray[np.intp]]] = [[] for _ in queries]
    for place in range(parts.shape[1]):
        order = np.argsort(parts[:, place], kind="stable")
        values = parts[order, place]
        starts, ends = (np.searchsorted(values, query_parts[:, place], side) for side in ("left", "right"))
        for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
            matches[index].append(order[start:end])
    return [np.unique(np.concatenate(arrays)) for arrays in matches]
