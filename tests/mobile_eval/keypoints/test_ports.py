"""The ports of `examples/cpp` and `examples/kotlin`: every step equals the test vectors of real models."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.image.image_file import read_image
from mobile_eval.keypoints.vectors import read_tensor, write_vectors
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.typed import JsonObject
from tests.mobile_eval.conftest import People
from tests.support.environments import make_environment, python_of

ROOT = Path(__file__).parents[3]
FILES = ROOT / "benchmarks" / "results" / "lspet"
KOTLIN = "kotlin-jupyter-kernel"  # its wheel contains the compiler
Steps = Callable[..., NDArray[np.float64]]  # runs the steps of a case, and returns what the port prints


def runner(command: list[str | Path]) -> Steps:
    def run(*arguments: object) -> NDArray[np.float64]:
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return np.array([line.split() for line in done.stdout.splitlines()], np.float64)

    return run


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler is installed")
    program = tmp_path_factory.mktemp("cpp") / "steps"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, "-std=c++17", "-O2", *warnings, ROOT / "examples/cpp/steps.cpp", "-o", program], check=True)
    return runner([program])


@pytest.fixture(scope="module")
def kotlin(tmp_path_factory: pytest.TempPathFactory) -> Steps:
    java = shutil.which("java")
    if java is None:
        pytest.skip("java is not installed")
    folder = tmp_path_factory.mktemp("kotlin")
    make_environment(folder / "environment", python_of(((3, 10), (3, 11), (3, 12), (3, 13))), "--no-deps", KOTLIN)
    jars = next((folder / "environment").rglob("kotlin-stdlib-*.jar")).parent
    library = next(jars.glob("kotlin-stdlib-[0-9]*.jar"))
    sources = sorted((ROOT / "examples" / "kotlin").glob("*.kt"))
    options = ["-no-stdlib", "-no-reflect", "-cp", library, "-d", folder / "classes"]
    compiler = [java, "-cp", f"{jars}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    subprocess.run([*compiler, *options, *sources], check=True, capture_output=True)
    return runner([java, "-cp", f"{folder / 'classes'}:{library}", "pose.StepsKt"])


def contract_of(vectors: JsonObject) -> str:
    """The numbers of a contract, as the ports' programs read them."""
    source, output, decoding = vectors["input"], vectors["outputs"][0], vectors["decoding"]
    stored = [[tensor["scale"] or 0, tensor["zero_point"] or 0] for tensor in (source, output)]
    numbers = [*source["size"], source["box_padding"], *source["mean"], *source["std"], *stored[0], *stored[1]]
    numbers += [decoding["offset"], *decoding["heatmap_pixel"]]
    return " ".join(map(str, [*numbers, source["dtype"], output["dtype"]]))


@pytest.mark.parametrize("port", ["cpp", pytest.param("kotlin", marks=[pytest.mark.external, pytest.mark.slow])])
def test_ports_reproduce_every_step(port: str, people: People, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run: Steps = request.getfixturevalue(port)
    people_of_file = load_keypoint_dataset(people.annotations, people.images).items[:3]
    for name in ("links-int8.tflite", "links-float32.tflite"):
        folder = tmp_path / name
        vectors = write_vectors(TFLiteModel(FILES / name), people_of_file, folder)
        (tmp_path / "contract").write_text(contract_of(vectors))
        for case in vectors["cases"]:
            image, crop = (read_image(folder / case["folder"] / file) for file in ("image.png", "crop.png"))
            image.tofile(tmp_path / "image")
            crop.tofile(tmp_path / "crop")
            heatmaps = read_tensor(folder, case, "heatmaps", vectors)
            heatmaps.tofile(tmp_path / "heatmaps")
            files = [tmp_path / "contract", tmp_path / "image", *image.shape[:2], *case["box"], tmp_path / "crop"]
            rows = run(*files, tmp_path / "heatmaps", *heatmaps.shape[1:], tmp_path / "result")
            np.testing.assert_allclose(rows[:2], case["matrix"], atol=1e-9)
            warped = np.fromfile(tmp_path / "result.crop", np.uint8).reshape(crop.shape).astype(int)
            assert np.abs(warped - crop).max() <= 8  # weights of OpenCV 4 are multiples of 1 / 32
            assert np.abs(warped - crop).mean() < 1
            stored = np.fromfile(tmp_path / "result.input", vectors["input"]["dtype"])
            expected = read_tensor(folder, case, "input", vectors).reshape(-1)
            np.testing.assert_allclose(stored, expected, atol=1e-6 if "float" in name else 0)
            joints = heatmaps.shape[-1]
            np.testing.assert_allclose(rows[2 : 2 + joints], case["heatmap_keypoints"], atol=1e-6)
            np.testing.assert_allclose(rows[2 + joints :], case["keypoints"], atol=1e-6)
