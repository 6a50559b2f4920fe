"""The `exif` option: how images with an EXIF orientation are read in training, and in later steps of the run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conversion.quantization.samples import training_data
from hrnet_tf.runs.run import Run
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.datasets.base import DataSource
from mobile_eval.errors import HRNetError
from mobile_eval.tasks.registry import TASKS
from training.config import DataConfig, TrainingConfig, fine_tuning_config
from training.data.image_cache import ImageCache
from training.data.options import TrainingData
from training.data.sources import run_sources, training_sources
from training.tasks.classification.settings import ClassificationSettings
from training.tasks.pose.settings import PoseSettings

UPSIDE_DOWN = 3


@pytest.fixture
def rotated(drawn: Path, tmp_path: Path) -> Path:
    """Synthetic people whose images are stored upside down, with the EXIF orientation that turns them back."""
    exif = Image.Exif()
    exif[0x0112] = UPSIDE_DOWN
    (tmp_path / "images").mkdir()
    for path in (drawn / "images").iterdir():
        Image.fromarray(np.array(Image.open(path))[::-1, ::-1]).save(tmp_path / "images" / path.name, quality=95, exif=exif)
    for path in drawn.glob("person_keypoints_*.json"):
        (tmp_path / path.name).write_text(path.read_text())
    return tmp_path


def command_data(folder: Path, exif: str | None) -> TrainingData:
    train, val = (folder / f"person_keypoints_{split}.json" for split in ("train", "val"))
    return TrainingData(images=folder / "images", train_annotations=train, val_annotations=val, exif=exif)


@pytest.mark.parametrize("exif", ["stored", "upright"])
def test_exif_is_stored_and_used_by_later_steps(exif: str, rotated: Path, spec: HRNetSpec, tmp_path: Path) -> None:
    train, val = training_sources("pose", command_data(rotated, exif))
    assert val is not None
    assert (train.exif, val.exif) == (exif, exif)
    config = TrainingConfig("pose", PoseSettings(), DataConfig(train, val))
    stored = TrainingConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert stored == config
    load = TASKS["pose"].load
    assert {instance.upright for source in (stored.data.train, val) for instance in load(source).instances} == {exif == "upright"}
    run = Run(tmp_path / "run", "train", spec, {"name": "person"}, config.to_json())
    inherited = fine_tuning_config(run, *run_sources(run, command_data(rotated, None)), {})
    assert (inherited.data.train.exif, inherited.data.val and inherited.data.val.exif) == (exif, exif)
    changed = fine_tuning_config(run, *run_sources(run, command_data(rotated, "upright")), {})
    assert changed.data.train.exif == "upright"
    data = training_data(run)
    assert data is not None
    assert {instance.upright for instance in data.items} == {exif == "upright"}
    assert training_data(dataclasses.replace(run, config={"train": {**config.to_json()["train"], "images": "/nowhere"}})) is None


def test_cache_folder_depends_on_exif(rotated: Path, tmp_path: Path) -> None:
    source = command_data(rotated, "upright").train
    instances = [TASKS["pose"].load(dataclasses.replace(source, exif=exif)).items[:3] for exif in ("upright", "stored")]
    caches = [ImageCache(tmp_path / "cache", images) for images in instances]
    assert caches[0].folder != caches[1].folder
    upright, stored = (cache.read(images[0]) for cache, images in zip(caches, instances, strict=True))
    np.testing.assert_array_equal(upright, stored[::-1, ::-1])


def test_tasks_without_exif_option(tmp_path: Path) -> None:
    with pytest.raises(HRNetError, match="`exif`"):
        training_sources("classification", TrainingData(images=tmp_path, exif="stored"))
    with pytest.raises(HRNetError, match="`exif`"):
        TASKS["classification"].load_optional(DataSource(tmp_path, exif="stored"))
    config = TrainingConfig("classification", ClassificationSettings(), DataConfig(DataSource(tmp_path))).to_json()
    assert DataSource(tmp_path).read_as(config) == DataSource(tmp_path)
    assert DataSource().read_as({"train": {"images": "x", "exif": "stored"}}) == DataSource()  # an empty source stays empty
