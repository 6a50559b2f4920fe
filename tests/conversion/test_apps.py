"""Conversion options that are chosen for a kind of app, and the files that come of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from conversion.apps import NEEDS, explanation, options_for
from conversion.options import APPS, ConvertOptions
from conversion.targets.edgetpu import check_edgetpu
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.image.preprocess import instance_crops
from mobile_eval.model.archive import read_description
from mobile_eval.model.description import CLASS_MAPS, CLASS_SCORES, HEATMAPS, KEYPOINTS
from mobile_eval.model.graph import TFLiteGraph
from mobile_eval.runtime.tflite_model import TFLiteModel
from tests.support.program import Hrnet

TYPES = {  # recommended: format, input, output, decode of a pose network
    "android": ("int8", "uint8-rgb", "float32", True),
    "browser": ("int8", "uint8-rgb", "float32", True),
    "coral": ("int8", "uint8-rgb", "int8", False),
    "gpu": ("float32", "float32", "float32", False),
    "npu": ("int8", "int8", "int8", False),
}


@pytest.mark.parametrize("app", TYPES)
def test_recommended_options(app: str) -> None:
    options = options_for(app, "pose", HEATMAPS)
    assert (options.format, options.input_type, options.output_type, options.decode) == TYPES[app]
    assert not options.softmax
    assert not options_for(app, "pose", HEATMAPS, quarter_rule=False).decode
    assert options_for(app, "classification", CLASS_SCORES).softmax
    for name in ("format", "input_type", "output_type"):
        assert str(getattr(options, name)) in explanation(app, options)


def test_requested_options_that_go_with_the_app() -> None:
    assert options_for("gpu", "pose", HEATMAPS, {"format": "float16"}) == ConvertOptions("float16", "float32", "float32")
    android = options_for("android", "pose", HEATMAPS, {"format": "float16", "max_error": 0.5})
    assert android == ConvertOptions("float16", "uint8-rgb", "float32", 0.5, decode=True)
    mediapipe = options_for("mediapipe", "segmentation", CLASS_MAPS, {"output_type": "uint8"})
    assert mediapipe == ConvertOptions("int8", "uint8-rgb", "uint8")


@pytest.mark.parametrize(
    ("app", "kind", "requested", "words"),
    [
        ("toaster", HEATMAPS, {}, ("app", "toaster")),
        ("mediapipe", HEATMAPS, {}, ("mediapipe", "pose")),
        ("coral", HEATMAPS, {"format": "float32"}, ("format", "float32", "8 bit")),
        ("coral", HEATMAPS, {"decode": True}, ("decode", "CPU")),
        ("browser", HEATMAPS, {"output_type": "int8"}, ("output_type", "int8", "LiteRT.js")),
        ("gpu", HEATMAPS, {"format": "int8"}, ("format", "int8")),
        ("android", HEATMAPS, {"format": "float16", "input_type": "int8"}, ("input_type", "int8")),
    ],
)
def test_contradictions(app: str, kind: str, requested: dict[str, object], words: tuple[str, ...]) -> None:
    with pytest.raises(HRNetError) as error:
        options_for(app, "pose", kind, requested)
    assert all(word in str(error.value) for word in words)


def test_every_recommendation_is_valid() -> None:
    assert tuple(NEEDS) == APPS
    for app, needs in NEEDS.items():
        for name in needs.format:
            assert options_for(app, "segmentation", CLASS_MAPS, {"format": name}).format == name


@pytest.fixture(scope="module")
def run(tiny: HRNetSpec, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a network with random weights."""
    people = load_keypoint_dataset(drawn / "person_keypoints_val.json", drawn / "images")
    run = Run(tmp_path_factory.mktemp("apps") / "run", "train", tiny, people.category.to_json(), {})
    save_run(run)
    weights = model_weights(build_model(tiny))
    head = "head_heatmaps/kernel"
    weights[head] = np.random.default_rng(2).normal(0, 1, weights[head].shape).astype(np.float32)
    save_weights(run.weights_path, weights)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("app", ["browser", "coral"])
def test_converted_for_an_app(app: str, run: Run, hrnet: Hrnet, drawn: Path, tmp_path: Path) -> None:
    output = tmp_path / f"{app}.tflite"
    data = f"--annotations {drawn / 'person_keypoints_val.json'} --images {drawn / 'images'}"
    ended = hrnet(f"convert {run.path} {data} --for {app} --output {output}")
    assert f"for {app}: --format int8 --input-type uint8-rgb" in ended.output()
    graph, stored = TFLiteGraph(output), json.loads(zipfile.ZipFile(output).read("model.json"))
    assert graph.inputs[0].dtype == "uint8"
    assert stored["preprocessing"]["box_padding"] == 1.25
    if app == "browser":
        assert {tensor.dtype for tensor in graph.outputs} == {"float32", "int32"}
        assert read_description(output).output.kind == KEYPOINTS
        assert stored["decoding"]["rule"] == "in the model"
    else:
        assert [tensor.dtype for tensor in graph.outputs] == ["int8"]
        assert check_edgetpu(output).break_at is None
        assert (stored["decoding"]["rule"], stored["decoding"]["heatmap_pixel"]) == ("quarter", [4.0, 4.0])
    people = load_keypoint_dataset(drawn / "person_keypoints_val.json", drawn / "images")
    crops, _ = instance_crops(people.instances[:2], run.spec.input_size)
    assert TFLiteModel(output).keypoints(crops).shape == (2, run.spec.classes, 3)


@pytest.mark.slow
def test_contradiction_on_the_command_line(run: Run, hrnet: Hrnet, tmp_path: Path) -> None:
    ended = hrnet(f"convert {run.path} --for coral --output-type float32 --output {tmp_path / 'm.tflite'}")
    assert ended.code == 2
    assert "--for coral goes with --output-type int8 or uint8, got float32" in ended.err
    assert not list(tmp_path.iterdir())
