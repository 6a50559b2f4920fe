"""The main job as a list of `hrnet` commands on drawn people: the shortest way to see everything work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hrnet_tf.steps import Step, check_path, run_steps, step

TRAIN_IMAGES, VAL_IMAGES = 1200, 200
NETWORK = "pose-small-v1 --input-size 96x64 --stem-width 32 --stage1-width 16 --modules 1,1,2 --blocks 1"
EPOCHS, PRUNED_EPOCHS, QUANTIZED_EPOCHS = 12, 5, 2
KEEP_LATENCY = 0.75
MODELS = ("full-float32", "pruned-float32", "full-int8", "pruned-int8")


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
        return step(f"convert {runs[run]} --format {name.split('-')[1]} --output {files[name]}", files[name])

    return [
        step(f"people --train-images {TRAIN_IMAGES} --val-images {VAL_IMAGES} --output {people}"),
        step(f"train {NETWORK} {data} --sigma 1.5 --rotation 20 --scale 0.2 {tune(EPOCHS, 'full')}"),
        step(
            f"rank {runs['full']} --annotations {people / 'person_keypoints_train.json'} {images} --limit 300",
            runs["full"] / "ranking.json",
        ),
        step(f"prune {runs['full']} --keep-latency {KEEP_LATENCY} {data} {tune(PRUNED_EPOCHS, 'pruned')}"),
        step(f"quantize {runs['full']} {data} {tune(QUANTIZED_EPOCHS, 'full-qat')}"),
        step(f"quantize {runs['pruned']} {data} {tune(QUANTIZED_EPOCHS, 'pruned-qat')}"),
        convert("full", "full-float32"),
        convert("pruned", "pruned-float32"),
        convert("full-qat", "full-int8"),
        convert("pruned-qat", "pruned-int8"),
        step(
            f"compare {' '.join(map(str, files.values()))} --annotations {people / 'person_keypoints_val.json'} {images} "
            f"--output {report}"
        ),
    ]


def run_demo(output: Path, run: Callable[[list[str]], None]) -> Path:
    """Run the demo's commands with `run`; those that are done already are skipped. Returns the report's path."""
    check_path(output)
    run_steps(demo_steps(output), run)
    return output / "report" / "index.html"
