"""Data sets of the package's tasks as values: files and folders, from which the training and validation set are loaded.

They hold the same `TrainingData` that the options of the command line become. The module imports nothing heavy, so that devices
evaluate models with them too.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mobile_eval.datasets.base import DataSource, TaskDataset, log_skipped
from mobile_eval.errors import HRNetError
from mobile_eval.files import AnyPath
from mobile_eval.messages import number_of
from mobile_eval.options import listed
from mobile_eval.tasks.registry import get_task
from training.data.options import TrainingData
from training.data.sources import TRAIN_NAMES, VAL_NAMES, validation_source

SHOWN_NAMES = 5
SPLITS = ("train", "val")
LABELS = {"train": "training", "val": "validation"}
COCO_ARGUMENTS: Mapping[str, str] = {"train_annotations": "train", "val_annotations": "val"}


@dataclass(frozen=True, repr=False)
class Dataset:
    """The training and validation set of a task. Nothing is read before it is needed.

    Attributes:
        task: Name of the task.
        files: The files and folders.
    """

    task: str
    files: TrainingData
    # Names of the arguments of a subclass, where not as the fields of `TrainingData`.
    ARGUMENTS: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        if not any(map(self.has, SPLITS)):
            train, val = (listed(self._missing(split), " and ") for split in SPLITS)
            raise HRNetError(f"{type(self).__name__} needs {train} for training, or {val} for validation")
        for name, path in self._paths().items():
            if not path.exists():
                raise HRNetError(f"`{self._argument(name)}` {path} does not exist")

    def has(self, split: str) -> bool:
        """Return whether there is a set "train" or "val"."""
        source = self._sources.get(split)
        return source is not None and all(getattr(source, name) is not None for name in get_task(self.task).needs)

    def source(self, split: str) -> DataSource:
        """Return the files and folders of the set "train" or "val". Raises HRNetError, naming the argument, if there is none."""
        source = self._sources.get(split)
        if source is None or not self.has(split):
            kind, missing = LABELS[split], listed(self._missing(split), " and ")
            raise HRNetError(f"{self!r} has no {kind} set: give {missing}")
        return source

    @functools.cached_property
    def train(self) -> TaskDataset:
        """The training set. Raises HRNetError if there is none, or if it cannot be read."""
        return self._load("train")

    @functools.cached_property
    def val(self) -> TaskDataset:
        """The validation set. Raises HRNetError if there is none, or if it cannot be read."""
        return self._load("val")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the key points, landmarks or classes."""
        return self._first.names

    def __len__(self) -> int:
        """Number of items of the training set; of the validation set where there is no training set."""
        return len(self._first)

    def __bool__(self) -> bool:
        return True  # without reading the data

    def __repr__(self) -> str:
        values = {name: getattr(self.files, name) for name in vars(self.files)}
        shown = [f"{self._argument(name)}={_plain(value)!r}" for name, value in values.items() if value not in (None, False)]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __str__(self) -> str:
        noun = get_task(self.task).report().items
        counts = [f"{number_of(len(getattr(self, split)), noun)} for {LABELS[split]}" for split in SPLITS if self.has(split)]
        names = ", ".join(self.names[:SHOWN_NAMES]) + (", ..." if len(self.names) > SHOWN_NAMES else "")
        return f"{self.task}: {', '.join(counts)}; {len(self.names)} labels: {names}"

    @property
    def _first(self) -> TaskDataset:
        return self.train if self.has("train") else self.val

    @functools.cached_property
    def _sources(self) -> dict[str, DataSource | None]:
        names = {name: self._argument(option) for name, option in VAL_NAMES.items()}
        return {"train": self.files.train, "val": validation_source(self.task, self.files, self.files.train, names)}

    def _load(self, split: str) -> TaskDataset:
        source = self.source(split)
        data: TaskDataset = get_task(self.task).load(source)
        log_skipped(source, data)
        return data

    def _missing(self, split: str) -> list[str]:
        """Arguments that the set lacks. A validation set has the images of the training set, unless it has others."""
        source, names = self._sources[split], {"train": TRAIN_NAMES, "val": VAL_NAMES}[split]
        needs = get_task(self.task).needs
        labels = [name for name in needs if name != "images"] or needs if source is None else ()
        lacking = [name for name in needs if name in labels or getattr(source or self.files.train, name) is None]
        return [self._argument(names.get(name, name)) for name in lacking]

    def _argument(self, name: str) -> str:
        return self.ARGUMENTS.get(name, name)

    def _paths(self) -> dict[str, Path]:
        return {name: value for name, value in vars(self.files).items() if isinstance(value, Path)}


class _Keypoints(Dataset):
    """What `CocoKeypoints` and `FaceLandmarks` share."""

    ARGUMENTS = COCO_ARGUMENTS
    TASK: ClassVar[str]

    def __init__(
        self,
        images: AnyPath,
        train: AnyPath | None = None,
        val: AnyPath | None = None,
        *,
        val_images: AnyPath | None = None,
        category: str | None = None,
        strict: bool = False,
        exif: str | None = None,
    ):
        paths = _as_paths(COCO_ARGUMENTS, images=images, train_annotations=train, val_annotations=val, val_images=val_images)
        super().__init__(self.TASK, TrainingData(**paths, category=category, strict=strict, exif=exif))


