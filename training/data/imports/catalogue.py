"""Importing classification data of tensorflow-datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from mobile_eval.errors import HRNetError
from mobile_eval.progress import tracked
from training.data.imports.layout import LabelledImage, check_new_or_imported, write_class_folders

INSTALL = "tensorflow-datasets is not installed: `pip install 'hrnet-tf[tfds]'`"
TFDSModule: TypeAlias = Any
TFDSBuilder: TypeAlias = Any


def import_tfds(name: str, split: str, output: Path, *, data_dir: Path | None = None, progress: bool = False) -> int:
    """Write a split of a data set into a folder for each class, images as they are encoded.

    tensorflow-datasets downloads and prepares the data set where necessary.

    Args:
        name: Name of the data set.
        split: Name of the split, or a part of one such as train[:80%].
        output: Folder to write.
        data_dir: Folder of tensorflow-datasets; None for its default.
        progress: Whether to show a progress bar.

    Returns:
        Number of images.

    Raises:
        HRNetError: The data set or split is unknown, or is not one of classification; or the folder holds something else.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise HRNetError(INSTALL) from error

    check_new_or_imported(output)
    try:
        builder = tfds.builder(name, data_dir=str(data_dir) if data_dir else None)
        builder.download_and_prepare()
        split_info = builder.info.splits[split]
    except Exception as error:  # tensorflow-datasets has a class for each unknown name, network failure and format
        raise HRNetError(f"cannot get {name!r}, split {split!r}, of tensorflow-datasets: {_reason(error)}") from error
    count = int(split_info.num_examples)
    images = tracked(_images(tfds, builder, split), "import", total=count, show=progress)
    origin = {"tfds": str(builder.info.full_name), "split": split, "images": count}
    return write_class_folders(images, output, origin)


def _images(tfds: TFDSModule, builder: TFDSBuilder, split: str) -> Iterator[LabelledImage]:
    """Yield the images in the order of the files."""
    image, label = _feature_names(tfds, builder)
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    decoders = {image: tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=in_order)
    class_name = builder.info.features[label].int2str
    for index, example in enumerate(tfds.as_numpy(dataset)):
        number = int(example[label])
        yield LabelledImage(f"{index:08d}", example[image], number, class_name(number))


def _feature_names(tfds: TFDSModule, builder: TFDSBuilder) -> tuple[str, str]:
    """Return the names of the features that hold the image and the class."""
    features, names = builder.info.features, []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        matching = [name for name, feature in features.items() if isinstance(feature, kind)]
        if len(matching) != 1:
            listed = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
            raise HRNetError(
                f"{builder.info.name} is not a classification data set: it must have one {kind.__name__}, but has {listed}"
            )
        names += matching
    return names[0], names[1]


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]
