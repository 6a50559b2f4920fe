"""The page in headless Chromium, with LiteRT.js: the same keypoints as the evaluator, and no request to another host.

It needs selenium (`pip install selenium`), Chromium and its driver (`apt install chromium chromium-driver`), and npm.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mobile_eval.datasets.base import DataSource, TaskDataset
from mobile_eval.datasets.coco.keypoints import load_keypoint_dataset
from mobile_eval.pipeline.detectors import ObjectDetector, open_detector
from mobile_eval.pipeline.pipeline import Pipeline
from mobile_eval.report.devices import compare_devices
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.registry import TASKS
from mobile_eval.web.server import make_server
from mobile_eval.web.site import write_site
from tests.mobile_eval.conftest import TaskModel, data_set
from tests.mobile_eval.web.test_site import HOSTILE

pytestmark = [pytest.mark.external, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
FILES = ROOT / "benchmarks" / "results" / "lspet"
TIMEOUT_S = 120
PEOPLE = 10
Driver = Any  # selenium has type hints, but is not installed where these files are checked


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Chromium without a window, at 390 x 844, with a camera that shows a test picture."""
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    program, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if not program or not chromium:
        pytest.skip("chromedriver or Chromium is not installed")
    if not shutil.which("npm"):
        pytest.skip("npm, which fetches LiteRT.js, is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    software_gpu = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
    fake_camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    window = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=390,844")
    for argument in (*window, *fake_camera, *software_gpu):
        options.add_argument(argument)
    downloads = tmp_path_factory.mktemp("downloads")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    chrome = webdriver.Chrome(options=options, service=service.Service(program))
    chrome.downloads = downloads
    yield chrome
    chrome.quit()


@pytest.fixture
def open_page(driver: Driver, tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Writes a page of models, opens it, and waits until it has shown a prediction; returns the content of site.json."""
    servers = []

    def open_site(
        models: list[Path], dataset: TaskDataset | None = None, detector: ObjectDetector | None = None
    ) -> dict[str, Any]:
        site = write_site([TFLiteModel(path) for path in models], tmp_path / "site", dataset, detector=detector)
        servers.append(make_server(tmp_path / "site", 0))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        driver.get(f"http://localhost:{servers[-1].server_address[1]}/")
        wait_for(driver, "return !document.getElementById('content').hidden")
        return site

    yield open_site
    driver.get("about:blank")
    for server in servers:
        server.shutdown()
        server.server_close()


def wait_for(driver: Driver, script: str) -> Any:
    """The first result of a script that is neither false nor empty; the page's error ends the waiting."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (result := driver.execute_script(script)):
        status = driver.execute_script("return document.querySelector('#status.error')?.textContent")
        assert not status, status
        assert time.monotonic() < deadline, script
        time.sleep(0.1)
    return result


def click(driver: Driver, identifier: str) -> None:
    driver.execute_script("document.getElementById(arguments[0]).click()", identifier)


def table(driver: Driver, identifier: str) -> list[list[str]]:
    """The cells of a table that is shown."""
    wait_for(driver, f"return !document.getElementById('{identifier}').hidden")
    return driver.execute_script(
        "const {rows} = document.getElementById(arguments[0]).tBodies[0]; "
        "return [...rows].map((row) => [...row.cells].map((cell) => cell.innerText))",
        identifier,
    )


def requested_hosts(driver: Driver) -> set[str]:
    hosts = "return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)"
    return set(driver.execute_script(hosts))


def test_ten_people(driver: Driver, open_page: Callable[..., dict[str, Any]], lspet: Path, tmp_path: Path) -> None:
    """Keypoints, accuracy and latency of two networks, and the results beside another device's."""
    dataset = load_keypoint_dataset(lspet / "person_keypoints_val.json", lspet / "images").head(PEOPLE)
    site = open_page([FILES / "pruned-float32.tflite", FILES / "links-float32.tflite"], dataset)
    wait_for(driver, "return document.querySelector('figcaption span').textContent")
    click(driver, "evaluate")
    rows = table(driver, "accuracy")
    assert [row[0] for row in rows] == ["pruned-float32", "links-float32"]
    for row, entry in zip(rows, site["models"], strict=True):
        assert float(row[1]) == pytest.approx(entry["score"], abs=1e-4)
        distance, remark = row[3].split("\n")
        assert float(distance) <= 0.5  # pixels
        assert remark == f"0 of {14 * PEOPLE} above 0.5"
    driver.execute_script("document.getElementById('rounds').value = 10")
    click(driver, "benchmark")
    rows = table(driver, "latency")
    assert all(0 < float(row[1]) <= float(row[2]) for row in rows)
    driver.execute_script("document.getElementById('device').value = 'test device'")
    click(driver, "save")
    file = driver.downloads / "results.json"
    deadline = time.monotonic() + TIMEOUT_S
    while not file.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    content = json.loads(file.read_text())
    assert content["runtime"].startswith("LiteRT.js")
    assert [len(model["latency"]["samples_ms"]) for model in content["models"]] == [10, 10]
    result = compare_devices([file], tmp_path / "report")
    assert result.devices[0].name == "test device"
    assert requested_hosts(driver) == {driver.execute_script("return location.host")}


def test_everyone_is_found(
    driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path], finder: Path, tmp_path: Path
) -> None:
    """The boxes and keypoints of a picture, and of the camera, are those of the pipeline."""
    open_page([model_path()], detector=open_detector(finder))
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image[..., ::-1])
    driver.find_element("id", "files").send_keys(str(tmp_path / "photo.png"))
    sentence = wait_for(driver, "return document.querySelector('figcaption span')?.textContent")
    people = Pipeline(finder, model_path()).predict(image)
    assert len(people) > 1
    assert sentence.startswith(f"{len(people)} boxes: ")
    first = [float(driver.find_element("id", f"box-{field}").get_property("value")) for field in ("x", "y", "width", "height")]
    np.testing.assert_allclose(first, people.boxes[0], atol=0.3)
    assert driver.find_element("id", "full-box").get_property("textContent") == "Find all boxes"
    click(driver, "camera")
    wait_for(driver, "return document.querySelectorAll('figcaption span')[1].textContent.includes('frames per second')")
    assert driver.execute_script("return document.querySelectorAll('figcaption span')[1].textContent").startswith("detector ")
    click(driver, "camera")


