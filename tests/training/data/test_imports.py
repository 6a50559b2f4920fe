"""Import of TFRecord files and of tensorflow-datasets into class folders."""

from __future__ import annotations

import builtins
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.classification import load_classification_dataset
from mobile_eval.errors import HRNetError
from tests.support.killing import KilledError, kill_before_rename
from tests.support.program import Hrnet
from training.data.imports.layout import LabelledImage, folder_name, write_class_folders
from training.data.imports.tfrecord import compression, import_tfrecords, record_files


def encoded_image(seed: int, ending: str = ".jpg") -> bytes:
    image = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return bytes(cv2.imencode(ending, image)[1].tobytes())


def write_records(path: Path, records: list[dict[str, bytes | int]], compression: str = "") -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            features = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
                if isinstance(value, int)
                else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in record.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def record(seed: int, label: int, **class_features: bytes) -> dict[str, bytes | int]:
    named = {f"image/class/{name}": value for name, value in class_features.items()}
    return {"image/encoded": encoded_image(seed), "image/class/label": label, **named}


def test_imagenet_layout(tmp_path: Path, hrnet: Hrnet) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    fish, bird = {"synset": b"n01440764", "text": b"tench, Tinca tinca"}, {"synset": b"n01514668", "text": b"cock"}
    write_records(shards / "train-00000-of-00002", [record(0, 1, **fish), record(1, 8, **bird)])
    write_records(shards / "train-00001-of-00002", [record(2, 1, **fish)])
    (shards / "README.txt").write_text("no records")
    code, out, _ = hrnet("data import tfrecord", shards, "--output", tmp_path / "train")
    assert (code, out.strip()) == (0, f"images: {tmp_path / 'train'}, 3")
    data = load_classification_dataset(tmp_path / "train")
    assert data.classes == ("n01440764", "n01514668")
    assert [(image.image_path.name, image.label) for image in data.images] == [
        ("00000_0000000.jpg", 0),
        ("00001_0000000.jpg", 0),
        ("00000_0000001.jpg", 1),
    ]
    assert [image.image_path.read_bytes() for image in data.images] == [encoded_image(0), encoded_image(2), encoded_image(1)]
    assert not (tmp_path / "train.part").exists()


def test_class_names(tmp_path: Path) -> None:
    path, names = tmp_path / "data.tfrecord", tmp_path / "names.txt"
    names.write_text("zebra\nape\n")
    for number, (class_features, classes, expected) in enumerate(
        [
            ({}, None, ("00000", "00001")),
            ({}, names, ("ape", "zebra")),
        ]
    ):
        write_records(path, [record(0, 0, **class_features), record(1, 1, **class_features)])
        assert import_tfrecords([str(path)], tmp_path / f"out{number}", classes=classes) == 2
        assert load_classification_dataset(tmp_path / f"out{number}").classes == expected
    write_records(path, [record(0, 0, text=b"cat/dog"), record(1, 1, text=b"horse")], "GZIP")
    path.rename(tmp_path / "data.tfrecord.gz")
    import_tfrecords([str(tmp_path / "*.gz")], tmp_path / "text")
    assert load_classification_dataset(tmp_path / "text").classes == ("cat_dog", "horse")


def test_interrupted_import_is_resumed(tmp_path: Path) -> None:
    path, out = tmp_path / "a.tfrecord", tmp_path / "out"
    records = [record(seed, seed % 2) for seed in range(4)]
    write_records(path, [*records, {"image/encoded": b"", "image/class/label": 0}])
    with pytest.raises(HRNetError, match="record 4: image 00000_0000004"):
        import_tfrecords([str(path)], out)
    assert not out.exists()
    partial_files = sorted((tmp_path / "out.part").rglob("*.jpg"))
    assert len(partial_files) == 4
    times = [file.stat().st_mtime_ns for file in partial_files]
    with pytest.raises(HRNetError, match="record 4"):
        import_tfrecords([str(path)], out)
    assert [file.stat().st_mtime_ns for file in partial_files] == times  # no file was written again
    write_records(path, records[:3])
    with pytest.raises(HRNetError, match=r"out\.part"):
        import_tfrecords([str(path)], out)


def test_killed_import_leaves_no_output_folder(tmp_path: Path) -> None:
    images = [LabelledImage(f"{index}", encoded_image(index), index % 2, f"c{index % 2}") for index in range(4)]

    def import_images(output: Path) -> int:
        return write_class_folders(images, output, {"made": "here"})

    for number in count(1):
        output = tmp_path / str(number) / "out"
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, number)
            try:
                import_images(output)
                break
            except KilledError:
                assert not output.exists()
        assert import_images(output) == len(images)
        assert import_images(output) == len(images)  # the finished import is not repeated
        files = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
        assert files == {"origin.json", "c0/0.jpg", "c1/1.jpg", "c0/2.jpg", "c1/3.jpg"}
        assert [path.name for path in output.parent.iterdir()] == ["out"]
    assert number > len(("origin.json", *images, "out"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "is damaged after record 0"),
        (lambda path: path.write_text("no records at all, but a text"), "is damaged after record -1"),
        (lambda path: path.unlink(), "there are no TFRecord files at "),
        (lambda path: write_records(path, [{"image": b"x", "label": 3}]), "got 0 and 0; it has image, label"),
        (lambda path: write_records(path, []), "no images to import"),
        (lambda path: write_records(path, [record(0, 1, text=b"crane"), record(0, 2, text=b"crane")]), "are both named 'crane'"),
        (lambda path: write_records(path, [record(0, 1, text=b"..")]), "class '..'"),
    ],
)
def test_bad_records(spoil: Any, message: str, tmp_path: Path, hrnet: Hrnet) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [record(0, 0), record(1, 1)])
    spoil(path)
    code, _, error = hrnet("data import tfrecord", path, "--output", tmp_path / "out")
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB", ""])
@pytest.mark.parametrize("name", ["train-00000-of-00001", "a.tfrecord.gz"])
def test_compression_is_detected_by_content(kind: str, name: str, tmp_path: Path) -> None:
    write_records(tmp_path / name, [record(0, 0), record(1, 1)], kind)
    assert import_tfrecords([str(tmp_path / name)], tmp_path / "out") == 2
    data = load_classification_dataset(tmp_path / "out")
    assert [image.image_path.read_bytes() for image in data.images] == [encoded_image(0), encoded_image(1)]