class CocoKeypoints(_Keypoints):
    """People, or instances of another category, with key points in COCO's format.

    Args:
        images: Folder of the images.
        train: Annotation file of the training set, COCO JSON; None for no training set.
        val: Annotation file of the validation set; None for no validation set.
        val_images: Folder of the validation images, if it is another one.
        category: Name or id of the category, where several have key points.
        strict: Refuse a file at its first bad label, instead of skipping up to 1 % of the labels.
        exif: Whether annotations are of images as EXIF turns them ("upright") or as they are stored ("stored"); None decides by
            the sizes in the file.

    Raises:
        HRNetError: A file or folder does not exist, or neither `train` nor `val` is set.

    Example:
        >>> data = CocoKeypoints("images", train="train.json", val="val.json")  # doctest: +SKIP
        >>> len(data), data.names[:2]  # doctest: +SKIP
        (149813, ('nose', 'left_eye'))
    """

    TASK = "pose"


class FaceLandmarks(_Keypoints):
    """Faces with landmarks: COCO JSON, the lists of WFLW, a CSV, or a folder of .pts files.

    Args:
        images: Folder of the images.
        train: Annotations of the training set, a file or a folder of .pts files; None for no training set.
        val: Annotations of the validation set; None for no validation set.
        val_images: Folder of the validation images, if it is another one.
        category: Name or id of the category, where a COCO file has several with key points.
        strict: Refuse a file at its first bad label, instead of skipping up to 1 % of the labels.
        exif: Whether annotations are of images as EXIF turns them ("upright") or as they are stored ("stored"); None decides by
            the sizes in the file.

    Raises:
        HRNetError: A file or folder does not exist, or neither `train` nor `val` is set.

    Example:
        >>> data = FaceLandmarks("WFLW_images", train="train.txt", val="test.txt")  # doctest: +SKIP
    """

    TASK = "landmarks"


class CocoBoxes(Dataset):
    """Images with boxes of objects, COCO JSON.

    Args:
        images: Folder of the images.
        train: Annotation file of the training set; None for no training set.
        val: Annotation file of the validation set; None for no validation set.
        val_images: Folder of the validation images, if it is another one.
        strict: Refuse a file at its first bad label, instead of skipping up to 1 % of the labels.
        exif: Whether annotations are of images as EXIF turns them ("upright") or as they are stored ("stored"); None decides by
            the sizes in the file.

    Raises:
        HRNetError: A file or folder does not exist, or neither `train` nor `val` is set.

    Example:
        >>> data = CocoBoxes("images", train="instances_train.json", val="instances_val.json")  # doctest: +SKIP
    """

    ARGUMENTS = COCO_ARGUMENTS

    def __init__(
        self,
        images: AnyPath,
        train: AnyPath | None = None,
        val: AnyPath | None = None,
        *,
        val_images: AnyPath | None = None,
        strict: bool = False,
        exif: str | None = None,
    ):
        paths = _as_paths(COCO_ARGUMENTS, images=images, train_annotations=train, val_annotations=val, val_images=val_images)
        super().__init__("detection", TrainingData(**paths, strict=strict, exif=exif))


class MaskFolder(Dataset):
    """Images, and for each a mask of class indices, in which 255 is ignored.

    Args:
        images: Folder of the training images; None for no training set.
        masks: Folder of their masks, of the same names.
        val_images: Folder of the validation images; None for no validation set.
        val_masks: Folder of their masks.
        classes: File with the names of the classes in their order: a JSON list, or one name per line.
        exif: Whether masks are of images as EXIF turns them ("upright") or as they are stored ("stored"); None decides by their
            sizes.

    Raises:
        HRNetError: A file or folder does not exist, or there are neither training nor validation masks.

    Example:
        >>> data = MaskFolder("train/images", "train/masks", "val/images", "val/masks", classes="classes.txt")  # doctest: +SKIP
    """

    def __init__(
        self,
        images: AnyPath | None = None,
        masks: AnyPath | None = None,
        val_images: AnyPath | None = None,
        val_masks: AnyPath | None = None,
        *,
        classes: AnyPath | None = None,
        exif: str | None = None,
    ):
        paths = _as_paths({}, images=images, masks=masks, val_images=val_images, val_masks=val_masks, classes=classes)
        super().__init__("segmentation", TrainingData(**paths, exif=exif))


class ImageFolder(Dataset):
    """Images in a folder for each class, which is named after the class.

    Args:
        train: Folder of the training set; None for no training set.
        val: Folder of the validation set; None for no validation set.

    Raises:
        HRNetError: A folder does not exist, or neither `train` nor `val` is set.

    Example:
        >>> data = ImageFolder("flowers/train", "flowers/val")  # doctest: +SKIP
    """

    ARGUMENTS: ClassVar[Mapping[str, str]] = {"images": "train", "val_images": "val"}

    def __init__(self, train: AnyPath | None = None, val: AnyPath | None = None):
        super().__init__("classification", TrainingData(**_as_paths(self.ARGUMENTS, images=train, val_images=val)))


def _as_paths(arguments: Mapping[str, str], **values: AnyPath | None) -> dict[str, Any]:
    """Paths for `TrainingData`. Raises HRNetError, naming the argument, for what is no path."""
    for name, value in values.items():
        if not isinstance(value, str | os.PathLike | None):
            raise HRNetError(f"`{arguments.get(name, name)}` must be a path, got {value!r}")
    return {name: None if value is None else Path(value) for name, value in values.items()}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
