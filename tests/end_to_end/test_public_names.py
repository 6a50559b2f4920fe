"""The main job by the functions of `import hrnet_tf`, on runs and data sets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import hrnet_tf as hr
from hrnet_tf.spec.network import HRNetSpec

pytestmark = [pytest.mark.slow, pytest.mark.journey]


@dataclass(frozen=True)
class Work:
    """Runs and files that the functions made."""

    data: hr.CocoKeypoints
    full: hr.Run
    pruned: hr.Run
    quantized: hr.Run
    files: list[hr.TFLiteModel]


@pytest.fixture(scope="module")
def work(small: HRNetSpec, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("names")
    train, val = (drawn / f"person_keypoints_{split}.json" for split in ("train", "val"))
    data = hr.CocoKeypoints(drawn / "images", train=train, val=val)
    full = hr.train(small, data, output=folder / "full", epochs=2, batch_size=8)
    hr.rank(full, data, limit=8)
    pruned = hr.prune(full, data, output=folder / "pruned", keep_links=0.5, epochs=1, batch_size=8)
    quantized = hr.quantize(str(pruned.path), output=folder / "qat", epochs=1, batch_size=8)
    files = [
        hr.convert(full, folder / "full-int8.tflite", samples=8),
        hr.convert(quantized, folder / "pruned-int8.tflite"),
    ]
    return Work(data, full, pruned, quantized, files)


def test_runs(work: Work) -> None:
    assert [run.step for run in (work.full, work.pruned, work.quantized)] == ["train", "prune", "quantize"]
    assert work.quantized.parent == work.pruned
    assert work.pruned.parent == work.full
    assert work.full.history.column("epoch") == [1, 2]
    assert len(work.pruned.hrnet_spec.links) == len(work.full.hrnet_spec.links) // 2
    assert work.full.config["batch_size"] == 8
    assert set(work.full.ranking.importance()) == {*work.full.hrnet_spec.links, *work.full.hrnet_spec.live_blocks}
    loaded = hr.Run.load(work.full.path)
    assert loaded == work.full
    model = loaded.model()
    np.testing.assert_array_equal(hr.build_model(loaded.spec, weights=loaded).get_weights()[0], model.get_weights()[0])
    with pytest.raises(hr.HRNetError, match=r"`weights`.*is quantized"):
        hr.build_model(work.quantized.spec, weights=work.quantized)


def test_plan_of_a_run(work: Work) -> None:
    plan = hr.plan(work.full, keep_links=0.5)
    assert plan.spec == work.pruned.spec
    with pytest.raises(hr.HRNetError, match="`loss` is for Keras models"):
        hr.plan(work.full, keep_links=0.5, loss="mse")


def test_files(work: Work, tmp_path: Path) -> None:
    result = hr.evaluate(work.files[1], work.data, limit=6, json=tmp_path / "figures.json", flip=True)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["options"]["flip"] is True
    assert result.to_json()["instances"] == 6
    assert result.to_pandas()["pck.pck"].tolist() == [result.to_json()["pck"]["pck"]]
    latency = hr.benchmark(*work.files, rounds=3)
    assert [model.model for model in latency] == ["full-int8.tflite", "pruned-int8.tflite"]
    comparison = hr.compare(work.files, work.data, tmp_path / "report", limit=6, rounds=3)
    assert comparison.report.read_text().startswith("<!")
    frame = comparison.to_pandas()
    assert frame["model"].tolist() == ["full-int8", "pruned-int8"]
    assert frame["PCK@0.1"].tolist() == [model.measurement.score for model in comparison.models]


def test_data_and_settings_are_checked(work: Work, drawn: Path, tmp_path: Path) -> None:
    masks = hr.ImageFolder(drawn)
    for call in (
        lambda: hr.train(work.full.spec, masks, tmp_path / "run"),
        lambda: hr.rank(work.full, masks),
        lambda: hr.prune(work.full, masks, output=tmp_path / "run", keep_links=0.5),
        lambda: hr.evaluate(work.files[0], masks),
    ):
        with pytest.raises(hr.HRNetError, match=r"`data` ImageFolder is for classification; .* needs data for pose"):
            call()
    with pytest.raises(hr.HRNetError, match=r"`epoch` is not a setting of pose; it has .*`epochs`"):
        hr.train(work.full.spec, work.data, tmp_path / "run", epoch=3)
    with pytest.raises(hr.HRNetError, match="`epoch` is not a setting of pose"):
        hr.quantize(work.full, work.data, output=tmp_path / "run", epoch=3)
    with pytest.raises(hr.HRNetError, match=r"`spec` must be a spec such as .*`model.spec`"):
        hr.train(work.full.model(), work.data, tmp_path / "run")
    with pytest.raises(hr.HRNetError, match=r"`data` must be a data set such as CocoKeypoints"):
        hr.train(work.full.spec, [1, 2], tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(hr.HRNetError, match="`output`"):
        hr.prune(work.full, work.data, keep_links=0.5)  # type: ignore[call-overload]
    with pytest.raises(hr.HRNetError, match=r"`model` must be a .tflite file"):
        hr.evaluate(work.full, work.data)  # type: ignore[arg-type]
    with pytest.raises(hr.HRNetError, match="`keep_links` is for runs"):
        hr.prune(work.full.model(), None, keep_links=0.5)
    assert list(tmp_path.iterdir()) == []
