"""Jobs for the tests of engines: two trainings, and one job that waits for both."""

from __future__ import annotations

import time
from pathlib import Path

from hrnet_tf.workflows.jobs import Job
from hrnet_tf.workflows.steps import step
from training.data.synthetic import write_synthetic_people

EPOCHS = 25
EVENTS = "events.json"  # what a script notes for its test
NETWORK = "pose-small-v1 --input-size 64x64 --width 4 --stem-width 4 --stage1-width 4 --modules 1 --blocks 1"


def training_jobs(folder: Path) -> list[Job]:
    """Return the jobs `a` and `b`, which train, and `c`, which waits for both."""
    people = folder / "people"
    write_synthetic_people(people, 32, 8, seed=0, image_size=(96, 96))
    data = ("--train-annotations", people / "person_keypoints_train.json", "--images", people / "images")
    jobs = []
    for name, epochs in (("a", EPOCHS), ("b", 2)):
        run = folder / name
        train = step(f"train {NETWORK}", *data, f"--epochs {epochs} --batch-size 16", "--output", run, "--resume")
        jobs.append(Job(name, (train,)))
    curves = folder / "curves.png"
    return [*jobs, Job("c", (step("plot", folder / "a", folder / "b", "--output", curves, result=curves),), ("a", "b"))]


def wait_for_epochs(run: Path, epochs: int, seconds: float = 240.0) -> list[str]:
    """Return the rows of a run's history as soon as it has so many epochs."""
    history, deadline = run / "history.csv", time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows = history.read_text().splitlines() if history.is_file() else []
        if len(rows) > epochs:
            return rows
        time.sleep(0.02)
    raise TimeoutError(f"{history} has fewer than {epochs} epochs after {seconds:g} s")
