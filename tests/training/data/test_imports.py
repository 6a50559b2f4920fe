"""TFRecord files and data sets of tensorflow-datasets as class folders."""

from __future__ import annotations

import builtins
import sys
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

import hrnet_tf.__main__
from mobile_eval.datasets.classification import load_classification_dataset
from mobile_eval.errors import HRNetError
from tests.support.killing import KilledError, kill_before_rename
from training.data.imports.layout import LabelledImage, folder_name, write_class_folders
from training.data.imports.tfrecord import compression, import_tfrecords, record_files


def picture(seed: int, ending: str = ".jpg") -> bytes:
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


def record(seed: int, label: int, **more: bytes) -> dict[str, bytes | int]:
    named = {f"image/class/{name}": value for name, value in more.items()}
    return {"image/encoded": picture(seed), "image/class/label": label, **named}


def hrnet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["hrnet", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        hrnet_tf.__main__.main()
    written = capsys.readouterr()
    return int(ended.value.code or 0), written.out, written.err


def test_imagenet_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    fish, bird = {"synset": b"n01440764", "text": b"tench, Tinca tinca"}, {"synset": b"n01514668", "text": b"cock"}
    write_records(shards / "train-00000-of-00002", [record(0, 1, **fish), record(1, 8, **bird)])
    write_records(shards / "train-00001-of-00002", [record(2, 1, **fish)])
    (shards / "README.txt").write_text("no records")
    code, out, _ = hrnet(monkeypatch, capsys, "data", "import", "tfrecord", shards, "--output", tmp_path / "train")
    assert (code, out.strip()) == (0, f"images: {tmp_path / 'train'}, 3")
    data = load_classification_dataset(tmp_path / "train")
    assert data.classes == ("n01440764", "n01514668")
    assert [(one.image_path.name, one.label) for one in data.images] == [
        ("00000_0000000.jpg", 0),
        ("00001_0000000.jpg", 0),
        ("00000_0000001.jpg", 1),
    ]
    assert [one.image_path.read_bytes() for one in data.images] == [picture(0), picture(2), picture(1)]
    assert not (tmp_path / "train.part").exists()


def test_names_of_classes(tmp_path: Path) -> None:
    path, names = tmp_path / "data.tfrecord", tmp_path / "names.txt"
    names.write_text("zebra\nape\n")
    for number, (more, classes, expected) in enumerate(
        [
            ({}, None, ("00000", "00001")),
            ({}, names, ("ape", "zebra")),
        ]
    ):
        write_records(path, [record(0, 0, **more), record(1, 1, **more)])
        assert import_tfrecords([str(path)], tmp_path / f"out{number}", classes=classes) == 2
        assert load_classification_dataset(tmp_path / f"out{number}").classes == expected
    write_records(path, [record(0, 0, text=b"cat/dog"), record(1, 1, text=b"horse")], "GZIP")
    path.rename(tmp_path / "data.tfrecord.gz")
    import_tfrecords([str(tmp_path / "*.gz")], tmp_path / "text")
    assert load_classification_dataset(tmp_path / "text").classes == ("cat_dog", "horse")


def test_interrupted_it_goes_on(tmp_path: Path) -> None:
    path, out = tmp_path / "a.tfrecord", tmp_path / "out"
    records = [record(seed, seed % 2) for seed in range(4)]
    write_records(path, [*records, {"image/encoded": b"", "image/class/label": 0}])
    with pytest.raises(HRNetError, match="record 4: image 00000_0000004 is not JPEG"):
        import_tfrecords([str(path)], out)
    assert not out.exists()
    kept = sorted((tmp_path / "out.part").rglob("*.jpg"))
    assert len(kept) == 4
    times = [file.stat().st_mtime_ns for file in kept]
    with pytest.raises(HRNetError, match="record 4"):
        import_tfrecords([str(path)], out)
    assert [file.stat().st_mtime_ns for file in kept] == times  # none was written again
    write_records(path, records[:3])
    with pytest.raises(HRNetError, match=r"out\.part"):
        import_tfrecords([str(path)], out)


def test_a_kill_leaves_nothing_in_the_finished_folder(tmp_path: Path) -> None:
    images = [LabelledImage(f"{index}", picture(index), index % 2, f"c{index % 2}") for index in range(4)]

    def unpack(output: Path) -> int:
        return write_class_folders(images, output, {"made": "here"})

    for number in count(1):
        output = tmp_path / str(number) / "out"
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, number)
            try:
                unpack(output)
                break
            except KilledError:
                assert not output.exists()
        assert unpack(output) == len(images)
        assert unpack(output) == len(images)  # killed when all was done: nothing is to do
        files = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
        assert files == {"origin.json", "c0/0.jpg", "c1/1.jpg", "c0/2.jpg", "c1/3.jpg"}
        assert [path.name for path in output.parent.iterdir()] == ["out"]
    assert number > len(("origin.json", *images, "out"))


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
def test_bad_records_end_in_one_line(
    spoil: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, [record(0, 0), record(1, 1)])
    spoil(path)
    code, _, error = hrnet(monkeypatch, capsys, "data", "import", "tfrecord", path, "--output", tmp_path / "out")
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB", ""])
@pytest.mark.parametrize("name", ["train-00000-of-00001", "a.tfrecord.gz"])
def test_compressed_files_by_their_content(kind: str, name: str, tmp_path: Path) -> None:
    write_records(tmp_path / name, [record(0, 0), record(1, 1)], kind)
    assert import_tfrecords([str(tmp_path / name)], tmp_path / "out") == 2
    data = load_classification_dataset(tmp_path / "out")
    assert [one.image_path.read_bytes() for one in data.images] == [picture(0), picture(1)]


