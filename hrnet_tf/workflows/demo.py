"""The main job as a list of `hrnet` commands on drawn people: the shortest way to see everything work, for each task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.workflows.steps import Part, Step, run_steps, step
from mobile_eval.errors import HRNetError

MODELS = ("full-float32", "pruned-float32", "full-int8", "pruned-int8")


@dataclass(frozen=True)
class Demo:
    """Size of a task's demo: scenes to draw, the network and recipe as options of `hrnet train`, epochs, what is pruned.

    Where all branches are read, few fall dead with their links: then residual `blocks` go too.
    """

    network: str
    recipe: str
    images: tuple[int, int] = (1200, 200)  # to learn from, to measure on
    epochs: int = 12
    pruned_epochs: int = 5
    quantized_epochs: int = 2
    pruning: str = "--keep-latency 0.8"
    blocks: bool = True
    ranked: int = 300


SMALL = "--stem-width 32 --stage1-width 16 --blocks 1 --modules"
DEMOS = {
    "pose": Demo(
        f"pose-small-v1 --input-size 96x64 {SMALL} 1,1,2",
        "--sigma 1.5 --rotation 20 --scale 0.2",
        pruning="--keep-latency 0.75",
        blocks=False,
    ),
    "landmarks": Demo(f"landmarks-small-v1 --input-size 64x64 --head-width 32 {SMALL} 1,1,2", "--rotation 20 --batch-size 16"),
    "segmentation": Demo(
        f"segment-small-v1 --input-size 96x96 --head-width 32 {SMALL} 1,1,2", "--max-scale 1.5 --balance-classes", (600, 100)
    ),
    "classification": Demo(f"classify-small-v1 --input-size 64x64 --head-width 8 {SMALL} 1,1,2", "", (500, 150), ranked=150),
    "detection": Demo(
        f"detect-small-v1 --input-size 160x128 {SMALL} 1,1,1",
        "",
        (300, 60),
        epochs=10,
        pruned_epochs=3,
        quantized_epochs=1,
        ranked=60,
    ),
}


@dataclass(frozen=True)
class DemoData:
    """A drawn data set as options of the commands that learn, rank and measure."""

    learning: tuple[Part, ...]
    ranking: tuple[Part, ...]
    measuring: tuple[Part, ...]


def demo_data(task: str, folder: Path) -> DemoData:
    """The options for what `hrnet people --task` writes into `folder`."""
    train, val = folder / "train", folder / "val"
    if task == "classification":
        return DemoData(("--images", train, "--val-images", val), ("--images", train), ("--images", val))
    if task == "segmentation":
        first, second = (("--images", split / "images", "--masks", split / "masks") for split in (train, val))
        return DemoData((*first, "--val-images", val / "images", "--val-masks", val / "masks"), first, second)
    kind = {"pose": "person_keypoints", "landmarks": "face_keypoints", "detection": "instances"}[task]
    images, known, other = ("--images", folder / "images"), folder / f"{kind}_train.json", folder / f"{kind}_val.json"
    learning = ("--train-annotations", known, "--val-annotations", other, *images)
    return DemoData(learning, ("--annotations", known, *images), ("--annotations", other, *images))


def demo_steps(output: Path, task: str, demo: Demo) -> list[Step]:
    """The commands of the demo, in order; their results lie in `output`."""
    people, report = output / "people", output / "report"
    data = demo_data(task, people)
    learning = (*data.learning, "--resume")
    units = "--blocks" if demo.blocks else ""
    runs = {name: output / name for name in ("full", "pruned", "full-qat", "pruned-qat")}
    files = {name: output / f"{name}.tflite" for name in MODELS}

    def tune(epochs: int, run: str) -> tuple[Part, ...]:
        return f"--epochs {epochs} --output", runs[run]

    def convert(run: str, name: str) -> Step:
        return step("convert", runs[run], f"--format {name.split('-')[1]} --output", files[name], result=files[name])

    drawn = (f"people --train-images {demo.images[0]} --val-images {demo.images[1]} --output", people)
    return [
        step(*drawn, "" if task == "pose" else f"--task {task}"),
        step(f"train {demo.network}", *learning, demo.recipe, *tune(demo.epochs, "full")),
        step("rank", runs["full"], *data.ranking, units, f"--limit {demo.ranked}", result=runs["full"] / "ranking.json"),
        step("prune", runs["full"], units, demo.pruning, *learning, *tune(demo.pruned_epochs, "pruned")),
        step("quantize", runs["full"], *learning, *tune(demo.quantized_epochs, "full-qat")),
        step("quantize", runs["pruned"], *learning, *tune(demo.quantized_epochs, "pruned-qat")),
        convert("full", "full-float32"),
        convert("pruned", "pruned-float32"),
        convert("full-qat", "full-int8"),
        convert("pruned-qat", "pruned-int8"),
        step("compare", *files.values(), *data.measuring, "--output", report),
    ]


def demo_named(task: str) -> Demo:
    """The demo of a task; HRNetError where there is none."""
    if task not in DEMOS:
        raise HRNetError(f"there is no demo of {task!r}; there are those of {', '.join(DEMOS)}")
    return DEMOS[task]


def run_demo(output: Path, run: Callable[[list[str]], None], task: str = "pose", demo: Demo | None = None) -> Path:
    """Run the demo's commands with `run`; those that are done already are skipped. Returns the report's path."""
    run_steps(demo_steps(output, task, demo or demo_named(task)), run)
    return output / "report" / "index.html"
