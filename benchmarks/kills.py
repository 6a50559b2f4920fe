"""Kill commands (SIGKILL) at random moments, run them again, and compare the results with those of undisturbed commands.

    python benchmarks/kills.py [--kills 30] [--seed 0] [--commands train,prune,...] [--folder DIR]

Each command first runs undisturbed, on a micro network and a few synthetic people, and is timed from the end of its imports. Then
it is killed at a moment drawn uniformly from that time, and runs again, with `--resume` if it has this option. The script prints
the moment, the last file written before it, and the largest difference from the undisturbed command's result (weights,
outputs of files, keypoints, images). Its exit code is 1 if a command does not finish, a difference is above 1e-5, or an
unfinished file remains.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hrnet_tf.runs.weights import load_weights
from mobile_eval.model.archive import read_description
from mobile_eval.runtime.tflite_model import TFLiteModel
from training.data.synthetic.dataset import write_synthetic_people

TOLERANCE = 1e-5
READY = "imports are done"
RUN_COMMAND = "run-command"  # first argument of the processes that are killed
WITHOUT_TENSORFLOW = ("data", "evaluate")
SLOW_IMPORTS = ("tensorflow", "training.pruning.prune_run", "training.quantize", "training.train", "conversion.convert")
NETWORK = "pose-small-v1 --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1,1 --blocks 1"
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Command:
    """A command of the program.

    Attributes:
        arguments: The command line without its output.
        read_results: Reads the arrays to compare from the output.
        resume: Options to add when the command runs again.
        output_option: The option that names the output.
        suffix: Suffix of the output.
    """

    arguments: str
    read_results: Callable[[Path], Arrays]
    resume: str = ""
    output_option: str = "--output"
    suffix: str = ""

    def line(self, output: Path) -> list[str]:
        return [*self.arguments.split(), self.output_option, str(output)]


def read_weights(run: Path) -> Arrays:
    return {f"{run.name}/{name}": array for name, array in load_weights(run / "weights.safetensors").items()}


def read_outputs(path: Path) -> Arrays:
    """Run a `.tflite` on a fixed image, and check that the description beside it is the one inside."""
    if json.loads(path.with_suffix(".json").read_text()) != read_description(path).to_json():
        raise ValueError(f"{path.with_suffix('.json')} does not belong to {path}")
    model = TFLiteModel(path)
    image = np.random.default_rng(0).integers(0, 256, (*model.input_size, 3), np.uint8)
    return {path.name: model.output(model.to_input(image[None]))}


def read_keypoints(path: Path) -> Arrays:
    return {"keypoints": np.array([entry["keypoints"] for entry in json.loads(path.read_text())])}


def read_images(folder: Path) -> Arrays:
    images: Arrays = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "origin.json":
            image = cv2.imread(str(path))
            if image is None:
                raise ValueError(f"{path} is not an image")
            images[str(path.relative_to(folder))] = image
    return images


def read_demo(folder: Path) -> Arrays:
    if not (folder / "report" / "index.html").is_file():
        raise ValueError(f"{folder} has no report")
    arrays: Arrays = {}
    for name in ("full", "pruned", "full-qat", "pruned-qat"):
        arrays |= read_weights(folder / name)
    for path in sorted(folder.glob("*.tflite")):
        arrays |= read_outputs(path)
    return arrays


def commands(folder: Path) -> dict[str, Command]:
    """Return the commands, in order: each one reads what the undisturbed ones before it wrote into `folder`."""
    people, run = folder / "people", folder / "train"
    val = f"--annotations {people}/person_keypoints_val.json --images {people}/images"
    train = f"--train-annotations {people}/person_keypoints_train.json --images {people}/images"
    train_and_val = f"{train} --val-annotations {people}/person_keypoints_val.json"
    evaluate = f"evaluate {folder / 'convert.tflite'} {val} --flip --overlays {folder / 'overlays'}"
    return {
        "train": Command(f"train {NETWORK} {train_and_val} --epochs 4 --batch-size 8", read_weights, "--resume"),
        "prune": Command(f"prune {run} --keep-macs 0.9 --epochs 3 --batch-size 8", read_weights, "--resume"),
        "quantize": Command(f"quantize {run} --epochs 3 --batch-size 8", read_weights, "--resume"),
        "convert": Command(f"convert {folder / 'quantize'} --format int8", read_outputs, suffix=".tflite"),
        "evaluate": Command(evaluate, read_keypoints, "--resume", "--predictions", ".json"),
        "demo": Command("demo", read_demo),
        "tfrecord": Command(f"data import tfrecord {folder / 'records.tfrecord'}", read_images),
    }


def write_records(path: Path, people: Path) -> None:
    """Write a TFRecord file of 600 copies of the synthetic images, in two classes."""
    import tensorflow as tf

    contents = [image.read_bytes() for image in sorted((people / "images").iterdir())]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(600):
            encoded = tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents[number % len(contents)]]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2]))
            features = tf.train.Features(feature={"image/encoded": encoded, "image/class/label": label})
            writer.write(tf.train.Example(features=features).SerializeToString())


def run_command(arguments: Sequence[str]) -> None:
    """Import what a command needs, print READY, and run the command, with a demo of micro size. Never returns."""
    from hrnet_tf.__main__ import main as hrnet
    from hrnet_tf.workflows import demo

    if arguments[0] not in WITHOUT_TENSORFLOW:
        for module in SLOW_IMPORTS:
            importlib.import_module(module)
    demo.DEMOS["pose"] = demo.Demo(
        NETWORK,
        "--batch-size 8",
        images=(24, 6),
        epochs=2,
        pruned_epochs=1,
        quantized_epochs=1,
        pruning="--keep-macs 0.9",
        ranking_items=8,
    )
    print(READY, file=sys.stderr, flush=True)
    sys.argv[1:] = arguments
    hrnet()


def start(arguments: list[str]) -> tuple[subprocess.Popen[str], float]:
    """Start a command; return its process, and the time at which its imports were done."""
    process = subprocess.Popen(
        [sys.executable, __file__, RUN_COMMAND, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stderr or ():
        if READY in line:
            return process, time.monotonic()
        lines.append(line)
    raise RuntimeError(f"hrnet {' '.join(arguments)} ended before its imports were done\n{''.join(lines)[-2000:]}")


def finish(arguments: list[str]) -> float:
    """Run a command to its end; return the seconds since its imports were done."""
    process, begun = start(arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"hrnet {' '.join(arguments)}: exit code {process.returncode}\n{errors[-2000:]}")
    return time.monotonic() - begun


def kill(arguments: list[str], seconds: float) -> bool:
    """Run a command and kill it `seconds` after its imports; return False if it ended before that."""
    process, begun = start(arguments)
    try:
        process.communicate(timeout=max(0.0, begun + seconds - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def last_written(output: Path) -> str:
    """Return the name of the newest file in the output or beside it."""
    beside = output.parent.glob(f"*{output.name}*")
    files = [path for entry in beside for path in ([entry] if entry.is_file() else entry.rglob("*")) if path.is_file()]
    return str(max(files, key=lambda path: path.stat().st_mtime_ns).relative_to(output.parent)) if files else "nothing"


def largest_difference(results: Arrays, expected: Arrays) -> float:
    """Return the largest difference; infinity if names or shapes differ."""
    if results.keys() != expected.keys() or any(results[name].shape != expected[name].shape for name in expected):
        return float("inf")
    pairs = [(results[name].astype(np.float64), expected[name].astype(np.float64)) for name in expected]
    return max(float(np.abs(result - reference).max(initial=0)) for result, reference in pairs)


def unfinished_files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.part*")]


def run_undisturbed(folder: Path) -> dict[str, float]:
    """Run each command, and `hrnet rank` after the training; return their seconds by name."""
    seconds = {}
    for name, command in commands(folder).items():
        seconds[name] = finish(command.line(folder / f"{name}{command.suffix}"))
        if name == "train":
            finish(["rank", str(folder / name)])
    return seconds


def kill_during(command: Command, output: Path, seconds: float, rng: np.random.Generator) -> float:
    """Kill a command at a random moment; return the seconds from its imports to the kill."""
    output.parent.mkdir()
    moment = float(rng.uniform(0, seconds))
    while not kill(command.line(output), moment):  # it was faster than the undisturbed command
        shutil.rmtree(output.parent)
        output.parent.mkdir()
        moment = float(rng.uniform(0, moment))
    return moment


def resume_and_compare(command: Command, output: Path, expected: Arrays) -> tuple[bool, str, str]:
    """Run a killed command again; return whether it passes, the largest difference, and the unfinished files."""
    try:
        finish([*command.line(output), *command.resume.split()])
        difference = largest_difference(command.read_results(output), expected)
    except (RuntimeError, ValueError, OSError) as error:
        return False, f"FAILED: {str(error).strip()[-400:]}", ""
    unfinished = unfinished_files(output.parent)
    return difference <= TOLERANCE and not unfinished, f"{difference:.1e}", ", ".join(unfinished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default="train,prune,quantize,convert,evaluate,demo,tfrecord")
    parser.add_argument("--folder", type=Path, help="Folder to work in, kept afterwards; the default is a temporary folder.")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    write_synthetic_people(folder / "people", 24, 200, seed=5)
    write_records(folder / "records.tfrecord", folder / "people")
    all_commands, names = commands(folder), options.commands.split(",")
    seconds = run_undisturbed(folder)
    expected = {name: all_commands[name].read_results(folder / f"{name}{all_commands[name].suffix}") for name in names}
    rng, failures = np.random.default_rng(options.seed), 0
    table = Table("command", "killed after", "of", "last file before", "difference", "unfinished files")
    for number in range(options.kills):
        name = names[number % len(names)]
        command = all_commands[name]
        output = folder / f"kill{number:02d}" / f"{name}{command.suffix}"
        moment = f"{kill_during(command, output, seconds[name], rng):.2f} s"
        newest = last_written(output)
        passed, difference, unfinished = resume_and_compare(command, output, expected[name])
        failures += not passed
        table.add_row(name, moment, f"{seconds[name]:.2f} s", newest, difference, unfinished)
        print(f"{number + 1}/{options.kills} {name} {moment}: {newest}; {difference} {unfinished}", flush=True)
    Console(width=160).print(table)
    if options.folder is None:
        shutil.rmtree(folder)
    print(f"{options.kills} kills, seed {options.seed}: {failures} failed")
    sys.exit(bool(failures))


if __name__ == "__main__":
    if sys.argv[1:2] == [RUN_COMMAND]:
        run_command(sys.argv[2:])
    else:
        main()
