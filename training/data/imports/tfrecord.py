"""Classification data in TFRecord files, in the layout of ImageNet's usual scripts."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hrnet_tf.backend.keras_module import tf
from mobile_eval.datasets.classes import read_class_names
from mobile_eval.errors import HRNetError
from mobile_eval.progress import tracked
from training.data.imports.layout import LabelledImage, write_class_folders

IMAGE, LABEL, SYNSET, TEXT = "image/encoded", "image/class/label", "image/class/synset", "image/class/text"
GZIP, ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # how compressed files begin


def unpack_tfrecords(sources: Sequence[str], output: Path, *, classes: Path | None = None, progress: bool = False) -> int:
    """Write the images of TFRecord files, folders of them or patterns into a folder for each class; how many there are.

    A record has `image/encoded` and `image/class/label`. A class is named by the file `classes`, in the order of the labels
    from 0 on, else by `image/class/synset` or `image/class/text`, else by its number.
    """
    files = record_files(sources)
    names = read_class_names(classes) if classes else None
    origin = {
        "tfrecords": [[file.name, file.stat().st_size] for file in files],
        "classes": list(names) if names else None,
    }
    return write_class_folders(labelled_images(files, names, progress=progress), output, origin)


def record_files(sources: Sequence[str]) -> list[Path]:
    """The files, in order: those named, those of a pattern, those in a folder whose names have "tfrecord" or "-of-" in them."""
    found: list[Path] = []
    for source in sources:
        path = Path(source)
        inside = sorted(path.iterdir()) if path.is_dir() else []
        records = [one for one in inside if one.is_file() and ("tfrecord" in one.name or "-of-" in one.name)]
        files = [path] if path.is_file() else records or [Path(name) for name in sorted(glob.glob(source))]
        if not files or (path.is_dir() and not records):
            raise HRNetError(f"there are no TFRecord files at {source}")
        found += files
    return found


def labelled_images(
    files: Sequence[Path], names: Sequence[str] | None = None, *, progress: bool = False
) -> Iterator[LabelledImage]:
    """The images of TFRecord files in turn, with their classes; HRNetError names a file and record that cannot be read."""
    for number, file in enumerate(tracked(files, "unpack", show=progress)):
        dataset = tf.data.TFRecordDataset(str(file), compression_type=compression(file))
        index = -1
        try:
            for index, record in enumerate(dataset.as_numpy_iterator()):
                yield _labelled(tf.train.Example.FromString(record), f"{number:05d}_{index:07d}", names)
        except ValueError as error:
            raise HRNetError(f"{file}, record {index}: {error}") from error
        except (tf.errors.OpError, *_decode_errors()) as error:
            raise HRNetError(f"{file} is damaged after record {index}, or no TFRecord file: {_reason(error)}") from error


def compression(file: Path) -> str | None:
    """GZIP or ZLIB, as tf.data calls them, of a file that is compressed, whatever its name; None of one that is not.

    TFRecord begins with the length of its first record, which may look like the beginning of a compressed file: only where its
    checksum is wrong is the file one.
    """
    with file.open("rb") as opened:
        begins = opened.read(2)
    kind = "GZIP" if begins == GZIP else "ZLIB" if begins in ZLIB else None
    if kind is None:
        return None
    try:
        next(iter(tf.data.TFRecordDataset(str(file)).take(1)), None)
    except tf.errors.OpError:
        return kind
    return None


def _labelled(example: Any, place: str, names: Sequence[str] | None) -> LabelledImage:
    features = example.features.feature
    data, label = features[IMAGE].bytes_list.value, features[LABEL].int64_list.value
    if len(data) != 1 or len(label) != 1:
        raise HRNetError(f"expected one {IMAGE} and one {LABEL}, found {len(data)} and {len(label)}; it has {_listed(features)}")
    number = int(label[0])
    if number < 0:
        raise HRNetError(f"its {LABEL} is {number}: images without a class, as of a test set, have no folder to go to")
    if names is not None and not 0 <= number < len(names):
        raise HRNetError(f"it is of class {number}, but `classes` names {len(names)} classes, 0 to {len(names) - 1}")
    said = next((features[key].bytes_list.value[0] for key in (SYNSET, TEXT) if features[key].bytes_list.value), b"")
    name = names[number] if names is not None else said.decode("utf-8", "replace") or f"{number:05d}"
    return LabelledImage(place, data[0], number, name)


def _listed(features: Any) -> str:
    return ", ".join(sorted(name for name in features if features[name].WhichOneof("kind"))) or "no features"


def _decode_errors() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError

    return (DecodeError,)


def _reason(error: Exception) -> str:
    return str(getattr(error, "message", error)).partition("\n")[0][:120]