def test_gpu(driver: Driver, open_page: Callable[..., dict[str, Any]], lspet: Path) -> None:
    """WebGPU, here in software: the keypoints of the evaluator, or an error where it does not take every operator."""
    dataset = load_keypoint_dataset(lspet / "person_keypoints_val.json", lspet / "images").head(2)
    open_page([FILES / "links-float32.tflite"], dataset)
    driver.get(driver.find_element("id", "other").get_property("href"))
    wait_for(driver, "return !document.getElementById('content').hidden")
    assert "on the GPU of this device" in driver.find_element("id", "status").text
    assert driver.find_element("id", "other").text == "Run on the processor"
    click(driver, "evaluate")
    [row] = table(driver, "accuracy")
    assert float(row[3].split("\n")[0]) <= 0.5
    driver.execute_script("document.getElementById('rounds').value = 2")
    click(driver, "benchmark")
    [row] = table(driver, "latency")
    assert float(row[1]) > 0


def test_browser_without_a_gpu(driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path]) -> None:
    open_page([model_path()])
    script = {"source": "Object.defineProperty(navigator, 'gpu', {value: undefined})"}
    identifier = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        driver.get(driver.find_element("id", "other").get_property("href"))
        error = wait_for(driver, "return document.querySelector('#status.error')?.textContent")
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", identifier)
    assert "no GPU for pages" in error
    assert driver.find_element("id", "other").text == "Run on the processor"


