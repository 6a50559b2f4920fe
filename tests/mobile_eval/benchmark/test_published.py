"""Published figures of devices: what is in a file, what must not be, and the generated page."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mobile_eval.benchmark.latency import Effort, LatencyResult, bench
from mobile_eval.benchmark.published import (
    PublishedDevice,
    check_public,
    file_name,
    published_device,
    read_device,
    save_device,
)
from mobile_eval.cli.app import app
from mobile_eval.errors import HRNetError
from tools import devices_page

DEVICES = Path(__file__).parents[3] / "docs" / "devices"


@pytest.fixture
def measured(model_path: Callable[..., Path]) -> tuple[Path, LatencyResult]:
    path = model_path()
    return path, bench(path, effort=Effort(60), memory=False)


def test_nothing_private_is_published(measured: tuple[Path, LatencyResult], tmp_path: Path) -> None:
    path, result = measured
    private = dataclasses.replace(
        result,
        placement=dataclasses.replace(result.placement, delegate=f"{tmp_path}/libdelegate.so (device=10000000a1b2c3d4)"),
        after=dataclasses.replace(result.after, system="Linux 6.1.0-anna-10000000a1b2c3d4", processor="Board w/ cooler"),
    )
    device = published_device("Test board", [(path, private)])
    text = json.dumps(device.to_json())
    assert not re.search(r"anna|10000000a1b2c3d4|samples|\bdevice=", text)
    assert str(path.parent) not in text
    assert (device.system, device.processor, device.latencies[0].delegate) == ("Linux 6.1.0", "Board w  cooler", "libdelegate.so")
    assert device.latencies[0].p50_ms == pytest.approx(result.p50_ms, abs=1e-4)
    assert (device.latencies[0].sha256, device.latencies[0].runs) == (result.sha256, 60)
    save_device(device, tmp_path / "test-board.json")
    assert read_device(tmp_path / "test-board.json") == device


@pytest.mark.parametrize(
    "text",
    [
        *("/home/anna/model.tflite", r"C:\models", "~anna", "anna@example.org", "192.168.1.20", "b8:27:eb:12:34:56"),
        *("10000000a1b2c3d4", "R58M123ABCD", "", "two\nlines", "turned \u202e round", "long" * 30),
    ],
)
def test_private_texts(text: str) -> None:
    with pytest.raises(HRNetError):
        check_public(text, "name")


@pytest.mark.parametrize(
    "text",
    [
        *("Raspberry Pi 5 Model B Rev 1.0", "Intel(R) Xeon(R) Processor @ 2.10GHz", "Pixel 8 (Tensor G3)", "pruned-int8.tflite"),
        *("ai-edge-litert 2.3.0", "Linux 6.6.31", "Téléphone 7"),
    ],
)
def test_public_texts(text: str) -> None:
    check_public(text, "name")


def test_command(model_path: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [str(model_path().absolute())] * 2
    (tmp_path / "docs" / "devices").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    command = ["benchmark", *models, "--no-memory", "--threads", "1,2", "--publish", "Test Board 5"]
    few = CliRunner().invoke(app, [*command, "--rounds", "3"])
    assert "50" in str(few.exception)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    device = read_device(tmp_path / "docs" / "devices" / "test-board-5.json")
    assert [latency.threads for latency in device.latencies] == [1, 1, 2, 2]
    again = CliRunner().invoke(app, command)
    assert "exists" in str(again.exception)
    private = CliRunner().invoke(app, [*command[:-1], "board of anna@example.org"])
    assert "an address" in str(private.exception)
    assert os.listdir("docs/devices") == ["test-board-5.json"]


def test_files_are_validated(measured: tuple[Path, LatencyResult], tmp_path: Path) -> None:
    device = published_device("Board", [measured])
    data = device.to_json()
    for wrong, message in (
        ({"host": "anna"}, "host"),
        ({"name": "Other"}, r"other\.json"),
        ({"processor": "/proc/cpuinfo"}, "path"),
        ({"latencies": []}, "latencies"),
        ({"latencies": [{**data["latencies"][0], "p90_ms": 0.0}]}, "p50"),
        ({"latencies": [{**data["latencies"][0], "sha256": "0"}]}, "SHA-256"),
    ):
        (tmp_path / "board.json").write_text(json.dumps({**data, **wrong}))
        with pytest.raises(HRNetError, match=message):
            read_device(tmp_path / "board.json")
    with pytest.raises(HRNetError, match="publish"):
        file_name("???")


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.json")), ids=lambda path: path.stem)
def test_published_devices_are_valid(path: Path) -> None:
    assert read_device(path).latencies


def test_page_is_generated() -> None:
    """After a new file: `python -m tools.devices_page`."""
    assert devices_page.PAGE.read_text(encoding="utf-8") == devices_page.page()


def test_page_escapes_names(measured: tuple[Path, LatencyResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device: PublishedDevice = published_device("Board <b>|x", [measured])
    save_device(device, tmp_path / "devices" / file_name(device.name))
    monkeypatch.setattr(devices_page, "FILES", tmp_path / "devices")
    text = devices_page.page()
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert r"Board \<b\>\|x" in text
