"""Export a run or a Keras model as a checkpoint of the official repositories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from hrnet_tf.backend.types import KerasModel, Weights
from hrnet_tf.checkpoints.baselines.registry import official_layout
from hrnet_tf.checkpoints.entry import Entry, from_variable
from hrnet_tf.checkpoints.layout import entries
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.models.slicing import Slicing
from hrnet_tf.models.trunk import is_quantized, spec_of
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.baselines.base import BaselineSpec
from hrnet_tf.spec.network import CENTERS, PYRAMID, HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically

LAYOUTS = ("official",)
DETECTION_HEADS = ("neck.", "rpn_head.", "bbox_head.")  # not under `backbone.` in the detection repository


def export_run(run: Run, output: Path | str, layout: str = "official") -> int:
    """Write a run's weights to a checkpoint of the official repositories.

    Links and branches that the network does not have are written as zero weights, so that the official network, which has all of
    them, computes the same.

    Args:
        run: A run that is not quantized.
        output: A .safetensors, .npz or .pth file.
        layout: Whose names to use; only "official".

    Returns:
        The number of entries.

    Raises:
        HRNetError: If the run is quantized, or the layout or the format is unknown.
    """
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized, and its BatchNorm is folded; export its parent, {run.parent_path}")
    return _export(run.spec, load_weights(run.weights_path), Path(output), layout)


def export_checkpoint(model: KerasModel, path: Path | str, *, layout: str = "official") -> int:
    """Write the weights of a Keras model to a checkpoint of the official repositories, see `export_run`.

    Args:
        model: A model of `HRNet` or `Baseline`, with the head of the package.
        path: A .safetensors, .npz or .pth file.
        layout: Whose names to use; only "official".

    Returns:
        The number of entries.

    Raises:
        HRNetError: If the model is of another package, has a head of the user's own or is quantized, or the format is unknown.

    Example:
        >>> export_checkpoint(HRNet("pose-w32"), "pose_hrnet_w32.safetensors")  # doctest: +SKIP
        1954
    """
    spec = spec_of(model)
    if is_quantized(model):
        raise HRNetError(f"`model` {model.name} is quantized; export the model that it was made from")
    if spec.head_kind == PYRAMID:
        raise HRNetError(f"`model` {model.name} has a head of another package, for which the layout has no names")
    return _export(spec, model_weights(model), Path(path), layout)


def _export(spec: Network, weights: Weights, output: Path, layout: str) -> int:
    if spec.head_kind == CENTERS:
        raise HRNetError(f"{spec.name} has a head that no official repository has, and for which the layout has no names")
    if layout not in LAYOUTS:
        raise HRNetError(f"`layout` must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    write = {".safetensors": _write_safetensors, ".npz": _write_npz, ".pth": _write_torch}.get(output.suffix)
    if write is None:
        raise HRNetError(f"cannot write {output}: its name must end in .safetensors, .npz or .pth")
    arrays = official_arrays(spec, weights)
    _write(output, arrays, write)
    return len(arrays)


def official_arrays(spec: Network, weights: Weights) -> Arrays:
    """Return the arrays of an official checkpoint.

    Args:
        spec: The network.
        weights: Its weights.

    Returns:
        Arrays in PyTorch's order of axes by their official names, with a counter of batches for each BatchNorm.
    """
    if isinstance(spec, BaselineSpec):
        table = official_layout(spec).entries(spec, auxiliary=True)
        return _with_counters({entry.name: (entry, weights[entry.variable]) for entry in table if entry.variable in weights})
    full = spec.full()
    if spec.outputs != full.outputs:
        raise HRNetError(f"the head of {spec.name} reads branch {spec.outputs[0]}, which the layout cannot express")
    present = {entry.variable for entry in entries(spec)}
    absent = {} if full == spec else model_weights(build_model(full))
    if spec.widths:
        weights = Slicing.of(full, spec).widened(weights, absent)
    values = {}
    for entry in entries(full):
        if entry.variable in present:
            array = weights[entry.variable]
        else:
            array = np.full_like(absent[entry.variable], 1 if entry.name.endswith("running_var") else 0)
        values[_prefixed(entry, spec)] = entry, array
    return _with_counters(values)


def _with_counters(values: Mapping[str, tuple[Entry, NDArray[np.float32]]]) -> Arrays:
    """The arrays of a checkpoint from the variables of its entries, by name, with a counter of batches for each BatchNorm."""
    arrays: Arrays = {}
    for name, (entry, value) in values.items():
        arrays[name] = np.ascontiguousarray(from_variable(entry, value))
        if name.endswith("running_var"):
            arrays[name.removesuffix("running_var") + "num_batches_tracked"] = np.zeros((), np.int64)
    return arrays


def _prefixed(entry: Entry, spec: HRNetSpec) -> str:
    in_backbone = spec.head_kind == "detection" and not entry.name.startswith(DETECTION_HEADS)
    return f"backbone.{entry.name}" if in_backbone else entry.name


def _write(output: Path, arrays: Arrays, write: Callable[[Path, Arrays], None]) -> None:
    write_atomically(output, lambda beside: write(beside, arrays))


def _write_safetensors(path: Path, arrays: Arrays) -> None:
    save_file(arrays, path)


def _write_npz(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:  # given a path, numpy would append .npz to its name
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _write_torch(path: Path, arrays: Arrays) -> None:
    try:
        import torch
    except ImportError:
        raise HRNetError("writing .pth needs PyTorch: pip install 'hrnet-tf[torch]', or write .safetensors") from None
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