def test_names_are_text(driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path]) -> None:
    open_page([model_path(name=HOSTILE)])
    assert HOSTILE in driver.find_element("id", "title").text
    assert HOSTILE in driver.title
    assert driver.find_elements("css selector", "img[src=x]") == []
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_camera_and_pictures(
    driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path], tmp_path: Path
) -> None:
    open_page([model_path(), model_path(name="second")])
    cv2.imwrite(str(tmp_path / "photo.png"), np.random.default_rng(0).integers(0, 256, (90, 60, 3), np.uint8))
    (tmp_path / "note.txt").write_text("no picture")
    driver.find_element("id", "files").send_keys(str(tmp_path / "photo.png"))
    wait_for(driver, "return document.querySelector('figcaption span')?.textContent")
    assert driver.execute_script(
        "const {width, height} = document.querySelector('canvas'); return width / height"
    ) == pytest.approx(2 / 3)
    driver.find_element("id", "files").send_keys(str(tmp_path / "note.txt"))
    assert "note.txt" in wait_for(driver, "return document.getElementById('camera-note').textContent")
    click(driver, "camera")
    wait_for(driver, "return document.querySelectorAll('figcaption span')[3].textContent.includes('frames per second')")
    click(driver, "camera")
    assert driver.find_element("id", "camera").get_attribute("aria-pressed") == "false"


def test_refused_camera(driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path]) -> None:
    open_page([model_path()])
    driver.execute_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));"
    )
    click(driver, "camera")
    assert "refused the camera" in wait_for(driver, "return document.getElementById('camera-note').textContent")
    assert driver.find_element("id", "camera").get_attribute("aria-pressed") == "false"


def test_browser_without_relaxed_simd(driver: Driver, open_page: Callable[..., dict[str, Any]], lspet: Path) -> None:
    """Such as Safari: LiteRT.js has another build for it, which the folder holds too."""
    refusing = (  # the modules that LiteRT.js tries to see what the browser has
        "const {instantiate} = WebAssembly; WebAssembly.instantiate = (bytes, ...others) => "
        "bytes.byteLength < 100 ? Promise.reject(new Error('refused')) : instantiate(bytes, ...others);"
    )
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refusing})
    try:
        dataset = load_keypoint_dataset(lspet / "person_keypoints_val.json", lspet / "images").head(3)
        open_page([FILES / "links-float32.tflite"], dataset)
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    click(driver, "evaluate")
    [row] = table(driver, "accuracy")
    assert float(row[3].split("\n")[0]) <= 0.5
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert any(name.endswith("litert_wasm_compat_internal.wasm") for name in loaded)


def test_browser_without_simd(driver: Driver, open_page: Callable[..., dict[str, Any]], model_path: Callable[..., Path]) -> None:
    without = {"source": "WebAssembly.validate = () => false;"}
    script = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", without)
    try:
        with pytest.raises(AssertionError, match="no WebAssembly SIMD"):  # `wait_for` raises the page's message
            open_page([model_path()])
    finally:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert driver.execute_script("return document.getElementById('content').hidden")


def real_source(task: str) -> DataSource:
    """Real images of a task with their labels."""
    if task == "landmarks":
        return DataSource(images=data_set("faces") / "images", annotations=data_set("faces") / "face_keypoints_val.json")
    if task == "classification":
        return DataSource(images=data_set("cells") / "val")
    camvid = data_set("camvid")
    return DataSource(images=camvid / "val" / "images", masks=camvid / "val" / "masks", classes=camvid / "classes.json")


@pytest.mark.parametrize("task", ["landmarks", "segmentation", "classification"])
def test_other_tasks(
    task: str, driver: Driver, open_page: Callable[..., dict[str, Any]], task_model: Callable[..., TaskModel]
) -> None:
    """A network with random weights: the page scores what the evaluator scores."""
    dataset = TASKS[task].load(real_source(task))
    site = open_page([task_model(task, dataset.names).path], dataset.head(6))
    wait_for(driver, "return document.querySelector('figcaption span').textContent")
    click(driver, "evaluate")
    [row] = table(driver, "accuracy")
    assert float(row[1]) == pytest.approx(site["models"][0]["score"], abs=2e-3 if task == "segmentation" else 1e-4)
    if task == "landmarks":  # maxima of random heatmaps are close to each other
        far, count = map(int, row[3].split("\n")[1].split(" above")[0].split(" of "))
        assert far <= 0.02 * count
    else:
        assert float(row[3]) <= (0.5 if task == "segmentation" else 0.0)  # percent
