"""The demo of a pipeline, as a list of `hrnet` commands: find everyone in drawn scenes, and predict their keypoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hrnet_tf.workflows.demo import DEMOS, Demo, demo_data, network_steps
from hrnet_tf.workflows.steps import Part, Step, run_steps, step

MODELS = ("full-int8", "pruned-int8")


@dataclass(frozen=True)
class PipelineDemo:
    """Size of the demo.

    Attributes:
        model: The demo of the network for keypoints.
        finder: Network of the detector and its options for `hrnet train`.
        scenes: Options for `hrnet data synthetic`, of scenes and of the clip.
        images: Numbers of training and validation scenes for the detector.
        epochs: Number of epochs of the detector.
        clip_frames: Number of frames of the clip.
    """

    model: Demo
    finder: str = "find-small --input-size 192x256 --stem-width 32 --stage1-width 16 --blocks 1 --modules 1,1,1"
    scenes: str = "--image-size 192x256 --people 5"
    images: tuple[int, int] = (450, 60)
    epochs: int = 9
    clip_frames: int = 50


SIZE = PipelineDemo(dataclasses.replace(DEMOS["pose"], images=(600, 80), epochs=8, pruned_epochs=3, quantized_epochs=1))


def pipeline_steps(output: Path, demo: PipelineDemo) -> list[Step]:
    """Return the commands of the demo, in order.

    Args:
        output: Folder for the results.
        demo: Size of the demo.
    """
    scenes, people, clip, finder = output / "scenes", output / "people", output / "clip", output / "find.tflite"
    detection, pose = demo_data("detection", scenes), demo_data("pose", people)
    runs = output / "finder", output / "finder-qat"

    def drawn(task: str, images: tuple[int, int], folder: Path) -> Step:
        counts = f"--train-images {images[0]} --val-images {images[1]}"
        return step(f"data synthetic --task {task} {demo.scenes} {counts} --output", folder)

    def training(command: str, *parts: Part) -> Step:
        return step(command, *parts, *detection.train, "--resume")

    steps, files = network_steps(output, demo.model, pose, MODELS)
    return [
        drawn("detection", demo.images, scenes),
        training(f"train {demo.finder} --epochs {demo.epochs} --output", runs[0]),
        training("quantize", runs[0], "--epochs 1 --output", runs[1]),
        step("convert", runs[1], "--output", finder, result=finder),
        drawn("pose", demo.model.images, people),
        *steps,
        step("compare", *files, *pose.evaluate, "--detector", finder, "--output", output / "report"),
        step(f"data synthetic --video --clips 1 --frames {demo.clip_frames} {demo.scenes} --output", clip),
        step("predict", files[-1], clip / "clip_000.avi", "--detector", finder, "--overwrite --output", output / "poses"),
    ]


def run_pipeline_demo(output: Path, run: Callable[[list[str]], None], demo: PipelineDemo = SIZE) -> Path:
    """Run the demo, or continue it.

    Args:
        output: Folder for the results.
        run: Runs a command, given its arguments.
        demo: Size of the demo.

    Returns:
        The path of the report.
    """
    run_steps(pipeline_steps(output, demo), run)
    return output / "report" / "index.html"
