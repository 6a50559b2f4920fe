"""Import a checkpoint as a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from hrnet_tf.backend.types import Weights
from hrnet_tf.checkpoints.baselines.loading import load_baseline
from hrnet_tf.checkpoints.baselines.registry import find_layout
from hrnet_tf.checkpoints.entry import converted, official_shape
from hrnet_tf.checkpoints.infer_spec import TRUNK, classes_of, head_of, infer_network, kind_of, task_of
from hrnet_tf.checkpoints.layer_names import has_counters, has_openmmlab_regions, official_names, unwrapped
from hrnet_tf.checkpoints.layout import entries
from hrnet_tf.checkpoints.report import ImportReport
from hrnet_tf.checkpoints.torch_reader import Arrays, read_checkpoint
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.keypoint_categories import category_for
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import check_writable, complete_folder, write_json

NORM_SCALE_FLOOR = 1e-5  # InPlaceABN scales by |gamma| + this
HEADS = (
    "final_layer.", "last_layer.", "head.", "incre_modules.", "downsamp_modules.", "classifier.", "neck.", "rpn_head.",
    "bbox_head.", "aux_head.", "conv3x3_ocr.", "ocr_distri_head.", "cls_head.",
)  # fmt: skip


def import_checkpoint(
    path: Path | str,
    output: Path | str,
    model: Network | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    inplace_abn: bool | None = None,
) -> tuple[Run, ImportReport]:
    """Import a checkpoint as a run, with its report in import.json.

    An ImageNet classification checkpoint can also initialize the trunk of another network, whose head keeps its initial weights.

    Args:
        path: The checkpoint, see `read_checkpoint`.
        output: Folder of the run.
        model: The network to load into; the number of classes is taken from the checkpoint. None infers the network.
        input_size: (height, width) of the input in pixels; None for the default of the network.
        inplace_abn: Whether the checkpoint was trained with InPlaceABN; None detects it.

    Returns:
        The run and the report.

    Raises:
        HRNetError: If an entry is missing, has a wrong shape, or is not finite. Nothing is written.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise HRNetError(f"{output} exists already; give another `output`")
    check_writable(output)
    spec, weights, report = _load(path, model, inplace_abn, input_size)
    # The official landmark networks are trained with targets that are rounded down.
    offset = 0.5 if spec.head_kind == "multiscale_heatmap" else 0.0
    run = Run(output, "import", spec, category_for(spec), {"checkpoint": str(path), "heatmap_offset": offset})
    _save(run, weights, report)
    return run, report


def load_checkpoint(path: Path | str, model: Network | None = None) -> tuple[Network, Weights]:
    """Return the network of a checkpoint and its weights, see `import_checkpoint`.

    Args:
        path: The checkpoint.
        model: The network to load into; None infers it.
    """
    spec, weights, _ = _load(path, model)
    return spec, weights


def _load(
    path: Path | str, model: Network | None, inplace_abn: bool | None = None, input_size: tuple[int, int] | None = None
) -> tuple[Network, Weights, ImportReport]:
    """Load a checkpoint; an HRNetError names the file."""
    try:
        spec, weights, report = load_into_network(read_checkpoint(path), model, inplace_abn=inplace_abn)
        return dataclasses.replace(spec, input_size=input_size or spec.input_size), weights, report
    except HRNetError as error:
        raise HRNetError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def _save(run: Run, weights: Weights, report: ImportReport) -> None:
    with complete_folder(run.path) as draft:
        save_run(dataclasses.replace(run, path=draft))
        save_weights(draft / run.weights_path.name, weights)
        write_json(draft / "import.json", dataclasses.asdict(report))


