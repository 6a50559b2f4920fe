"""What a kill costs: commands killed (SIGKILL) at seeded moments, given again, and compared with undisturbed ones.

    python benchmarks/kills.py [--kills 30] [--seed 0] [--commands train,prune,...] [--folder DIR]

Each command runs undisturbed once on a micro network and a few drawn people, which also says how long it works. Then it is
killed at a moment drawn uniformly from that time, counted from where its imports are done, and given again, with `--resume`
where it has one. Printed are the moment, the last file that was written before it, and the largest difference of what came out
(weights, files' outputs, keypoints, images) from the undisturbed command's. Exit code 1 where a command does not finish, a
difference is above 1e-5, or an unfinished file is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from hrnet_tf.runs.weights import load_weights
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from training.data.synthetic import write_synthetic_people

LIMIT = 1e-5
READY = "imports are done"
NETWORK = "pose-small-v1 --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1,1 --blocks 1"
DRIVER = f"""
import sys
import hrnet_tf.workflows.demo as demo
from hrnet_tf.__main__ import main
if not sys.argv[1] in ("data", "evaluate"):
    import tensorflow, training.pruning.prune, training.quantize, training.train, conversion.convert
demo.DEMOS["pose"] = demo.Demo("{NETWORK}", "--batch-size 8", (24, 6), 2, 1, 1, "--keep-macs 0.9", False, 8)
print("{READY}", file=sys.stderr, flush=True)
main()
"""
Figures = dict[str, np.ndarray]


@dataclass(frozen=True)
class Command:
    """A command line up to its output, the options that come when it is given again, and what is compared of its output."""

    arguments: str
    again: str
    figures: Callable[[Path], Figures]
    output: str = "--output"
    suffix: str = ""  # of the output

    def line(self, output: Path) -> list[str]:
        return [*self.arguments.split(), self.output, str(output)]


def weights(run: Path) -> Figures:
    return {f"{run.name}/{name}": array for name, array in load_weights(run / "weights.safetensors").items()}


def outputs(file: Path) -> Figures:
    """What a file answers to a fixed image; its description must say the same inside and beside."""
    beside = json.loads(file.with_suffix(".json").read_text())
    if beside != read_description(file).to_json():
        raise ValueError(f"{file.with_suffix('.json')} does not belong to {file}")
    model = TFLiteModel(file)
    image = np.random.default_rng(0).integers(0, 256, (*model.input_size, 3), np.uint8)
    return {file.name: np.asarray(model.output(model.to_input(image[None])), np.float64)}


def keypoints(file: Path) -> Figures:
    return {"keypoints": np.array([one["keypoints"] for one in json.loads(file.read_text())])}


def images(folder: Path) -> Figures:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "origin.json")
    return {str(path.relative_to(folder)): cv2.imread(str(path)).astype(np.float64) for path in files}


def demo(folder: Path) -> Figures:
    if not (folder / "report" / "index.html").is_file():
        raise ValueError("the report is missing")
    runs = [weights(folder / name) for name in ("full", "pruned", "full-qat", "pruned-qat")]
    files = [outputs(path) for path in sorted(folder.glob("*.tflite"))]
    return {name: array for part in (*runs, *files) for name, array in part.items()}


def commands(folder: Path) -> dict[str, Command]:
    """What is killed; each works on what the undisturbed ones before it have left in `folder`."""
    people, full = folder / "people", folder / "train"
    held = f"--annotations {people}/person_keypoints_val.json --images {people}/images"
    data = f"--train-annotations {people}/person_keypoints_train.json --images {people}/images"
    validated = f"{data} --val-annotations {people}/person_keypoints_val.json"
    evaluating = f"evaluate {folder / 'convert.tflite'} {held} --flip --overlays {folder / 'overlays'}"
    return {
        "train": Command(f"train {NETWORK} {validated} --epochs 4 --batch-size 8", "--resume", weights),
        "prune": Command(f"prune {full} --keep-macs 0.9 --epochs 3 --batch-size 8", "--resume", weights),
        "quantize": Command(f"quantize {full} --epochs 3 --batch-size 8", "--resume", weights),
        "convert": Command(f"convert {folder / 'quantize'} --format int8", "", outputs, suffix=".tflite"),
        "evaluate": Command(evaluating, "--resume", keypoints, "--predictions", ".json"),
        "demo": Command("demo", "", demo),
        "tfrecord": Command(f"data import tfrecord {folder / 'records.tfrecord'}", "", images),
    }


def write_records(path: Path, people: Path) -> None:
    """A TFRecord file of the drawn images, many times, in two classes."""
    import tensorflow as tf

    pictures = [image.read_bytes() for image in sorted((people / "images").iterdir())]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(600):
            encoded = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pictures[number % len(pictures)]]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2]))
            features = tf.train.Features(feature={"image/encoded": encoded, "image/class/label": label})
            writer.write(tf.train.Example(features=features).SerializeToString())


def start(arguments: list[str]) -> tuple[subprocess.Popen[str], float]:
    """The process of a command, and the moment at which its imports were done."""
    child = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    lines = child.stderr
    for line in lines or ():
        if READY in line:
            return child, time.monotonic()
    raise RuntimeError(f"{' '.join(arguments)} ended before it began")


def finish(arguments: list[str]) -> float:
    """Run a command to its end; the seconds that it took from where its imports were done."""
    child, begun = start(arguments)
    _, errors = child.communicate()
    if child.returncode:
        raise RuntimeError(f"hrnet {' '.join(arguments)}: exit code {child.returncode}\n{errors[-2000:]}")
    return time.monotonic() - begun


def kill(arguments: list[str], seconds: float) -> bool:
    """Whether the command was killed after so many seconds; it may have ended before."""
    child, begun = start(arguments)
    try:
        child.communicate(timeout=max(0.0, begun + seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return True
    return False


def last_written(output: Path) -> str:
    """The file in or beside the output that was written last."""
    beside = output.parent.glob(f"*{output.name}*")
    files = [path for one in beside for path in ([one] if one.is_file() else one.rglob("*")) if path.is_file()]
    return str(max(files, key=lambda path: path.stat().st_mtime_ns).relative_to(output.parent)) if files else "nothing"


def difference(found: Figures, expected: Figures) -> float:
    """The largest difference; infinite where something is missing, added or of another shape."""
    if found.keys() != expected.keys() or any(found[name].shape != expected[name].shape for name in expected):
        return float("inf")
    return max(float(np.abs(found[name].astype(np.float64) - expected[name]).max(initial=0)) for name in expected)


def leftovers(folder: Path) -> list[str]:
    """Unfinished files, of whatever process."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*.part*")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default="train,prune,quantize,convert,evaluate,demo,tfrecord")
    parser.add_argument("--folder", type=Path, help="Folder to work in; a temporary one if not given.")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    write_synthetic_people(folder / "people", 24, 200, seed=5)
    write_records(folder / "records.tfrecord", folder / "people")
    known, names = commands(folder), given.commands.split(",")
    seconds = {}
    for name, command in known.items():
        seconds[name] = finish(command.line(folder / f"{name}{command.suffix}"))
        if name == "train":
            finish(["rank", str(folder / name)])
    expected = {name: known[name].figures(folder / f"{name}{known[name].suffix}") for name in names}
    rng, failed = np.random.default_rng(given.seed), 0
    table = Table("command", "killed after", "of", "last file before", "difference", "left behind")
    for number in range(given.kills):
        name = names[number % len(names)]
        command, output = known[name], folder / f"kill{number:02d}" / f"{name}{known[name].suffix}"
        output.parent.mkdir()
        moment = float(rng.uniform(0, seconds[name]))
        while not kill(command.line(output), moment):  # it had ended: this time it was faster
            shutil.rmtree(output.parent)
            output.parent.mkdir()
            moment = float(rng.uniform(0, moment))
        before = last_written(output)
        try:
            finish([*command.line(output), *command.again.split()])
            found, left = difference(command.figures(output), expected[name]), leftovers(output.parent)
            failed += found > LIMIT or bool(left)
            result = f"{found:.1e}", ", ".join(left)
        except (RuntimeError, ValueError, OSError) as error:
            failed += 1
            result = f"FAILED: {str(error).strip()[-400:]}", ""
        after = f"{moment:.2f} s"
        table.add_row(name, after, f"{seconds[name]:.2f} s", before, *result)
        print(f"{number + 1}/{given.kills} {name} {after}: {before}; {result[0]} {result[1]}", flush=True)
    Console(width=160).print(table)
    if given.folder is None:
        shutil.rmtree(folder)
    print(f"{given.kills} kills, seed {given.seed}: {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