@pytest.mark.parametrize("begins", [b"\x1f\x8b", b"\x78\x9c"])
def test_a_record_whose_length_looks_like_the_beginning_of_a_compressed_file(begins: bytes, tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(bytes(int.from_bytes(begins, "little")))
    assert path.read_bytes()[:2] == begins
    assert compression(path) is None


@pytest.mark.parametrize("names", [True, False])
def test_images_without_a_class_are_refused(names: bool, tmp_path: Path) -> None:
    path, listed = tmp_path / "a.tfrecord", tmp_path / "names.txt"
    listed.write_text("one\ntwo\n")
    write_records(path, [record(0, 0), record(1, -1, text=b"unknown")])
    with pytest.raises(HRNetError, match=r"a.tfrecord, record 1: .* -1"):
        import_tfrecords([str(path)], tmp_path / "out", classes=listed if names else None)
    assert not (tmp_path / "out").exists()


def test_labels_that_are_not_named(tmp_path: Path) -> None:
    write_records(tmp_path / "a.tfrecord", [record(0, 2)])
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(HRNetError, match=r"is 2, but `classes`"):
        import_tfrecords([str(tmp_path / "a.tfrecord")], tmp_path / "out", classes=tmp_path / "names.txt")
    with pytest.raises(HRNetError, match="there are no TFRecord files at "):
        record_files([str(tmp_path / "nothing")])


def test_formats_and_names() -> None:
    assert [LabelledImage("", picture(0, ending), 0, "").suffix for ending in (".jpg", ".png", ".bmp", ".webp", ".tiff")] == [
        ".jpg", ".png", ".bmp", ".webp", ".tif",
    ]  # fmt: skip
    assert folder_name(" a/b: c ") == "a_b_ c"


def test_a_folder_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(HRNetError, match="out exists already"):
        write_class_folders([], tmp_path / "out", {})
    (tmp_path / "out" / "origin.json").write_text('{"made": "elsewhere"}')
    with pytest.raises(HRNetError, match="out exists already and holds other data"):
        write_class_folders([], tmp_path / "out", {"made": "here"})


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """The folder in which tensorflow-datasets has prepared `two_colors`: 5 images of the classes warm and cold."""
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


def test_tensorflow_datasets(
    catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "colors"
    code, printed, _ = hrnet(
        monkeypatch, capsys, "data", "import", "tfds", "two_colors", "--split", "train", "--data-dir", catalogue, "--output", out
    )
    assert (code, printed.strip()) == (0, f"images: {out}, 5")
    data = load_classification_dataset(out)
    assert (data.classes, [one.label for one in data.images]) == (("cold", "warm"), [0, 0, 1, 1, 1])
    shades = {name: sorted(int(cv2.imread(str(p))[0, 0, 0]) for p in (out / name).iterdir()) for name in data.classes}
    assert shades == {"cold": [40, 120], "warm": [0, 80, 160]}
    for arguments, message in (
        (("two_colors", "--split", "val"), "cannot get 'two_colors', split 'val', of tensorflow-datasets: "),
        (("no_such_set",), "cannot get 'no_such_set', split 'train', of tensorflow-datasets: "),
    ):
        code, _, error = hrnet(
            monkeypatch, capsys, "data", "import", "tfds", *arguments, "--data-dir", catalogue, "--output", tmp_path / "other"
        )
        assert code == 2
        assert message in error.strip().splitlines()[-1]
        assert not (tmp_path / "other").exists()


def test_tensorflow_datasets_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "tensorflow_datasets":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    code, _, error = hrnet(monkeypatch, capsys, "data", "import", "tfds", "mnist", "--output", tmp_path / "out")
    assert code == 2
    assert error.strip() == "error: tensorflow-datasets is not installed: `pip install 'hrnet-tf[tfds]'`"
