"""Accuracy on a phone: the evaluator itself, people and images are copied there and run by a Python that adb's user can start.

Most phones have none: Termux keeps its Python where only Termux may go, unless the phone is rooted. `HOW` says what to do then.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_eval.android.adb import TEMPORARY, Phone, killable
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Id
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.model.archive import description_path, read_description
from mobile_eval.words import number_of

PACKAGE = Path(__file__).parents[1]
PYTHONS = (
    "python3",
    "python",
    f"{TEMPORARY}/python/bin/python3",
    "/data/data/com.termux/files/usr/bin/python3",  # adb's user gets there on rooted phones and emulators (`adb root`)
)
NEEDS = "import numpy, cv2, typer, rich, jinja2, markupsafe, faster_coco_eval"
NEEDS_RUNTIME = "from mobile_eval.runtime.interpreter import find_runtime; print(find_runtime())"
HOW = """No Python that adb can start on this phone has what the evaluator needs. What can be done:
  - Over ssh, with Termux (https://termux.dev) on the phone. Wheels of TFLite runtimes need glibc, so an Ubuntu goes there:
      pkg install proot-distro && proot-distro install ubuntu && proot-distro login ubuntu
      apt install python3-venv openssh-server     # its Python has to be 3.10 or later; start sshd on port 8022
    and on this machine, with Port 8022 and User root for a host `phone` in ~/.ssh/config:
      adb forward tcp:8022 tcp:8022
      tools/on_device.sh phone M.tflite
      ssh phone mobile_eval/bin/python -m mobile_eval evaluate mobile_eval/M.tflite --annotations val.json --images images
  - Over adb, with a Python that holds numpy, opencv, typer, rich, jinja2, faster-coco-eval and a TFLite runtime, copied
    to {folder}/python, on the PATH, or named by --python."""


@dataclass(frozen=True)
class PhonePython:
    """A Python on the phone that can run the evaluator, and the TFLite runtime that it has."""

    path: str
    runtime: str


class NoPythonError(HRNetError):
    """The phone has no Python for the evaluator; `how` is what can be done."""

    how = HOW.format(folder=TEMPORARY)


def evaluate(
    phone: Phone,
    model: Path | str,
    dataset: KeypointDataset,
    *,
    python: str | None = None,
    options: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], str]:
    """Run `mobile_eval evaluate` on the phone: its JSON and what it printed; the phone is left as it was.

    `options` are further ones of that command. Only the images of `dataset` are copied.
    """
    description = read_description(model)  # a damaged model is refused here
    found = find_python(phone, python)
    with phone.folder() as folder, tempfile.TemporaryDirectory() as here:
        local = Path(here)
        images = len(_images(dataset))
        say(f"{phone.serial}: copying the evaluator, the model and {number_of(images, 'images')}")
        _stage(dataset, local)
        phone.push([local / "mobile_eval", local / "people.json"], f"{folder}/")
        phone.push([local / "images"], f"{folder}/")
        phone.push([model], f"{folder}/{_safe(model)}")
        write_json(local / "description.json", description.to_json())  # it may lie beside the model, and not be inside
        phone.push([local / "description.json"], str(description_path(f"{folder}/{_safe(model)}")))
        runtime = _runtime(phone, found, folder)
        say(f"{phone.serial}: {number_of(len(dataset), 'people')}, {runtime.path}, {runtime.runtime}")
        data = f"--annotations {folder}/people.json --images {folder}/images --json {folder}/figures.json"
        line = f"{_python(found, folder)} -m mobile_eval evaluate {folder}/{_safe(model)} {data} {shlex.join(options)}"
        done = phone.shell(killable(line, folder), timeout_s=None)
        if done.status:
            raise HRNetError(f"evaluating on the phone failed: {done.reason.removeprefix('error: ')}")
        phone.pull(f"{folder}/figures.json", local / "figures.json")
        return {**read_json(local / "figures.json", "figures"), "python": runtime.path}, done.stdout.strip()


def find_python(phone: Phone, python: str | None = None) -> str:
    """The first Python that imports what the evaluator needs; `NoPythonError` says what each of them lacks."""
    lacks = []
    for path in [python] if python else PYTHONS:
        done = phone.shell(f'{shlex.quote(path)} -c "{NEEDS}"')
        if not done.status:
            return path
        lacks.append(f"{path}: {done.reason.rpartition(': ')[2]}")
    raise NoPythonError(f"no Python on the phone {phone.serial} can run the evaluator ({'; '.join(lacks)})")


def _runtime(phone: Phone, python: str, folder: str) -> PhonePython:
    done = phone.shell(f'{_python(python, folder)} -c "{NEEDS_RUNTIME}"')
    if done.status:
        raise NoPythonError(f"{python} on the phone {phone.serial} has no TFLite runtime: {done.reason}")
    return PhonePython(python, done.stdout.strip())


def _python(path: str, folder: str) -> str:
    """The command that starts it, with the copied package, and no files written beside it."""
    return f"env PYTHONPATH={folder} PYTHONDONTWRITEBYTECODE=1 TMPDIR={folder} {shlex.quote(path)}"


def _images(dataset: KeypointDataset) -> dict[Id, Path]:
    """The files of the images that have people, by id."""
    return {instance.image_id: instance.image_path for instance in dataset.instances}


def _stage(dataset: KeypointDataset, folder: Path) -> None:
    """Lay out what is copied: the package, the images under numbers for names, and the annotations that name them so."""
    shutil.copytree(PACKAGE, folder / "mobile_eval", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "images").mkdir()
    names: dict[Id, str] = {}
    for image_id, path in _images(dataset).items():
        names[image_id] = f"{len(names):06d}{path.suffix}"
        _link(path, folder / "images" / names[image_id])
    entries = [{**image, "file_name": names.get(image["id"], image["file_name"])} for image in dataset.coco["images"]]
    write_json(folder / "people.json", {**dataset.coco, "images": entries})


def _link(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where the file system has no such thing."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _safe(model: Path | str) -> str:
    """The model's name with nothing in it that a shell reads."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(model).name)
