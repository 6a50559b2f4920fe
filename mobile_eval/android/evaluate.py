"""Measure accuracy on a phone: the evaluator, annotations and images are copied there, and a Python on the phone runs it.

The Python must be one that adb's user can start. Most phones have none: Termux keeps its Python where only Termux has access,
unless the phone is rooted. `HOW` says what to do then.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobile_eval.android.adb import TEMPORARY, Phone, killable
from mobile_eval.datasets.coco.keypoints import KeypointDataset
from mobile_eval.datasets.coco.schema import Id
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json, write_json
from mobile_eval.messages import number_of
from mobile_eval.model.archive import description_path, read_description
from mobile_eval.typed import JsonObject, checked

PACKAGE = Path(__file__).parents[1]
PYTHONS = (
    "python3",
    "python",
    f"{TEMPORARY}/python/bin/python3",
    "/data/data/com.termux/files/usr/bin/python3",  # readable on rooted phones and emulators (`adb root`)
)
REQUIREMENTS = "import numpy, cv2, typer, rich, jinja2, markupsafe, faster_coco_eval"
RUNTIME_PROGRAM = "from mobile_eval.runtime.interpreter import find_runtime; print(find_runtime())"
HOW = """No Python that adb can start on this phone can run the evaluator. There are two ways:
  - Over ssh, with Termux (https://termux.dev) on the phone. Wheels of TFLite runtimes need glibc, so install Ubuntu in it:
      pkg install proot-distro && proot-distro install ubuntu && proot-distro login ubuntu
      apt install python3-venv openssh-server     # Python 3.10 or later is needed; start sshd on port 8022
    and on this machine, with Port 8022 and User root for a host `phone` in ~/.ssh/config:
      adb forward tcp:8022 tcp:8022
      tools/on_device.sh phone M.tflite
      ssh phone mobile_eval/bin/python -m mobile_eval evaluate mobile_eval/M.tflite --annotations val.json --images images
  - Over adb, with a Python that has numpy, opencv, typer, rich, jinja2, faster-coco-eval and a TFLite runtime: copy it
    to {folder}/python, put it on the PATH, or name it with --python."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhonePython:
    """A Python on the phone that can run the evaluator, and its TFLite runtime."""

    path: str
    runtime: str


class NoPythonError(HRNetError):
    """The phone has no Python for the evaluator; `how` says what to do."""

    how = HOW.format(folder=TEMPORARY)


def evaluate(
    phone: Phone,
    model: Path | str,
    dataset: KeypointDataset,
    *,
    python: str | None = None,
    options: Sequence[str] = (),
) -> tuple[JsonObject, str]:
    """Run `mobile_eval evaluate` on a phone. Everything that is copied to the phone is removed again.

    Args:
        phone: The phone.
        model: A model of keypoints, with a description.
        dataset: The instances to evaluate; only their images are copied.
        python: The phone's Python; None to look in the usual places.
        options: Further command-line options of `mobile_eval evaluate`.

    Returns:
        The figures that the command writes as JSON, and the text that it prints.

    Raises:
        NoPythonError: The phone has no Python that can run the evaluator.
        HRNetError: The phone was disconnected, or the command fails on it.
    """
    read_description(model)  # refuses a damaged model before anything is copied
    path = find_python(phone, python)
    with phone.folder() as folder, tempfile.TemporaryDirectory() as here:
        _copy(phone, folder, model, dataset, Path(here))
        runtime = _find_runtime(phone, path, folder)
        instances = number_of(len(dataset), "instances")
        logger.info("%s: evaluating %s with %s, %s", phone.serial, instances, runtime.path, runtime.runtime)
        data = f"--annotations {folder}/annotations.json --images {folder}/images --json {folder}/figures.json"
        line = f"{_start_python(path, folder)} -m mobile_eval evaluate {folder}/{_safe_name(model)} {data} {shlex.join(options)}"
        result = phone.shell(killable(line, folder), timeout_s=None)
        if result.status:
            raise HRNetError(f"evaluating on the phone failed: {result.reason.removeprefix('error: ')}")
        phone.pull(f"{folder}/figures.json", Path(here, "figures.json"))
        figures: JsonObject = checked(read_json(Path(here, "figures.json"), "figures"), JsonObject, "figures")
    return {**figures, "python": runtime.path}, result.stdout.strip()


def _copy(phone: Phone, folder: str, model: Path | str, dataset: KeypointDataset, local: Path) -> None:
    """Copy the evaluator, the model and the data to `folder` on the phone; `local` is a temporary folder here."""
    logger.info("%s: copying the evaluator, the model and %s", phone.serial, number_of(len(_images(dataset)), "images"))
    _stage(dataset, local)
    write_json(local / "description.json", read_description(model).to_json())  # it need not be inside of the model
    phone.push([local / "mobile_eval", local / "annotations.json"], f"{folder}/")
    phone.push([local / "images"], f"{folder}/")
    phone.push([model], f"{folder}/{_safe_name(model)}")
    phone.push([local / "description.json"], str(description_path(f"{folder}/{_safe_name(model)}")))


def find_python(phone: Phone, python: str | None = None) -> str:
    """The path of the first Python that can import the evaluator's requirements; only `python` is tried where it is given.

    Raises:
        NoPythonError: There is none. The message says what each of them lacks.
    """
    reasons = []
    for path in [python] if python else PYTHONS:
        result = phone.shell(f'{shlex.quote(path)} -c "{REQUIREMENTS}"')
        if not result.status:
            return path
        reasons.append(f"{path}: {result.reason.rpartition(': ')[2]}")
    raise NoPythonError(f"no Python on the phone {phone.serial} can run the evaluator ({'; '.join(reasons)})")


def _find_runtime(phone: Phone, python: str, folder: str) -> PhonePython:
    result = phone.shell(f'{_start_python(python, folder)} -c "{RUNTIME_PROGRAM}"')
    if result.status:
        raise NoPythonError(f"{python} on the phone {phone.serial} has no TFLite runtime: {result.reason}")
    return PhonePython(python, result.stdout.strip())


def _start_python(path: str, folder: str) -> str:
    """The command that starts Python with the copied package, and without writing files outside of `folder`."""
    return f"env PYTHONPATH={folder} PYTHONDONTWRITEBYTECODE=1 TMPDIR={folder} {shlex.quote(path)}"


def _images(dataset: KeypointDataset) -> dict[Id, Path]:
    """The files of the annotated images, by id."""
    return {instance.image_id: instance.image_path for instance in dataset.instances}


def _stage(dataset: KeypointDataset, folder: Path) -> None:
    """Prepare the files to copy: the package, the images with numbers as names, and annotations with these names."""
    shutil.copytree(PACKAGE, folder / "mobile_eval", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "images").mkdir()
    names: dict[Id, str] = {}
    for image_id, path in _images(dataset).items():
        names[image_id] = f"{len(names):06d}{path.suffix}"
        _link(path, folder / "images" / names[image_id])
    entries = [{**image, "file_name": names.get(image["id"], image["file_name"])} for image in dataset.coco["images"]]
    write_json(folder / "annotations.json", {**dataset.coco, "images": entries})


def _link(source: Path, target: Path) -> None:
    """Hard link a file, or copy it where the file system cannot."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _safe_name(model: Path | str) -> str:
    """The name of the model without characters that are special in a shell."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(model).name)
