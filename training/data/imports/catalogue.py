"""Classification data of tensorflow-datasets, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mobile_eval.errors import HRNetError
from mobile_eval.progress import tracked
from training.data.imports.layout import LabelledImage, check_new_or_unpacked, write_class_folders

INSTALL = "tensorflow-datasets is not installed: `pip install 'hrnet-tf[tfds]'`"


def unpack_catalogued(name: str, split: str, output: Path, *, data: Path | None = None, progress: bool = False) -> int:
    """Write a split of the data set `name` into a folder for each class, its images as they are encoded; how many there are.

    It is downloaded and prepared in tensorflow-datasets' own folder, or in `data`, where it is not there yet.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise HRNetError(INSTALL) from error

    check_new_or_unpacked(output)
    try:
        builder = tfds.builder(name, data_dir=str(data) if data else None)
        builder.download_and_prepare()
        taken = builder.info.splits[split]
    except Exception as error:  # a name, network or format that it does not know: each has a class of its own
        raise HRNetError(f"cannot get {name!r}, split {split!r}, of tensorflow-datasets: {_reason(error)}") from error
    image, label = _image_and_label(tfds, builder.info)
    images = _images(tfds, builder, split, image, label)
    shown = tracked(images, "unpack", total=int(taken.num_examples), show=progress)
    origin = {"tfds": str(builder.info.full_name), "split": split, "images": int(taken.num_examples)}
    return write_class_folders(shown, output, origin)


def _images(tfds: Any, builder: Any, split: str, image: str, label: str) -> Iterator[LabelledImage]:
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    decoders = {image: tfds.decode.SkipDecoding()}
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=in_order)
    names = builder.info.features[label].int2str
    for index, example in enumerate(tfds.as_numpy(dataset)):
        number = int(example[label])
        yield LabelledImage(f"{index:08d}", example[image], number, names(number))


def _image_and_label(tfds: Any, info: Any) -> tuple[str, str]:
    """The names of its features that are an image and a class."""
    kinds = {kind: [name for name, one in info.features.items() if isinstance(one, kind)] for kind in _kinds(tfds)}
    for kind, names in kinds.items():
        if len(names) != 1:
            listed = ", ".join(f"{name} ({type(one).__name__})" for name, one in info.features.items())
            raise HRNetError(f"{info.name} is no classification data set: it needs one {kind.__name__}, and has {listed}")
    [image], [label] = kinds.values()
    return image, label


def _kinds(tfds: Any) -> tuple[type, type]:
    return tfds.features.Image, tfds.features.ClassLabel


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]
