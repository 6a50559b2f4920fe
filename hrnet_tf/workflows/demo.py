"""The complete workflow on synthetic data, as a list of `hrnet` commands, for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.workflows.steps import Part, Step, run_steps, step
from mobile_eval.errors import HRNetError

PIPELINE = "pipeline"  # in place of a task: `hrnet_tf.workflows.pipeline_demo`
MODELS = ("full-float32", "pruned-float32", "full-int8", "pruned-int8")


@dataclass(frozen=True)
class Demo:
    """Size of a task's demo.

    Attributes:
        network: Network and its options for `hrnet train`.
        recipe: Training options for `hrnet train`.
        images: Numbers of training and validation images to generate.
        epochs: Number of epochs of the full network.
        pruned_epochs: Number of epochs after pruning.
        quantized_epochs: Number of epochs of quantization-aware fine-tuning.
        pruning: Budget for `hrnet prune`.
        ranking_items: Number of items that importance is measured on.
    """

    network: str
    recipe: str
    images: tuple[int, int] = (1200, 200)
    epochs: int = 12
    pruned_epochs: int = 5
    quantized_epochs: int = 2
    pruning: str = "--keep-latency 0.8"
    ranking_items: int = 300


SMALL = "--stem-width 32 --stage1-width 16 --blocks 1 --modules"
DEMOS = {
    "pose": Demo(
        f"pose-small-v1 --input-size 96x64 {SMALL} 1,1,2",
        "--sigma 1.5 --rotation 20 --scale 0.2",
        pruning="--keep-latency 0.75",
    ),
    "landmarks": Demo(f"landmarks-small-v1 --input-size 64x64 --head-width 32 {SMALL} 1,1,2", "--rotation 20 --batch-size 16"),
    "segmentation": Demo(
        f"segment-small-v1 --input-size 96x96 --head-width 32 {SMALL} 1,1,2", "--max-scale 1.5 --balance-classes", (600, 100)
    ),
    "classification": Demo(
        f"classify-small-v1 --input-size 64x64 --head-width 8 {SMALL} 1,1,2", "", (500, 150), ranking_items=150
    ),
    "detection": Demo(
        f"detect-small-v1 --input-size 160x128 {SMALL} 1,1,1",
        "",
        (300, 60),
        epochs=10,
        pruned_epochs=3,
        quantized_epochs=1,
        ranking_items=60,
    ),
}


@dataclass(frozen=True)
class DemoData:
    """A dataset as options of the commands that train, rank and evaluate."""

    train: tuple[Part, ...]
    rank: tuple[Part, ...]
    evaluate: tuple[Part, ...]


def demo_data(task: str, folder: Path) -> DemoData:
    """The options for what `hrnet data synthetic --task` writes into `folder`."""
    train, val = folder / "train", folder / "val"
    if task == "classification":
        return DemoData(("--images", train, "--val-images", val), ("--images", train), ("--images", val))
    if task == "segmentation":
        train_data, val_data = (("--images", split / "images", "--masks", split / "masks") for split in (train, val))
        return DemoData((*train_data, "--val-images", val / "images", "--val-masks", val / "masks"), train_data, val_data)
    kind = {"pose": "person_keypoints", "landmarks": "face_keypoints", "detection": "instances"}[task]
    images = ("--images", folder / "images")
    train, val = folder / f"{kind}_train.json", folder / f"{kind}_val.json"
    both = ("--train-annotations", train, "--val-annotations", val, *images)
    return DemoData(both, ("--annotations", train, *images), ("--annotations", val, *images))


def demo_steps(output: Path, task: str, demo: Demo) -> list[Step]:
    """Return the commands of a demo, in order.

    Args:
        output: Folder for the results.
        task: The task.
        demo: Size of the demo.
    """
    people = output / "people"
    data = demo_data(task, people)
    drawn = (f"data synthetic --train-images {demo.images[0]} --val-images {demo.images[1]} --output", people)
    steps, files = network_steps(output, demo, data, MODELS)
    return [
        step(*drawn, "" if task == "pose" else f"--task {task}"),
        *steps,
        step("compare", *files, *data.evaluate, "--output", output / "report"),
    ]


def network_steps(output: Path, demo: Demo, data: DemoData, models: Sequence[str]) -> tuple[list[Step], list[Path]]:
    """The commands from a data set to the files of a full and a pruned network.

    Args:
        output: Folder for the results.
        demo: Size of the demo.
        data: The data set.
        models: Names of the files, of MODELS.

    Returns:
        The commands, and the files.
    """
    train = (*data.train, "--resume")
    runs = {name: output / name for name in ("full", "pruned", "full-qat", "pruned-qat")}
    files = {name: output / f"{name}.tflite" for name in models}

    def training(epochs: int, run: str) -> tuple[Part, ...]:
        return f"--epochs {epochs} --output", runs[run]

    def convert(name: str) -> Step:
        network, precision = name.split("-")
        run = runs[network if precision == "float32" else f"{network}-qat"]
        return step("convert", run, f"--format {precision} --output", files[name], result=files[name])

    steps = [
        step(f"train {demo.network}", *train, demo.recipe, *training(demo.epochs, "full")),
        step("rank", runs["full"], *data.rank, f"--limit {demo.ranking_items}", result=runs["full"] / "ranking.json"),
        step("prune", runs["full"], demo.pruning, *train, *training(demo.pruned_epochs, "pruned")),
        step("quantize", runs["full"], *train, *training(demo.quantized_epochs, "full-qat")),
        step("quantize", runs["pruned"], *train, *training(demo.quantized_epochs, "pruned-qat")),
        *map(convert, models),
    ]
    return steps, list(files.values())


def demo_named(task: str) -> Demo:
    """Return the demo of a task. Raises HRNetError if there is none."""
    if task not in DEMOS:
        raise HRNetError(f"`task` must be one of {', '.join(DEMOS)} or {PIPELINE}, got {task!r}")
    return DEMOS[task]


def run_demo(output: Path, run: Callable[[list[str]], None], task: str = "pose", demo: Demo | None = None) -> Path:
    """Run a demo, or continue it.

    Args:
        output: Folder for the results.
        run: Runs a command, given its arguments.
        task: The task.
        demo: Size of the demo; None for the task's own.

    Returns:
        The path of the report.
    """
    run_steps(demo_steps(output, task, demo or demo_named(task)), run)
    return output / "report" / "index.html"
