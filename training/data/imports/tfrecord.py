"""Importing classification data in TFRecord files, in the layout of the usual ImageNet scripts."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hrnet_tf.backend.keras_module import tf
from mobile_eval.datasets.classes import read_class_names
from mobile_eval.errors import HRNetError
from mobile_eval.progress import tracked
from training.data.imports.layout import LabelledImage, write_class_folders

TFExample: TypeAlias = Any  # tf.train.Example
TFFeatures: TypeAlias = Any  # its features by name

IMAGE, LABEL, SYNSET, TEXT = "image/encoded", "image/class/label", "image/class/synset", "image/class/text"
GZIP, ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # how compressed files begin


def import_tfrecords(sources: Sequence[str], output: Path, *, classes: Path | None = None, progress: bool = False) -> int:
    """Write the images of TFRecord files into a folder for each class.

    A record has `image/encoded` and `image/class/label`.

    Args:
        sources: TFRecord files, folders of them, or patterns.
        output: Folder to write.
        classes: File with the names of the classes in the order of the labels, from 0. Without it a class is named by
            `image/class/synset` or `image/class/text`, otherwise by its number.
        progress: Whether to show a progress bar.

    Returns:
        Number of images.

    Raises:
        HRNetError: A file or record cannot be read, or the folder holds something else.
    """
    files = record_files(sources)
    names = read_class_names(classes) if classes else None
    origin = {
        "tfrecords": [[file.name, file.stat().st_size] for file in files],
        "classes": list(names) if names else None,
    }
    return write_class_folders(labelled_images(files, names, progress=progress), output, origin)


def record_files(sources: Sequence[str]) -> list[Path]:
    """Return the named files, those that match a pattern, and those in folders with "tfrecord" or "-of-" in their names."""
    files: list[Path] = []
    for source in sources:
        path = Path(source)
        if path.is_file():
            matching = [path]
        elif path.is_dir():
            matching = [file for file in sorted(path.iterdir()) if file.is_file() and _is_record_name(file.name)]
        else:
            matching = [Path(name) for name in sorted(glob.glob(source))]
        if not matching:
            raise HRNetError(f"there are no TFRecord files at {source}")
        files += matching
    return files


def _is_record_name(name: str) -> bool:
    return "tfrecord" in name or "-of-" in name


def labelled_images(
    files: Sequence[Path], names: Sequence[str] | None = None, *, progress: bool = False
) -> Iterator[LabelledImage]:
    """Yield the images of TFRecord files with their classes; HRNetError names the file and record that cannot be read."""
    for number, file in enumerate(tracked(files, "import", show=progress)):
        dataset = tf.data.TFRecordDataset(str(file), compression_type=compression(file))
        index = -1
        try:
            for index, record in enumerate(dataset.as_numpy_iterator()):
                yield _labelled(tf.train.Example.FromString(record), f"{number:05d}_{index:07d}", names)
        except HRNetError as error:
            raise HRNetError(f"{file}, record {index}: {error}") from error
        except (tf.errors.OpError, *_decode_errors()) as error:
            raise HRNetError(f"{file} is damaged after record {index}, or is not a TFRecord file: {_reason(error)}") from error


def compression(file: Path) -> str | None:
    """Return the compression of a file by its content, GZIP or ZLIB as tf.data calls them, or None.

    An uncompressed file begins with the length of its first record, which may look like the header of a compressed file. Such a
    file is compressed only if reading it as a plain one fails at the checksum.
    """
    with file.open("rb") as opened:
        header = opened.read(2)
    kind = "GZIP" if header == GZIP else "ZLIB" if header in ZLIB else None
    if kind is None:
        return None
    try:
        next(iter(tf.data.TFRecordDataset(str(file)).take(1)), None)
    except tf.errors.OpError:
        return kind
    return None


def _labelled(example: TFExample, key: str, names: Sequence[str] | None) -> LabelledImage:
    features = example.features.feature
    data, label = features[IMAGE].bytes_list.value, features[LABEL].int64_list.value
    if len(data) != 1 or len(label) != 1:
        raise HRNetError(f"expected one {IMAGE} and one {LABEL}, got {len(data)} and {len(label)}; it has {_listed(features)}")
    number = int(label[0])
    if number < 0:
        raise HRNetError(f"{LABEL} is {number}: images without a class, as in a test set, cannot be imported")
    if names is not None and not 0 <= number < len(names):
        raise HRNetError(f"{LABEL} is {number}, but `classes` names only {len(names)} classes, 0 to {len(names) - 1}")
    text = next((features[feature].bytes_list.value[0] for feature in (SYNSET, TEXT) if features[feature].bytes_list.value), b"")
    name = names[number] if names is not None else text.decode("utf-8", "replace") or f"{number:05d}"
    return LabelledImage(key, data[0], number, name)


def _listed(features: TFFeatures) -> str:
    return ", ".join(sorted(name for name in features if features[name].WhichOneof("kind"))) or "no features"


def _decode_errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError

    return (DecodeError,)


def _reason(error: Exception) -> str:
    return str(getattr(error, "message", error)).partition("\n")[0][:120]
