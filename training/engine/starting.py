"""Where a training may begin or resume: in a new folder, or in that of an interrupted run with the same settings."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hrnet_tf.runs.history import HISTORY
from hrnet_tf.runs.pruning import PRUNING_FILE
from hrnet_tf.runs.ranking import RANKING_FILE
from hrnet_tf.runs.run import RUN_FILE, SPEC_FILE, Run, save_run
from hrnet_tf.spec.architectures import network_to_json
from mobile_eval.datasets.base import label_names
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, remove_stale_parts
from training.callbacks.terminate_on_nan import BATCH_FILE
from training.engine.inputs import Inputs

ROUNDS = "rounds"  # folder of the earlier rounds of a run that is made in several rounds
TRIALS = "trials"  # folder of the brief trainings that decide between networks
CHECKPOINT = "checkpoint.safetensors"
TENSORBOARD = "tensorboard"
COMPANIONS = (PRUNING_FILE, RANKING_FILE, "links.svg", "removal.svg")  # written before run.json
BEFORE_A_RUN = (*COMPANIONS, SPEC_FILE, ROUNDS, TRIALS, BATCH_FILE, TENSORBOARD)
MAY_CHANGE = ("train", "val")  # the paths of the data, which are compared by content
MAX_SHOWN = 60  # characters of a value in a message
DATA_NAMES = {"train": "training data", "val": "validation data"}


def check_startable(output: Path, step: str, *, resume: bool) -> None:
    """Check that a step can write its run to a folder.

    Files that an interrupted command leaves before its run begins (spec.json, a plan, earlier rounds) do not matter.

    Args:
        output: The folder.
        step: Name of the step, such as train.
        resume: Whether the folder may hold an interrupted run of this step.

    Raises:
        HRNetError: The folder holds something else or cannot be written.
    """
    check_writable(output / RUN_FILE, output)
    if output.is_dir():
        remove_stale_parts(output.absolute())
    if (output / RUN_FILE).exists():
        earlier_step = Run.load(output).step
        if earlier_step != step:
            raise HRNetError(f"{output} was made by `hrnet {earlier_step}`, not by `hrnet {step}`; give another `output`")
        if not resume:
            raise HRNetError(f"{output} exists already; continue it with `resume`, or give another `output`")
        return
    entries = [entry.name for entry in output.iterdir()] if output.is_dir() else []
    if any(name not in BEFORE_A_RUN and not name.endswith(".part") for name in entries):
        raise HRNetError(f"{output} exists and is not the folder of a run; give another `output`")


def check_same(run: Run) -> None:
    """Raise HRNetError, naming all differences, where the run's folder holds a run with other settings, network or data."""
    if not (run.path / RUN_FILE).exists():
        return
    earlier = Run.load(run.path)
    if label_names(earlier.category) != label_names(run.category):
        raise HRNetError(f"{run.path} has other joints or classes than the data; give another `output`")
    _raise_differences(
        run.path,
        [
            *_differences(network_to_json(earlier.spec), network_to_json(run.spec)),
            *_differences(earlier.config, run.config),
            *_input_differences(earlier.inputs, run.inputs),
        ],
    )


def check_settings(output: Path, earlier: Mapping[str, object], current: Mapping[str, object]) -> None:
    """Raise HRNetError, naming all differences, unless two sets of settings are the same."""
    _raise_differences(output, _differences(earlier, current))


def _raise_differences(output: Path, differences: list[str]) -> None:
    if differences:
        raise HRNetError(
            f"{output} cannot be resumed with other settings: {'; '.join(differences)}. Use those, or another `output`"
        )


def _differences(earlier: Mapping[str, object], current: Mapping[str, object]) -> list[str]:
    """Describe each setting that has changed, with both values; a missing one is None."""
    names = [name for name in dict.fromkeys((*earlier, *current)) if name not in MAY_CHANGE]
    changed = [name for name in names if _as_json(earlier.get(name)) != _as_json(current.get(name))]
    return [f"`{name}` was {_shown(earlier.get(name))}, is now {_shown(current.get(name))}" for name in changed]


def _as_json(value: object) -> object:
    """Return a value as reading it from JSON does."""
    if isinstance(value, list | tuple):
        return [_as_json(entry) for entry in value]
    return {name: _as_json(entry) for name, entry in value.items()} if isinstance(value, dict) else value


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _input_differences(earlier: Inputs, current: Inputs) -> list[str]:
    """Describe each input whose content has changed. A run without a record of its inputs has no differences."""
    differences = []
    for name in dict.fromkeys((*earlier, *current)) if earlier else ():
        old, new = earlier.get(name), current.get(name)
        if old == new:
            continue
        subject = DATA_NAMES.get(name, f"the weights of its {name}")
        if old is None or new is None:
            differences.append(f"{subject} were {'given' if old else 'not given'}, are now {'given' if new else 'not given'}")
        elif old.get("items") != new.get("items"):
            differences.append(f"{subject} had {old.get('items')} items, have now {new.get('items')}")
        else:
            differences.append(f"{subject} have changed (checksum was {old.get('sha256'):.8}, is now {new.get('sha256'):.8})")
    return differences


@contextlib.contextmanager
def started(run: Run, *, companions: Callable[[], None] | None = None, writes: bool = True) -> Iterator[None]:
    """Run the block with the description of a run on the disk.

    A run that begins here and fails before its first epoch is saved leaves nothing behind, so that the corrected command can use
    the same folder. A resumed run gets the current paths of its data.

    Args:
        run: The run.
        companions: Writes other files of a run that begins, before its description.
        writes: False where another worker writes.
    """
    begins = writes and not (run.path / RUN_FILE).exists()
    if begins:
        try:
            if companions:
                companions()
            save_run(run)
        except HRNetError:
            discard(run.path)
            raise
    elif writes and (earlier := Run.load(run.path)).config != run.config:
        save_run(dataclasses.replace(earlier, config=run.config))
    try:
        yield
    except Exception:
        if begins and not (run.path / CHECKPOINT).exists():
            discard(run.path)
        raise


def discard(folder: Path) -> None:
    """Remove the files of a run that did not begin, and the folder unless it holds something else."""
    with contextlib.suppress(OSError):  # the reason why the run did not begin is the error to report
        for name in (RUN_FILE, SPEC_FILE, *COMPANIONS, HISTORY, "weights.safetensors"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)
        folder.rmdir()
