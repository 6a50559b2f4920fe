"""Where a training may begin or go on: in a new folder, or in one that holds an interrupted run with the same settings."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hrnet_tf.runs.pruning import PRUNING_FILE
from hrnet_tf.runs.ranking import RANKING_FILE
from hrnet_tf.runs.run import RUN_FILE, SPEC_FILE, Run, load_run, save_run
from hrnet_tf.spec.architectures import network_to_json
from mobile_eval.datasets.base import label_names
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, remove_stale_parts
from training.callbacks.terminate_on_nan import BATCH_FILE
from training.engine.inputs import Inputs

ROUNDS = "rounds"  # where a run made in several rounds keeps those before the last
CHECKPOINT = "checkpoint.safetensors"
COMPANIONS = (PRUNING_FILE, RANKING_FILE, "links.svg", "removal.svg")  # written before run.json
PICTURES = "tensorboard"
BEFORE_A_RUN = (*COMPANIONS, SPEC_FILE, ROUNDS, BATCH_FILE, PICTURES)
MAY_CHANGE = ("train", "val")  # where the data lie; what they are is compared by content
SHOWN = 60  # characters of a value in a message
DATA = {"train": "training data", "val": "validation data"}


def check_startable(output: Path, step: str, *, resume: bool) -> None:
    """Raise HRNetError where the folder holds something else, a run of another step or one not to `resume`, or refuses files.

    What an interrupted command leaves before its run starts (spec.json, a plan, earlier rounds) is not something else.
    """
    check_writable(output / RUN_FILE, output)
    if output.is_dir():
        remove_stale_parts(output.absolute())
    if (output / RUN_FILE).exists():
        before = load_run(output).step
        if before != step:
            raise HRNetError(f"{output} was made by `hrnet {before}`, not by `hrnet {step}`; give another `output`")
        if not resume:
            raise HRNetError(f"{output} exists already; go on with `resume` or give another `output`")
        return
    entries = [entry.name for entry in output.iterdir()] if output.is_dir() else []
    if any(name not in BEFORE_A_RUN and not name.endswith(".part") for name in entries):
        raise HRNetError(f"{output} exists and is not a run folder; give another `output`")


def check_same(run: Run) -> None:
    """Raise HRNetError, naming what differs with both values, unless the run in the folder is `run`; None there is the same."""
    if not (run.path / RUN_FILE).exists():
        return
    before = load_run(run.path)
    if label_names(before.category) != label_names(run.category):
        raise HRNetError(f"{run.path} is of other joints or classes than the data; give another `output`")
    differing = [
        *_differing(network_to_json(before.spec), network_to_json(run.spec)),
        *_differing(before.config, run.config),
        *_changed_inputs(before.inputs, run.inputs),
    ]
    _refuse(run.path, differing)


def check_settings(output: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise HRNetError, naming what differs with both values, unless these settings are the same."""
    _refuse(output, _differing(before, now))


def _refuse(output: Path, differing: list[str]) -> None:
    if differing:
        raise HRNetError(
            f"{output} cannot be resumed with other settings: {'; '.join(differing)}. Give the earlier ones, or another `output`"
        )


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Each setting that is another one now, with both values."""
    names = [name for name in dict.fromkeys((*before, *now)) if name not in MAY_CHANGE]
    changed = [name for name in names if _plain(before.get(name)) != _plain(now.get(name))]
    return [f"{name.replace('_', '-')} was {_shown(before.get(name))}, is now {_shown(now.get(name))}" for name in changed]


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return {name: _plain(one) for name, one in value.items()} if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _changed_inputs(before: Inputs, now: Inputs) -> list[str]:
    """What is made from other content; a run that does not say what it was made from is believed."""
    changed = []
    for name in dict.fromkeys((*before, *now)) if before else ():
        was, there = before.get(name), now.get(name)
        if was == there:
            continue
        said = DATA.get(name, f"the weights of its {name}")
        if was is None or there is None:
            changed.append(f"{said} were {'given' if was else 'not given'}, are now {'given' if there else 'not given'}")
        elif was.get("items") != there.get("items"):
            changed.append(f"{said} had {was.get('items')} items, have now {there.get('items')}")
        else:
            changed.append(f"{said} have changed since (checksum {was.get('sha256'):.8}, now {there.get('sha256'):.8})")
    return changed


@contextlib.contextmanager
def started(run: Run, *, companions: Callable[[], None] | None = None, writes: bool = True) -> Iterator[None]:
    """Run the block with the run's description on disk; `companions` writes what lies beside it, and before it.

    A run that begins here and fails before its first epoch is kept leaves no run behind, so that the corrected command can be
    given the same folder. In a run that goes on, the paths of its data become those given now. Without `writes` (another worker
    does) nothing is written.
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
    elif writes and (before := load_run(run.path)).config != run.config:
        save_run(dataclasses.replace(before, config=run.config))
    try:
        yield
    except Exception:
        if begins and not (run.path / CHECKPOINT).exists():
            discard(run.path)
        raise


def discard(folder: Path) -> None:
    """Remove the description of a run that did not begin, and the folder where nothing else is in it."""
    with contextlib.suppress(OSError):  # the reason why it did not begin is the one to report
        for name in (RUN_FILE, SPEC_FILE, *COMPANIONS, "history.csv", "weights.safetensors"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / PICTURES, ignore_errors=True)
        folder.rmdir()