@pytest.mark.parametrize("prefix", [b"\x1f\x8b", b"\x78\x9c"])
def test_record_length_that_looks_like_a_compression_header(prefix: bytes, tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(bytes(int.from_bytes(prefix, "little")))
    assert path.read_bytes()[:2] == prefix
    assert compression(path) is None


@pytest.mark.parametrize("with_names", [True, False])
def test_images_without_a_class(with_names: bool, tmp_path: Path) -> None:
    path, names_file = tmp_path / "a.tfrecord", tmp_path / "names.txt"
    names_file.write_text("one\ntwo\n")
    write_records(path, [record(0, 0), record(1, -1, text=b"unknown")])
    with pytest.raises(HRNetError, match=r"a.tfrecord, record 1: .* -1"):
        import_tfrecords([str(path)], tmp_path / "out", classes=names_file if with_names else None)
    assert not (tmp_path / "out").exists()


def test_label_without_a_name(tmp_path: Path) -> None:
    write_records(tmp_path / "a.tfrecord", [record(0, 2)])
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(HRNetError, match=r"is 2, but `classes`"):
        import_tfrecords([str(tmp_path / "a.tfrecord")], tmp_path / "out", classes=tmp_path / "names.txt")
    with pytest.raises(HRNetError, match="nothing"):
        record_files([str(tmp_path / "nothing")])


def test_image_suffixes_and_folder_names() -> None:
    images = [encoded_image(0, ending) for ending in (".jpg", ".png", ".bmp", ".webp", ".tiff")]
    suffixes = [LabelledImage("", image, 0, "").suffix for image in images]
    assert suffixes == [".jpg", ".png", ".bmp", ".webp", ".tif"]
    assert folder_name(" a/b: c ") == "a_b_ c"


def test_existing_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(HRNetError, match="out exists already"):
        write_class_folders([], tmp_path / "out", {})
    (tmp_path / "out" / "origin.json").write_text('{"made": "elsewhere"}')
    with pytest.raises(HRNetError, match=r"out exists already.*other data"):
        write_class_folders([], tmp_path / "out", {"made": "here"})


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder of tensorflow-datasets with the data set `two_colors`: 5 images of the classes warm and cold."""
    import tensorflow_datasets as tfds

    class TwoColors(tfds.core.GeneratorBasedBuilder):  # type: ignore[name-defined, misc]
        VERSION = tfds.core.Version("1.0.0")
        name = "two_colors"
        url_infos: ClassVar[dict[str, Any]] = {}  # nothing to download

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(encoding_format="png"),
                "label": tfds.features.ClassLabel(names=["warm", "cold"]),
            }
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> Any:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Any:
            for index in range(5):
                yield index, {"image": np.full((8, 9, 3), 40 * index, np.uint8), "label": index % 2}

    TwoColors(data_dir=str(tmp_path / "tfds")).download_and_prepare()
    return tmp_path / "tfds"


def test_tensorflow_datasets(data_dir: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    out = tmp_path / "colors"
    code, printed, _ = hrnet("data import tfds", "two_colors", "--split", "train", "--data-dir", data_dir, "--output", out)
    assert (code, printed.strip()) == (0, f"images: {out}, 5")
    data = load_classification_dataset(out)
    assert (data.classes, [image.label for image in data.images]) == (("cold", "warm"), [0, 0, 1, 1, 1])
    gray_levels = {name: sorted(int(cv2.imread(str(p))[0, 0, 0]) for p in (out / name).iterdir()) for name in data.classes}
    assert gray_levels == {"cold": [40, 120], "warm": [0, 80, 160]}
    for arguments, message in (
        (("two_colors", "--split", "val"), "cannot get 'two_colors', split 'val', of tensorflow-datasets: "),
        (("no_such_set",), "cannot get 'no_such_set', split 'train', of tensorflow-datasets: "),
    ):
        code, _, error = hrnet("data import tfds", *arguments, "--data-dir", data_dir, "--output", tmp_path / "other")
        assert code == 2
        assert message in error.strip().splitlines()[-1]
        assert not (tmp_path / "other").exists()


def test_tensorflow_datasets_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hrnet: Hrnet) -> None:
    original_import = builtins.__import__

    def import_without_tfds(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "tensorflow_datasets":
            raise ImportError(name)
        return original_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", import_without_tfds)
    code, _, error = hrnet("data import tfds", "mnist", "--output", tmp_path / "out")
    assert code == 2
    assert error.strip() == "error: tensorflow-datasets is not installed: `pip install 'hrnet-tf[tfds]'`"
