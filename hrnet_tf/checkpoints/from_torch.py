"""A checkpoint made into a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.backend.types import Weights
from hrnet_tf.checkpoints.infer_spec import RESNET_CLASSIFICATION, TRUNK, classes_of, derive_network, kind_of
from hrnet_tf.checkpoints.layer_names import has_counters, official_names
from hrnet_tf.checkpoints.layout import Entry, entries, to_variable
from hrnet_tf.checkpoints.torch_reader import Arrays, read_checkpoint
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.keypoint_categories import category_for
from hrnet_tf.spec.network import TASK_HEADS, HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, complete_folder, write_json

NORM_SCALE_FLOOR = 1e-5  # InPlaceABN scales by |gamma| + this
SHOWN = 5
HEADS = ("final_layer.", "last_layer.", "head.", "incre_modules.", "downsamp_modules.", "classifier.", "neck.", "rpn_head.",
         "bbox_head.", "deconv_layers.")  # fmt: skip


@dataclass(frozen=True)
class ImportReport:
    """What became of a checkpoint's entries (official names) and of the network's."""

    model: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.loaded)} entries loaded"]
        lines.append(_listed("missing, left as initialised", self.missing))
        lines.append(_listed("unexpected, left out", self.unexpected))
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def import_checkpoint(
    path: Path | str,
    output: Path | str,
    model: Network | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    inplace_abn: bool | None = None,
) -> tuple[Run, ImportReport]:
    """Make the checkpoint at `path` into a run in the folder `output`, with the lists of its report in import.json.

    `model` is the network to load into, with as many classes as the checkpoint has; without it the network is
    derived. A checkpoint of ImageNet classification also starts a network of another task: its head is then
    missing. `input_size` (height, width) replaces the network's usual one. `inplace_abn` says whether it was
    trained with InPlaceABN; None finds out. Raises HRNetError, and writes nothing, where an entry is missing,
    of another shape or not finite.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise HRNetError(f"{output} exists already; give another `output`")
    check_writable(output)
    try:
        spec, weights, report = load_into_network(read_checkpoint(path), model, inplace_abn=inplace_abn)
        spec = dataclasses.replace(spec, input_size=input_size or spec.input_size)
    except HRNetError as error:
        raise HRNetError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    category = category_for(spec)
    # the official landmark networks learnt targets that were rounded down
    offset = 0.5 if spec.task == "landmarks" else 0.0
    run = Run(output, "import", spec, category, {"checkpoint": str(path), "heatmap_offset": offset})
    with complete_folder(output) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / run.weights_path.name, weights)
        write_json(draft / "import.json", dataclasses.asdict(report))
    return run, report


def load_into_network(
    raw: Arrays, model: Network | None = None, *, inplace_abn: bool | None = None
) -> tuple[Network, Weights, ImportReport]:
    """A checkpoint's arrays (any known layout) as this package's weights, and the network they are of."""
    arrays = official_names(raw)
    _check_values(arrays)
    kind = kind_of(arrays)
    if model is None:
        spec = derive_network(arrays)
    elif _starts(kind, model):
        spec = model
    else:
        _check_task(kind, model)
        spec = dataclasses.replace(model, classes=classes_of(arrays, kind))
    notes = []
    if inplace_abn is None:
        inplace_abn = kind == "segmentation" and not has_counters(raw)
    if inplace_abn:
        arrays = _without_inplace_abn(arrays)
        notes.append(f"trained with InPlaceABN: BatchNorm's scales became |scale| + {NORM_SCALE_FLOOR:g}")
    weights, report = _fill(spec, arrays, pretraining=model is not None and _starts(kind, model), notes=tuple(notes))
    return spec, weights, report


def _check_values(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not array.size:
            raise HRNetError(f"{name} has shape {array.shape}: it holds no values")
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array.astype(np.float32, copy=False)).all():
                raise HRNetError(f"{name} holds values that are not finite (NaN or infinity)")


def _starts(kind: str, model: Network) -> bool:
    """Whether a checkpoint of that kind gives this network its trunk alone, as ImageNet's do."""
    if isinstance(model, HRNetSpec):
        return kind == TRUNK or (kind == "classification" and model.head_kind != "classification")
    return kind == RESNET_CLASSIFICATION


def _check_task(kind: str, model: Network) -> None:
    if isinstance(model, HRNetSpec):
        expected, fits = model.task, TASK_HEADS.get(kind) == model.head_kind
    else:
        expected, fits = "simple-baseline", kind == "simple-baseline"
    if not fits:
        raise HRNetError(f"the checkpoint is of {kind}, but {model.name} is of {expected}; leave `model` out to take its own")


def _fill(spec: Network, arrays: Arrays, *, pretraining: bool, notes: tuple[str, ...]) -> tuple[Weights, ImportReport]:
    """The network's weights from the arrays. Only a head may be missing, and only where a trunk was expected."""
    weights = model_weights(build_model(spec))
    table = entries(spec)
    loaded, missing = [], []
    for entry in table:
        if entry.name in arrays and not (pretraining and _of_head(entry.name)):
            weights[entry.variable] = _checked(entry, arrays[entry.name], weights[entry.variable].shape)
            loaded.append(entry.name)
        elif entry.optional or (pretraining and _of_head(entry.name)):
            missing.append(entry.name)
        else:
            shape = _official_shape(entry, weights[entry.variable].shape)
            raise HRNetError(f"the checkpoint has no {entry.name}, expected with shape {shape} for {spec.name}")
    unexpected = sorted(set(arrays) - set(loaded))
    return weights, ImportReport(spec.name, tuple(loaded), tuple(missing), tuple(unexpected), notes)


def _checked(entry: Entry, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if tuple(array.shape) != _official_shape(entry, shape):
        raise HRNetError(f"{entry.name} has shape {tuple(array.shape)}, expected {_official_shape(entry, shape)}")
    if array.dtype.kind not in "fiu":
        raise HRNetError(f"{entry.name} is of dtype {array.dtype}, expected numbers")
    return np.ascontiguousarray(to_variable(entry, array.astype(np.float32)))


def _official_shape(entry: Entry, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) == 4:
        return shape[3], shape[2], shape[0], shape[1]
    return tuple(reversed(shape))


def _of_head(name: str) -> bool:
    return name.startswith(HEADS)


def _without_inplace_abn(arrays: Arrays) -> Arrays:
    norms = {name.removesuffix("running_var") + "weight" for name in arrays if name.endswith("running_var")}
    return {name: np.abs(array) + NORM_SCALE_FLOOR if name in norms else array for name, array in arrays.items()}


def _listed(what: str, names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {what}" + (f": {shown}" if names else "")
