"""The main job as a list of `hrnet` commands on drawn people: the shortest way to see everything work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

TRAIN_IMAGES, VAL_IMAGES = 1200, 200
NETWORK = "pose-small-v1 --input-size 96x64 --stem-width 32 --stage1-width 16 --modules 1,1,2 --blocks 1"
EPOCHS, PRUNED_EPOCHS, QUANTIZED_EPOCHS = 12, 5, 2
KEEP_LATENCY = 0.75
MODELS = ("full-float32", "pruned-float32", "full-int8", "pruned-int8")


@dataclass(frozen=True)
class Step:
    """One command; `result` is the file that tells it is done, or None where the command itself knows."""

    arguments: tuple[str, ...]
    result: Path | None = None


def demo_steps(output: Path) -> list[Step]:
    """The commands of the demo, in order; their results lie in `output`."""
    people, report = output / "people", output / "report"
    images = f"--images {people / 'images'}"
    train = f"--train-annotations {people / 'person_keypoints_train.json'}"
    val = f"--val-annotations {people / 'person_keypoints_val.json'}"
    data = f"{train} {val} {images} --resume"
    runs = {name: output / name for name in ("full", "pruned", "full-qat", "pruned-qat")}
    files = {name: output / f"{name}.tflite" for name in MODELS}

    def tune(epochs: int, run: str) -> str:
        return f"--epochs {epochs} --output {runs[run]}"

    def convert(run: str, name: str) -> Step:
        return _step(f"convert {runs[run]} --format {name.split('-')[1]} --output {files[name]}", files[name])

    return [
        _step(f"people --train-images {TRAIN_IMAGES} --val-images {VAL_IMAGES} --output {people}"),
        _step(f"train {NETWORK} {data} --sigma 1.5 --rotation 20 --scale 0.2 {tune(EPOCHS, 'full')}"),
        _step(
            f"rank {runs['full']} --annotations {people / 'person_keypoints_train.json'} {images} --limit 300",
            runs["full"] / "ranking.json",
        ),
        _step(f"prune {runs['full']} --keep-latency {KEEP_LATENCY} {data} {tune(PRUNED_EPOCHS, 'pruned')}"),
        _step(f"quantize {runs['full']} {data} {tune(QUANTIZED_EPOCHS, 'full-qat')}"),
        _step(f"quantize {runs['pruned']} {data} {tune(QUANTIZED_EPOCHS, 'pruned-qat')}"),
        convert("full", "full-float32"),
        convert("pruned", "pruned-float32"),
        convert("full-qat", "full-int8"),
        convert("pruned-qat", "pruned-int8"),
        _step(
            f"compare {' '.join(map(str, files.values()))} --annotations {people / 'person_keypoints_val.json'} {images} "
            f"--output {report}"
        ),
    ]


def _step(command: str, result: Path | None = None) -> Step:
    return Step(tuple(command.split(" ")), result)


def run_demo(output: Path, run: Callable[[list[str]], None]) -> Path:
    """Run the demo's commands with `run`; those that are done already are skipped. Returns the report's path."""
    console = Console()
    if " " in str(output):
        raise ValueError(f"the demo's folder must have no space in its path, got {str(output)!r}")
    steps = demo_steps(output)
    for number, step in enumerate(steps, 1):
        console.rule(f"step {number} of {len(steps)}")
        console.print(f"[bold]hrnet {' '.join(step.arguments)}[/bold]", soft_wrap=True, highlight=False)
        if step.result is not None and step.result.exists():
            console.print(f"done already: {step.result}")
        else:
            run(list(step.arguments))
    return output / "report" / "index.html"
