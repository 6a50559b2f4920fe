"""Detectors of other packages against the interpreter's own outputs, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mobile_eval.errors import HRNetError
from mobile_eval.pipeline import postprocess
from mobile_eval.pipeline.detectors import open_detector
from mobile_eval.pipeline.metadata import Normalization, read_labels, read_normalization
from mobile_eval.pipeline.postprocess import PostprocessDetector
from mobile_eval.pipeline.selection import class_label
from tests.support.ssd_file import SIZE, cell_box, scene, write_ssd

EFFICIENTDET = {"order": (2, 0, 3, 1), "names": tuple(f"StatefulPartitionedCall:{index}" for index in (3, 2, 1, 0))}
CELLS = {(0, 0): "person", (2, 5): "person", (3, 1): "dog"}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("exporter", [{}, EFFICIENTDET], ids=["ssd", "efficientdet"])
def test_boxes_are_those_of_the_interpreter(exporter: dict, dtype: str, tmp_path: Path) -> None:
    path = write_ssd(tmp_path / "ssd.tflite", dtype=dtype, **exporter)
    detector = open_detector(path)
    assert detector.classes == ("person", "dog")
    image = scene(CELLS, (4 * SIZE[0], 3 * SIZE[1]))
    objects = detector.objects(detector.to_input(image), image.shape[:2])
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    small = scene(CELLS)[None]
    stored = small if dtype == "uint8" else (small / 127.5 - 1).astype(np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored)
    interpreter.invoke()
    by_shape = [interpreter.get_tensor(entry["index"]) for entry in interpreter.get_output_details()]
    order = exporter.get("order", (0, 1, 2, 3))
    boxes, classes, scores, count = (by_shape[order.index(index)] for index in range(4))
    height, width = image.shape[:2]
    expected = boxes[0][:, [1, 0, 3, 2]] * [width, height, width, height]
    expected[:, 2:] -= expected[:, :2]
    number = int(count[0])
    assert number == len(objects) >= 3
    np.testing.assert_allclose(objects.boxes, expected[:number], atol=1e-3)
    np.testing.assert_array_equal(objects.scores, scores[0, :number])
    np.testing.assert_array_equal(objects.labels, classes[0, :number])
    best = {tuple(np.round(box)): label for box, label in zip(objects.boxes[:3].tolist(), objects.labels[:3], strict=True)}
    assert best == {tuple(np.round(cell_box(*place, (height, width)))): int(name == "dog") for place, name in CELLS.items()}
    assert objects.scores[:3].min() > 0.99
    assert objects.scores[3:].max(initial=0) < 0.01


def test_outputs_are_known_by_name_where_the_graph_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: Path) -> None:
        raise HRNetError("no schema")

    monkeypatch.setattr(postprocess, "TFLiteGraph", unreadable)
    detector = PostprocessDetector(write_ssd(tmp_path / "ssd.tflite", order=(3, 1, 0, 2)))
    objects = detector.objects(detector.to_input(scene({(1, 1): "dog"})), SIZE)
    assert objects.labels[0] == 1
    np.testing.assert_allclose(objects.boxes[0], cell_box(1, 1, SIZE), atol=1e-4)
    with pytest.raises(HRNetError, match="its outputs are StatefulPartitionedCall:1"):
        PostprocessDetector(write_ssd(tmp_path / "efficientdet.tflite", **EFFICIENTDET))


def test_metadata(tmp_path: Path) -> None:
    path = write_ssd(tmp_path / "a.tflite", dtype="float32", normalization=(0.0, 255.0), labels="???\nperson\ndog\n\n")
    assert read_labels(path) == ("person", "dog")
    assert read_normalization(path) == Normalization((0.0,), (255.0,))
    detector = PostprocessDetector(path)
    assert detector.to_input(np.full((*SIZE, 3), 255, np.uint8)).max() == pytest.approx(1)
    assert detector.objects(detector.to_input(scene({(2, 2): "person"})), SIZE).scores.tolist() == pytest.approx([1], abs=0.01)
    plain = write_ssd(tmp_path / "b.tflite", labels=None)
    assert (read_labels(plain), read_normalization(plain)) == ((), Normalization((127.5,), (127.5,)))


def test_classes(tmp_path: Path) -> None:
    named, unnamed = (
        PostprocessDetector(write_ssd(tmp_path / f"{labels}.tflite", labels=labels)) for labels in ("cat\ndog", None)
    )
    assert class_label(named, "DOG", "person") == 1
    assert class_label(named, "1", "person") == 1
    assert class_label(unnamed, None, "person") == class_label(unnamed, "person", "face") == 0
    assert class_label(unnamed, "17", "person") == 17
    for detector, category, message in (
        (named, None, "has no class 'person'; its classes are cat, dog"),
        (named, "2", "has no class '2'"),
        (unnamed, "dog", "it does not name its classes: give the index"),
    ):
        with pytest.raises(HRNetError, match=message):
            class_label(detector, category, "person")


def test_other_models_are_no_detectors(model_path: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match=r"`detector` float32\.tflite is a pose model"):
        open_detector(model_path())
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(model_path().read_bytes())
    with pytest.raises(HRNetError, match=re.escape("`detector` plain.tflite is a pose model")):
        open_detector(plain)
    stripped = tmp_path / "stripped.tflite"
    data = plain.read_bytes()
    stripped.write_bytes(
        data[: data.rindex(b"PK\x03\x04") - 0] if b"PK\x03\x04" not in data else data[: data.index(b"PK\x03\x04")]
    )
    with pytest.raises(HRNetError, match=r"ends in TFLite_Detection_PostProcess.* its outputs are "):
        open_detector(stripped)


def test_boxes_that_are_not_finite(tmp_path: Path) -> None:
    detector = PostprocessDetector(write_ssd(tmp_path / "ssd.tflite", growth=1e4))
    with pytest.raises(HRNetError, match=r"`detector` ssd\.tflite: its boxes are not finite"):
        detector.objects(detector.to_input(scene(CELLS)), SIZE)
