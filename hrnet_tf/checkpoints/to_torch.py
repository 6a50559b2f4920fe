"""A run made into a checkpoint of the official repositories' layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from hrnet_tf.backend.types import Weights
from hrnet_tf.checkpoints.layout import Entry, entries, from_variable
from hrnet_tf.checkpoints.torch_reader import Arrays
from hrnet_tf.models.build import build_model
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights, model_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError
from mobile_eval.files import write_atomically

LAYOUTS = ("official",)
DETECTION_PARTS = ("neck.", "rpn_head.", "bbox_head.")  # beside `backbone.`, in the detection repository


def export_run(run: Run, output: Path | str, layout: str = "official") -> int:
    """Write a run's weights under the names of `layout` to a .safetensors, .npz or .pth file; returns how many entries.

    A link or branch that the run has not becomes one whose weights are zero, so that the official network at
    full connectivity computes the same.
    """
    if layout not in LAYOUTS:
        raise HRNetError(f"no layout named {layout!r}; there are {', '.join(LAYOUTS)}")
    if run.quantized:
        raise HRNetError(f"{run.path} is quantized: its BatchNorm is folded away; export the run it came from: {run.parent}")
    output = Path(output)
    write = {".safetensors": _write_safetensors, ".npz": _write_npz, ".pth": _write_torch}.get(output.suffix)
    if write is None:
        raise HRNetError(f"cannot write {output}: expected a name that ends in .safetensors, .npz or .pth")
    arrays = official_arrays(run.spec, load_weights(run.weights_path))
    _write(output, arrays, write)
    return len(arrays)


def official_arrays(spec: Network, weights: Weights) -> Arrays:
    """The entries of the official checkpoint, in PyTorch's arrangement, with a counter for each BatchNorm."""
    full = spec.full() if isinstance(spec, HRNetSpec) else spec
    table = entries(full)
    present = {entry.variable for entry in entries(spec)}
    absent = {} if len(present) == len(table) else model_weights(build_model(full))
    arrays: Arrays = {}
    for entry in table:
        name = _prefixed(entry, spec)
        if entry.variable in present:
            array = weights[entry.variable]
        else:
            array = np.full_like(absent[entry.variable], 1 if entry.name.endswith("running_var") else 0)
        arrays[name] = np.ascontiguousarray(from_variable(entry, array))
        if name.endswith("running_var"):
            arrays[name.removesuffix("running_var") + "num_batches_tracked"] = np.zeros((), np.int64)
    return arrays


def _prefixed(entry: Entry, spec: Network) -> str:
    trunk = spec.head_kind == "detection" and not entry.name.startswith(DETECTION_PARTS)
    return f"backbone.{entry.name}" if trunk else entry.name


def _write(output: Path, arrays: Arrays, write: Callable[[Path, Arrays], None]) -> None:
    write_atomically(output, lambda beside: write(beside, arrays))


def _write_safetensors(path: Path, arrays: Arrays) -> None:
    save_file(arrays, path)


def _write_npz(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:  # a path without .npz at its end would get one
        np.savez(file, **arrays)  # type: ignore[arg-type]


def _write_torch(path: Path, arrays: Arrays) -> None:
    try:
        import torch
    except ImportError:
        raise HRNetError("writing .pth takes PyTorch: pip install 'hrnet-tf[torch]', or write .safetensors") from None
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