def load_into_network(
    raw: Arrays, model: Network | None = None, *, inplace_abn: bool | None = None
) -> tuple[Network, Weights, ImportReport]:
    """Convert the arrays of a checkpoint to the weights of a network; see `import_checkpoint`.

    Args:
        raw: The arrays by their names in the file, in any known layout.
        model: The network to load into.
        inplace_abn: Whether the checkpoint was trained with InPlaceABN.

    Returns:
        The network, its weights, and the report.
    """
    plain = unwrapped(raw)
    layout = find_layout(plain)
    if layout is not None:
        _check_values(plain)
        return load_baseline(layout, plain, model)
    arrays = official_names(raw)
    _check_values(arrays)
    kind = kind_of(arrays)
    if model is not None and not isinstance(model, HRNetSpec):
        raise HRNetError(f"the checkpoint is of an HRNet for {kind}, but `model` is {model.name}; omit `model` to infer it")
    only_trunk = model is not None and _has_only_trunk(kind, model)
    spec = _network(arrays, kind, model, only_trunk=only_trunk)
    notes = []
    if spec.is_aligned and has_openmmlab_regions(plain):
        spec = dataclasses.replace(spec, interpolation="bilinear")
        notes.append("OpenMMLab's HRNet-OCR upsamples with half-pixel centers, and not with the corners in one place")
    if inplace_abn is None:
        inplace_abn = task_of(kind) == "segmentation" and not has_counters(raw)
    if inplace_abn:
        arrays = _without_inplace_abn(arrays)
        notes.append(f"trained with InPlaceABN: the scales of BatchNorm became |scale| + {NORM_SCALE_FLOOR:g}")
    weights, report = _fill(spec, arrays, only_trunk=only_trunk, notes=tuple(notes))
    return spec, weights, report


def _check_values(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not array.size:
            raise HRNetError(f"{name} has shape {array.shape}, which has no values")
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array.astype(np.float32, copy=False)).all():
                raise HRNetError(f"{name} has values that are not finite (NaN or infinity)")


def _has_only_trunk(kind: str, model: HRNetSpec) -> bool:
    """Whether a checkpoint of that kind initializes only the trunk of a network, as ImageNet's do."""
    return kind == TRUNK or (kind == "classification" and model.head_kind != "classification")


def _network(arrays: Arrays, kind: str, model: HRNetSpec | None, *, only_trunk: bool) -> HRNetSpec:
    """The network to load into: `model` with the classes of the checkpoint, or the inferred one."""
    if model is None:
        return infer_network(arrays)
    if only_trunk:
        return model
    if head_of(kind) != model.head_kind:
        raise HRNetError(f"the checkpoint is for {kind}, but `model` {model.name} is for {model.task}; omit `model` to infer it")
    return dataclasses.replace(model, classes=classes_of(arrays, kind))


def _fill(spec: Network, arrays: Arrays, *, only_trunk: bool, notes: tuple[str, ...]) -> tuple[Weights, ImportReport]:
    """The weights of a network from arrays; only a head may be missing, and only if `only_trunk`."""
    weights = model_weights(build_model(spec))
    loaded, missing = [], []
    for entry in entries(spec):
        is_skipped = only_trunk and entry.name.startswith(HEADS)
        if entry.name in arrays and not is_skipped:
            weights[entry.variable] = converted(entry, arrays[entry.name], weights[entry.variable].shape)
            loaded.append(entry.name)
        elif entry.optional or is_skipped:
            missing.append(entry.name)
        else:
            shape = official_shape(entry, weights[entry.variable].shape)
            raise HRNetError(f"the checkpoint has no {entry.name}, expected with shape {shape} for {spec.name}")
    unexpected = sorted(set(arrays) - set(loaded))
    return weights, ImportReport(spec.name, tuple(loaded), tuple(missing), tuple(unexpected), notes)


def _without_inplace_abn(arrays: Arrays) -> Arrays:
    norms = {name.removesuffix("running_var") + "weight" for name in arrays if name.endswith("running_var")}
    return {name: np.abs(array) + NORM_SCALE_FLOOR if name in norms else array for name, array in arrays.items()}
