"""An interrupted evaluation is resumed where it stopped; another evaluation is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobile_eval.datasets.coco.keypoints import KeypointInstance, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.keypoints.inference import DecodingOptions, predict_instances
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose import prediction_log
from mobile_eval.tasks.pose.prediction_log import log_path, predict_with_log, remove_prediction_log
from tests.mobile_eval.conftest import Invoke, People
from tests.support.killing import KilledError, kill_before_rename


@pytest.fixture
def instances(people: People) -> tuple[KeypointInstance, ...]:
    return load_keypoint_dataset(people.annotations, people.images).instances


def test_logged_predictions_are_not_repeated(
    instances: tuple[KeypointInstance, ...], model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, output = TFLiteModel(model_path()), tmp_path / "predictions.json"
    generator = predict_with_log(model, instances, DecodingOptions(), output, resume=False)
    first = list(islice(generator, 3))
    generator.close()  # type: ignore[attr-defined]
    with log_path(output).open("a") as file:
        file.write("[[1.0, 2")  # a line cut by a crash
    counts: list[int] = []

    def counting(model: TFLiteModel, people: Any, options: DecodingOptions) -> Iterator[Any]:
        counts.append(len(people))
        return predict_instances(model, people, options)

    monkeypatch.setattr(prediction_log, "predict_instances", counting)
    predictions = list(predict_with_log(model, instances, DecodingOptions(), output, resume=True))
    assert counts == [len(instances) - 3]
    np.testing.assert_array_equal(predictions, list(predict_instances(model, instances)))
    np.testing.assert_array_equal(predictions[:3], first)
    assert log_path(output).exists()  # it stays until the evaluation has written its results
    remove_prediction_log(output)
    assert not log_path(output).exists()


def test_another_evaluation_is_not_resumed(
    instances: tuple[KeypointInstance, ...], model_path: Callable[..., Path], tmp_path: Path
) -> None:
    model, output = TFLiteModel(model_path()), tmp_path / "predictions.json"
    generator = predict_with_log(model, instances, DecodingOptions(), output, resume=False)
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    with pytest.raises(HRNetError, match=r"predictions\.json\.part .*\(options differ\)"):
        next(predict_with_log(model, instances, DecodingOptions(flip=True), output, resume=True))
    int8 = TFLiteModel(model_path("int8"))
    with pytest.raises(HRNetError, match=r"\(model and instances differ\)"):
        next(predict_with_log(int8, instances[1:], DecodingOptions(), output, resume=True))
    log_path(output).write_text("")
    with pytest.raises(HRNetError, match=r"\(model and instances and options differ\)"):
        next(predict_with_log(model, instances, DecodingOptions(), output, resume=True))
    assert len(list(predict_with_log(model, instances, DecodingOptions(), output, resume=False))) == len(instances)


def test_kill_after_inference_loses_no_predictions(
    people: People, model_path: Callable[..., Path], invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed before each file that is written at the end: overlays, predictions, figures."""
    command = ["evaluate", model_path(), "--annotations", people.annotations, "--images", people.images]

    def files(folder: Path) -> list[object]:
        return [*command, "--overlays", folder / "drawn", "--predictions", folder / "p.json", "--json", folder / "figures.json"]

    assert invoke(*files(tmp_path / "complete"))[0] == 0
    assert not log_path(tmp_path / "complete" / "p.json").exists()
    counts: list[int] = []

    def counting(model: TFLiteModel, people: Any, options: DecodingOptions) -> Iterator[Any]:
        counts.append(len(people))
        return predict_instances(model, people, options)

    for number in count(1):
        folder = tmp_path / str(number)
        with pytest.MonkeyPatch.context() as patch:
            kill_before_rename(patch, number)
            try:
                invoke(*files(folder))
                break
            except KilledError:
                pass
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prediction_log, "predict_instances", counting)
            assert invoke(*files(folder), "--resume")[0] == 0
        assert counts.pop() == 0 or number == 1  # the first file is the log itself
        for path in (folder / "p.json", *sorted((folder / "drawn").iterdir())):
            assert path.read_bytes() == (tmp_path / "complete" / path.relative_to(folder)).read_bytes()
        assert len(list((folder / "drawn").iterdir())) == len(list((tmp_path / "complete" / "drawn").iterdir())) > 0
        assert list(folder.rglob("*.part")) == []
    assert number > len(("begun", "drawn", "predictions", "figures"))


@pytest.mark.parametrize("damage", ['{"a": 1}', "[[1, 2]]", "[[[", '"x"', "[" * 100_000])
def test_damaged_lines_are_predicted_again(
    damage: str, instances: tuple[KeypointInstance, ...], model_path: Callable[..., Path], tmp_path: Path
) -> None:
    model, output = TFLiteModel(model_path()), tmp_path / "predictions.json"
    expected = list(predict_with_log(model, instances, DecodingOptions(), output, resume=False))
    lines = log_path(output).read_text().splitlines()
    lines[2] = damage
    log_path(output).write_text("\n".join([*lines, ""]))
    np.testing.assert_array_equal(list(predict_with_log(model, instances, DecodingOptions(), output, resume=True)), expected)
