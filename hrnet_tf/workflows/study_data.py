"""The data of a study, as options of the commands that read them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.workflows.steps import Part
from hrnet_tf.workflows.study_options import StudyOptions
from mobile_eval.errors import HRNetError

ANNOTATED = ("train_annotations", "val_annotations", "images")  # options of data with annotation files
MASKED = ("images", "masks", "val_images", "val_masks")  # options of images and masks


@dataclass(frozen=True)
class StudyData:
    """What the arms are trained and measured on: images with annotation files, or with masks.

    Attributes:
        images: Folder of the images.
        annotations: Training annotations; None for masks.
        val_annotations: Validation annotations; None for masks.
        masks: Folder of the masks; None for annotation files.
        val_images: Folder of the validation images; None for annotation files.
        val_masks: Folder of the validation masks; None for annotation files.
    """

    images: Path
    annotations: Path | None = None
    val_annotations: Path | None = None
    masks: Path | None = None
    val_images: Path | None = None
    val_masks: Path | None = None

    @classmethod
    def of(cls, options: StudyOptions) -> StudyData | None:
        """Return the data of the options; None if there are none.

        Raises:
            HRNetError: Some are missing, or do not belong together.
        """
        names = MASKED if options.size().has_masks else ANNOTATED
        values = {name: getattr(options, name) for name in (*ANNOTATED, *MASKED)}
        unused = [name for name, value in values.items() if value and name not in names]
        if unused:
            raise HRNetError(f"`{unused[0]}` is not for `preset` {options.preset}; give {cls.needed(options)}")
        if options.hold_out and options.val_annotations:
            raise HRNetError("`hold_out` measures on training images: leave `val_annotations` out")
        if options.hold_out and names == MASKED:
            raise HRNetError("`hold_out` needs annotation files: split images and masks into two folders each")
        required = [values[name] for name in names if not (options.hold_out and name == "val_annotations")]
        if not any(required):
            return None
        if not all(required):
            raise HRNetError(f"data need all of {cls.needed(options)}")
        values["annotations"] = values.pop("train_annotations")
        return cls(**values)

    @staticmethod
    def needed(options: StudyOptions) -> str:
        """Return the names of the options that the study needs for its data, as text."""
        if options.size().has_masks:
            return "`images`, `masks`, `val_images` and `val_masks`"
        return "`train_annotations`, `val_annotations` (or `hold_out`) and `images`"

    @classmethod
    def synthetic(cls, folder: Path) -> StudyData:
        """Return the people that `hrnet data synthetic` draws into a folder."""
        train, val = (folder / f"person_keypoints_{split}.json" for split in ("train", "val"))
        return cls(folder / "images", train, val)

    def split_into(self, folder: Path) -> StudyData:
        """Return the parts of the training annotations that `hrnet data split` writes into a folder."""
        return dataclasses.replace(self, annotations=folder / "train.json", val_annotations=folder / "held_out.json")

    @property
    def training(self) -> tuple[Part, ...]:
        """Options of commands that train."""
        return _options(
            ("--train-annotations", self.annotations),
            ("--images", self.images),
            ("--masks", self.masks),
            ("--val-annotations", self.val_annotations),
            ("--val-images", self.val_images),
            ("--val-masks", self.val_masks),
        )

    @property
    def ranking(self) -> tuple[Part, ...]:
        """Options of commands that read the training data without training."""
        return _options(("--annotations", self.annotations), ("--images", self.images), ("--masks", self.masks))

    @property
    def validation(self) -> tuple[Part, ...]:
        """Options of commands that measure on the validation data."""
        images = self.val_images or self.images
        return _options(("--annotations", self.val_annotations), ("--images", images), ("--masks", self.val_masks))


def _options(*pairs: tuple[str, Path | None]) -> tuple[Part, ...]:
    """The options that have a value."""
    return tuple(part for name, value in pairs if value for part in (name, value))
