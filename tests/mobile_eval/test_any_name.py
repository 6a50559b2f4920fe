"""File names that are not UTF-8, or with characters that HTML and SVG do not allow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from mobile_eval.viz.svg import element, picture, text
from tests.mobile_eval.conftest import People

ROOT = Path(__file__).parents[2]
NAMES = [b"bad\xff", b"a\x08b\x1f", b"two\x0clines", "ü & <b>".encode()]
UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def hrnet(*arguments: object) -> str:
    """Run a command in a subprocess, for its output encoding; return its stdout."""
    command = [sys.executable, "-m", "mobile_eval", *map(os.fsencode, map(str, arguments))]
    result = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, timeout=300)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return result.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_every_command_takes_any_name(name: bytes, model_path: Callable[..., Path], people: People, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    model, photo = folder / f"{os.fsdecode(name)}.tflite", folder / f"{os.fsdecode(name)}.jpg"
    shutil.copyfile(model_path("int8"), model)
    shutil.copyfile(people.images / "000001.jpg", photo)
    data = "--annotations", people.annotations, "--images", people.images
    figures = folder / "figures.json"

    assert "PCK" in hrnet("evaluate", model, *data, "--json", figures, "--overlays", folder / "overlays")
    assert json.loads(figures.read_bytes())
    assert "p50" in hrnet("benchmark", model, "--runs", 1, "--seconds", 0, "--json", figures)
    assert json.loads(figures.read_bytes())["samples_ms"]
    assert hrnet("profile", model, "--rounds", 1, "--json", figures, "--picture", folder / "profile.svg")
    assert json.loads(figures.read_bytes())["operators"]
    assert ElementTree.parse(folder / "profile.svg").getroot().tag.endswith("svg")
    hrnet("compare", model, *data, "--rounds", 1, "--output", folder / "report")
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not UNREADABLE.search(page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    hrnet("predict", model, photo, "--output", folder / "poses")
    assert json.loads((folder / "poses" / "keypoints.json").read_bytes())["images"][0]["file_name"] == photo.name
    assert (folder / "poses" / f"{photo.stem}_pose.jpg").is_file()


@pytest.mark.slow
@pytest.mark.skipif(
    tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 12),
    reason="opencv 4.12 takes names that are not UTF-8",
)
def test_a_video_takes_any_name(model_path: Callable[..., Path], tmp_path: Path) -> None:
    video = tmp_path / os.fsdecode(NAMES[0] + b".mp4")
    plain = tmp_path / "plain.mp4"
    writer = cv2.VideoWriter(str(plain), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (64, 48))
    for shade in (0, 120, 240):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    plain.rename(video)
    hrnet("predict", model_path("int8"), video, "--output", tmp_path / "poses")
    [output] = (tmp_path / "poses").glob("*.mp4")
    capture = cv2.VideoCapture(os.fsencode(output))  # type: ignore[call-overload]
    assert sum(capture.read()[0] for _ in range(4)) == 3


@pytest.mark.parametrize("code", [0x00, 0x08, 0x0B, 0x0C, 0x1B, 0x7F, 0x85, 0x2028, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600])
def test_svg_is_valid_xml_with_every_character(code: int) -> None:
    content = f'<a> & "{chr(code)}"'
    svg = picture(10, 10, [text(0, 0, content), element("rect", {"id": content}, title=content)], content)
    root = ElementTree.fromstring(svg.encode())
    shown = content if code in (0x7F, 0x85, 0x2028, 0x1F600) else content.replace(chr(code), "\ufffd")
    [written] = root.iter("{http://www.w3.org/2000/svg}text")
    assert written.text == root.get("aria-label") == shown


def test_svg_has_a_light_background() -> None:
    root = ElementTree.fromstring(picture(100, 50, [], "nothing"))
    background = root[0]
    assert background.get("fill") == "#ffffff"
    box = [float(background.get(name, "nan")) for name in ("x", "y", "width", "height")]
    assert box == [float(value) for value in root.get("viewBox", "").split()] == [-8, -8, 116, 66]
    assert (float(root.get("width", "")), float(root.get("height", ""))) == (116, 66)
