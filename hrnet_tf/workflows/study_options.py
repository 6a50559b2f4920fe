"""Options of `hrnet study`, and the file that keeps them, so that a study is resumed as it was started; imports nothing heavy."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, replace
from pathlib import Path

from hrnet_tf.workflows.study_presets import PRESETS, StudyPreset
from mobile_eval.errors import HRNetError
from mobile_eval.files import read_json
from mobile_eval.options import option
from mobile_eval.typed import JsonObject, checked, checked_entry

MANIFEST = "study.json"
STUDY, RESOURCES = "Study", "Cluster"  # headings in --help
PRECISIONS = ("float32", "bfloat16", "float16")
EXECUTORS = ("local", "slurm", "ray")


@dataclass(frozen=True)
class StudyOptions:
    """What is studied. Options that are not set have the values of the preset."""

    preset: str = option(
        "small",
        "small (synthetic people, half an hour), lspet, w16 or w32 (people; hours to days), faces or camvid.",
        choices=tuple(PRESETS),
        panel=STUDY,
    )
    train_annotations: Path | None = option(None, "Training annotations (COCO JSON).", panel=STUDY)
    val_annotations: Path | None = option(None, "Validation annotations (COCO JSON).", panel=STUDY)
    images: Path | None = option(None, "Folder of the images.", panel=STUDY)
    masks: Path | None = option(None, "Folder of the masks (camvid).", panel=STUDY)
    val_images: Path | None = option(None, "Folder of the validation images (camvid).", panel=STUDY)
    val_masks: Path | None = option(None, "Folder of the validation masks (camvid).", panel=STUDY)
    hold_out: float | None = option(
        None, "Share of the training images that stand in for the validation set while settings are chosen.", panel=STUDY
    )
    epochs: int | None = option(None, "Number of epochs of the base network.", minimum=1, panel=STUDY)
    fine_tuning_epochs: int | None = option(None, "Number of epochs after those of the base network.", minimum=2, panel=STUDY)
    seeds: int | None = option(None, "Number of seeds of the deciding arms.", minimum=1, panel=STUDY)
    precision: str = option("float32", "Compute precision of training: float32, bfloat16 or float16.", panel=STUDY)
    profile: list[str] | None = option(
        None,
        "File of `hrnet profile` on the target, for pruning; may be repeated. Default: measure latency where an arm runs.",
        panel=STUDY,
    )

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise HRNetError(f"`preset` must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.precision not in PRECISIONS:
            raise HRNetError(f"`precision` must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.hold_out is not None and not 0 < self.hold_out < 1:
            raise HRNetError(f"`hold_out` must be between 0 and 1, got {self.hold_out:g}")

    def size(self) -> StudyPreset:
        """Return the preset with the options that are set."""
        values = {name: getattr(self, name) for name in ("epochs", "fine_tuning_epochs", "seeds")}
        return replace(PRESETS[self.preset], **{name: value for name, value in values.items() if value is not None})

    def absolute(self) -> StudyOptions:
        """Return these options with absolute paths, which hold on every machine that shares the folders."""
        paths: JsonObject = {name: value.absolute() for name, value in vars(self).items() if isinstance(value, Path)}
        profiles = None if self.profile is None else [str(Path(file).absolute()) for file in self.profile]
        return replace(self, **paths, profile=profiles)

    def to_json(self) -> JsonObject:
        """Return plain data."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


def resumed_options(file: Path, typed: StudyOptions) -> StudyOptions:
    """Return the options that a study was started with.

    Args:
        file: The study's manifest.
        typed: Options of the command that resumes it. Those that are set must be those of the study.

    Raises:
        HRNetError: The file is damaged, or an option was another one.
    """
    data = checked(read_json(file, "study manifest"), JsonObject, str(file))
    stored = checked_entry(data, "options", JsonObject, str(file))
    values: dict[str, object] = {}
    for field in dataclasses.fields(StudyOptions):
        hint = typing.get_type_hints(StudyOptions)[field.name]
        is_path = Path in typing.get_args(hint)
        value = checked_entry(stored, field.name, str | None if is_path else hint, f"{file}: options")
        values[field.name] = Path(value) if is_path and value is not None else value
        chosen = getattr(typed, field.name)
        if chosen not in (field.default, values[field.name]):
            raise HRNetError(f"`{field.name}` of the study in {file.parent} is {value}, got {chosen}; give another `output`")
    return StudyOptions(**typing.cast(JsonObject, values))


@dataclass(frozen=True)
class EngineOptions:
    """What runs the jobs, and what each job needs."""

    executor: str = option("local", "What runs the arms: local, slurm (submitit) or ray.", choices=EXECUTORS, panel=RESOURCES)
    cpus: int = option(4, "Number of processors of each job (slurm, ray).", minimum=1, panel=RESOURCES)
    gpus: float = option(0.0, "Number of GPUs of each job, such as 0.5 (ray) or 1 (slurm, ray).", minimum=0, panel=RESOURCES)
    memory: str | None = option(None, "Memory of each job, such as 8GiB (slurm, ray).", panel=RESOURCES)
    hours: float = option(24.0, "Time limit of each job, after which it is resumed (slurm).", minimum=0, panel=RESOURCES)
    partition: str | None = option(None, "Partition (slurm).", panel=RESOURCES)

    def __post_init__(self) -> None:
        if self.executor not in EXECUTORS:
            raise HRNetError(f"`executor` must be one of {', '.join(EXECUTORS)}, got {self.executor!r}")
        if self.executor == "slurm" and self.gpus != int(self.gpus):
            raise HRNetError(f"`gpus` must be a whole number with `executor` slurm, got {self.gpus:g}")

    @property
    def memory_bytes(self) -> int | None:
        """Memory of each job in bytes; None if it is not set."""
        from hrnet_tf.spec.memory import parse_memory

        return parse_memory(self.memory) if self.memory else None
