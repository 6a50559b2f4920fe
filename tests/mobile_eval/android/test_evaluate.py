"""`hrnet target android evaluate` with the real adb, on an emulated phone with this machine's Python, or none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import evaluate_pose

from ..conftest import Invoke, People, one_line
from .conftest import read
from .emulated_phone import EmulatedPhone

ModelPath = Callable[..., Path]


def data_options(people: People) -> tuple[object, ...]:
    return "--annotations", people.annotations, "--images", people.images


def install_python(phone: EmulatedPhone, name: str = "python3") -> None:
    phone.install(name, f'#!/bin/sh\nexec {sys.executable} "$@"\n')


@pytest.mark.slow
def test_figures_match_this_machine(
    invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath, tmp_path: Path
) -> None:
    install_python(phone)
    model = model_path(name="it's a model")
    json = tmp_path / "out" / "figures.json"
    code, out, error = invoke("evaluate", model, *data_options(people), "--limit", 2, "--json", json)
    assert code == 0, error
    dataset = load_keypoint_dataset(people.annotations, people.images).head(2)
    expected = evaluate_pose(TFLiteModel(model), dataset).to_json()
    figures = read(json)
    assert (figures["instances"], figures["images"], figures["python"]) == (2, 1, "python3")
    assert figures["pck"] == expected["pck"]
    assert figures["oks"] == pytest.approx(expected["oks"])
    assert figures["annotations"] == str(people.annotations)
    assert "PCK@0.1" in out
    assert "copying the evaluator, the model and 1 image" in out
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_options_reach_the_phone(
    invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath, tmp_path: Path
) -> None:
    install_python(phone, "other-python")
    json = tmp_path / "figures.json"
    options = ("--flip", "--flip-pairs", "0:1", "--exif", "stored", "--decoding", "dark", "--no-xnnpack", "--max-pixels", 500_000)
    more = ("--sigmas", "0.1", "--threads", 2, "--python", "other-python")
    code, _, error = invoke("evaluate", model_path(), *data_options(people), *options, *more, "--json", json)
    assert code == 0, error
    figures = read(json)
    assert {name: figures["options"][name] for name in ("flip", "flip_pairs", "exif", "decoding", "sigmas")} == {
        "flip": True,
        "flip_pairs": "0:1",
        "exif": "stored",
        "decoding": "dark",
        "sigmas": [0.1],
    }
    assert (figures["instances"], figures["threads"], figures["python"]) == (4, 2, "other-python")
    assert any("--max-pixels 500000" in command for command in phone.commands)


@pytest.mark.slow
def test_no_python_on_the_phone(
    invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath, tmp_path: Path
) -> None:
    phone.install("python", "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'cv2'\" >&2\nexit 1\n")
    code, out, error = invoke("evaluate", model_path(), *data_options(people), "--json", tmp_path / "figures.json")
    assert code == 2
    line = one_line(error)
    assert f"no Python on the phone {phone.serial} can run the evaluator (python3: inaccessible or not found; " in line
    assert "python: No module named 'cv2'" in line
    assert "/data/data/com.termux/files/usr/bin/python3: not found" in line
    assert "tools/on_device.sh phone M.tflite" in out
    assert phone.temporary_files() == []
    assert not any("mkdir" in command for command in phone.commands)


@pytest.mark.slow
def test_no_runtime_on_the_phone(invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath) -> None:
    refuse = 'case "$2" in *find_runtime*) echo "ValueError: no TFLite runtime" >&2; exit 1;; esac'
    script = f'#!/bin/sh\n{refuse}\nexec {sys.executable} "$@"\n'
    phone.install("python3", script)
    code, out, error = invoke("evaluate", model_path(), *data_options(people))
    assert code == 2
    assert "has no TFLite runtime" in one_line(error)
    assert "proot-distro" in out
    assert phone.temporary_files() == []


@pytest.mark.slow
def test_bad_input_ends_in_one_line(invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath) -> None:
    install_python(phone)
    path = model_path()
    code, _, error = invoke("evaluate", path, *data_options(people), "--runtime", "none such'")
    assert code == 2
    assert "evaluating on the phone failed: " in one_line(error)
    assert "none such'" in one_line(error)
    code, _, error = invoke("evaluate", path, *data_options(people), "--sigmas", "x")
    assert code == 2
    assert "--sigmas takes numbers" in one_line(error)
    code, _, error = invoke("evaluate", path, *data_options(people), "--decoding", "x")
    assert code == 2
    assert "one of model, quarter, dark, udp, got 'x'" in one_line(error)
    path.write_bytes(path.read_bytes()[:-20_000])
    code, _, error = invoke("evaluate", path, *data_options(people))
    assert code == 2
    assert "truncated or damaged" in one_line(error)
    assert phone.temporary_files() == []


def test_full_phone_is_cleaned_up(
    invoke: Invoke, phone: EmulatedPhone, people: People, model_path: ModelPath, tmp_path: Path
) -> None:
    install_python(phone)
    phone.free_bytes = 3000
    code, _, error = invoke("evaluate", model_path(), *data_options(people), "--json", tmp_path / "figures.json")
    assert code == 2
    assert "No space left on device" in one_line(error)
    assert phone.temporary_files() == []
    assert not (tmp_path / "figures.json").exists()
    assert len(list(people.images.iterdir())) == 3
