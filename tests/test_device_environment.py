"""`mobile_eval` in environments like those of devices: a TFLite runtime, light libraries and no TensorFlow."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hrnet_tf.spec.network import HRNetSpec, StageSpec

pytestmark = [pytest.mark.slow, pytest.mark.external]

ROOT = Path(__file__).parents[1]
TFLITE_RUNTIME_ENDS = (3, 12)  # the first Python without wheels
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
HEIGHT_WIDTH = (64, 64)


def run(python: Path | str, *arguments: str | Path, folder: Path) -> str:
    """Runs Python in `folder` without the paths of this process, and returns its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    completed = subprocess.run([python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if completed.returncode:
        output = completed.stdout[-2000:] + completed.stderr[-4000:]
        pytest.fail(f"{' '.join(map(str, arguments))} ended with {completed.returncode}:\n{output}")
    return completed.stdout


def on_device(folder: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `tools/on_device.sh` with this machine as the device: a fake ssh runs the command in `folder` with this Python."""
    ssh, tools = folder / "ssh", folder / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "python3").unlink(missing_ok=True)
    (tools / "python3").symlink_to(sys.executable)
    (tools / "ssh").write_text(f'#!/bin/sh\nshift\nmkdir -p {ssh} && cd {ssh} && exec sh -c "$*"\n')
    (tools / "ssh").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", **variables}
    command = [ROOT / "tools" / "on_device.sh", "pi@device", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=RUNTIMES)
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the distribution and one TFLite runtime."""
    if request.param == "tflite-runtime" and sys.version_info >= TFLITE_RUNTIME_ENDS:
        pytest.skip("tflite-runtime 2.14.0 has no wheel for Python 3.12 and later")
    folder = tmp_path_factory.mktemp("device")
    default = request.param == "ai-edge-litert"
    completed = on_device(folder, **({} if default else {"RUNTIME": request.param}))
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert completed.stdout.splitlines()[-1].startswith(f"ready: {request.param} ")
    return folder / "ssh" / "mobile_eval" / "bin" / "python"


def test_unknown_runtime(tmp_path: Path) -> None:
    completed = on_device(tmp_path, RUNTIME="onnx")
    assert (completed.returncode, completed.stderr) == (2, "RUNTIME must be ai-edge-litert or tflite-runtime, got onnx\n")
    assert not (tmp_path / "ssh").exists()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with synthetic people in `people` and models: `float32.tflite`, `int8.tflite`, `decoding.tflite`."""
    from training.data.synthetic import write_synthetic_people

    folder = tmp_path_factory.mktemp("work")
    write_synthetic_people(folder / "people", 1, 24, seed=5)
    spec = HRNetSpec("tiny", 4, HEIGHT_WIDTH, 17, (StageSpec(1, 1),) * 3, stem_width=8, stage1_blocks=1, stage1_width=8).full()
    write_models(spec, folder)
    return folder


def write_models(spec: HRNetSpec, folder: Path) -> None:
    """Writes float32 and int8 files of an untrained network."""
    from conversion.convert import convert_run
    from conversion.options import ConvertOptions
    from hrnet_tf.backend.keras_module import keras
    from hrnet_tf.models.build import build_model
    from hrnet_tf.runs.run import Run, save_run
    from hrnet_tf.runs.weights import model_weights, save_weights
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset

    people = load_keypoint_dataset(folder / "people" / "person_keypoints_val.json", folder / "people" / "images")
    run = Run(folder / "run", "train", spec, people.category.to_json(), {})
    keras.utils.set_random_seed(0)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    save_run(run)
    convert_run(run, ConvertOptions("float32"), folder / "float32.tflite")
    convert_run(run, ConvertOptions("int8"), folder / "int8.tflite", people)
    options = ConvertOptions("int8", decode=True)
    convert_run(run, options, folder / "decoding.tflite", people, runtime="tflite-runtime")


DATA = ("--annotations", "people/person_keypoints_val.json", "--images", "people/images")


def test_environment_has_one_runtime_and_no_tensorflow(python: Path, work: Path, request: pytest.FixtureRequest) -> None:
    names = ["tensorflow", "tf_keras", "keras", "tflite_runtime", "ai_edge_litert"]
    script = f"import importlib.util as u; print(*[name for name in {names} if u.find_spec(name)])"
    installed = run(python, "-c", script, folder=work).split()
    path = Path(run(python, "-c", "import mobile_eval; print(mobile_eval.__file__)", folder=work).strip())
    assert installed == [request.node.callspec.params["python"].replace("-", "_")]
    assert path.is_relative_to(python.parents[1])


@pytest.mark.parametrize("name", ["float32", "int8", "decoding"])
def test_evaluate_matches_this_environment(python: Path, work: Path, name: str) -> None:
    from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
    from mobile_eval.runtime.tflite_model import TFLiteModel
    from mobile_eval.tasks.pose.evaluate import evaluate_pose

    people = load_keypoint_dataset(work / "people" / "person_keypoints_val.json", work / "people" / "images")
    expected = evaluate_pose(TFLiteModel(work / f"{name}.tflite"), people).to_json()["pck"]
    run(python, "-m", "mobile_eval", "evaluate", f"{name}.tflite", *DATA, "--json", "accuracy.json", folder=work)
    actual = json.loads((work / "accuracy.json").read_text())["pck"]
    assert actual["joints_counted"] == expected["joints_counted"] > 300
    assert expected["pck"] > 0
    joints = 2 if name == "float32" else 10  # kernels of the runtimes round differently
    assert actual["pck"] == pytest.approx(expected["pck"], abs=joints / expected["joints_counted"])


def test_bench(python: Path, work: Path) -> None:
    run(
        python,
        "-m",
        "mobile_eval",
        "benchmark",
        "int8.tflite",
        "--threads",
        "1,2",
        "--runs",
        "20",
        "--json",
        "bench.json",
        folder=work,
    )
    sweep = json.loads((work / "bench.json").read_text())["sweep"]
    assert [result["threads"] for result in sweep] == [1, 2]
    assert all(result["placement"]["operators"] > 20 for result in sweep)


def test_compare(python: Path, work: Path) -> None:
    shutil.rmtree(work / "report", ignore_errors=True)
    models = ("float32.tflite", "int8.tflite")
    run(python, "-m", "mobile_eval", "compare", *models, *DATA, "--output", "report", folder=work)
    assert len((work / "report" / "index.html").read_text()) > 10_000
    assert json.loads((work / "report" / "results.json").read_text())


def test_predict(python: Path, work: Path) -> None:
    images = sorted((work / "people" / "images").glob("val_*.jpg"))[:2]
    shutil.rmtree(work / "pictures", ignore_errors=True)
    run(python, "-m", "mobile_eval", "predict", "float32.tflite", *images, "--output", "pictures", folder=work)
    assert len([path for path in (work / "pictures").iterdir() if path.suffix in (".jpg", ".png")]) == len(images)


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python 3.11 and tflite-runtime 2.14.0 for aarch64, run by qemu."""
    requirement = "needs apt-get and dpkg-deb on x86, and the packages' source, to set up an aarch64 userland"
    if platform.machine() != "x86_64" or not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        pytest.skip(requirement)
    folder, environment = tmp_path_factory.mktemp("arm"), {**os.environ, "PYTHON": sys.executable}
    script = [ROOT / "tools" / "arm_userland.sh", folder]
    setup = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    if setup.returncode:
        pytest.skip(f"{requirement}: {(setup.stderr.strip() or setup.stdout).splitlines()[-1]}")
    assert setup.stdout.endswith("ready: aarch64\n")
    return folder / "python"


def keypoints(python: Path, work: Path, model: str, name: str, *options: str) -> tuple[NDArray[np.float64], float]:
    """Keypoints (N, K, 3) and PCK of tflite-runtime."""
    outputs = ("--predictions", f"{name}.json", "--json", f"{name}-figures.json", "--runtime", "tflite-runtime", *options)
    run(python, "-m", "mobile_eval", "evaluate", f"{model}.tflite", *DATA, *outputs, folder=work)
    results = json.loads((work / f"{name}.json").read_text())
    predictions = np.array([result["keypoints"] for result in results]).reshape(len(results), -1, 3)
    return predictions, json.loads((work / f"{name}-figures.json").read_text())["pck"]["pck"]


@pytest.mark.parametrize(
    ("model", "options"),
    [("float32", ()), ("int8", ("--reference-kernels",)), ("int8", ())],
    ids=["float32", "reference", "int8"],
)
def test_arm_matches_x86(
    python: Path, arm: Path, work: Path, model: str, options: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["python"] != "tflite-runtime":
        pytest.skip("compared with the same runtime")
    (arm_keypoints, arm_pck), (x86_keypoints, x86_pck) = (
        keypoints(interpreter, work, model, name, *options) for interpreter, name in ((arm, "arm"), (python, "x86"))
    )
    distances = np.abs(arm_keypoints[..., :2] - x86_keypoints[..., :2])
    if model == "float32" or options:
        assert distances.max() <= 0.5
        assert arm_pck == x86_pck
    else:  # fast int8 kernels round differently, by up to a few steps in the heatmaps
        assert np.median(distances) <= 0.5
        assert arm_pck == pytest.approx(x86_pck, abs=0.05)
