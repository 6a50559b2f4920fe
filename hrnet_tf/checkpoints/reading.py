"""A checkpoint file made into named numpy arrays, without running anything that is in it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".bin", ".ckpt")
CONTAINERS = ("state_dict", "best_state_dict", "model_state", "model")
SUFFIXES = ".pth, .pt, .pth.tar, .safetensors or .npz"


def read_checkpoint(path: Path | str) -> Arrays:
    """All arrays of a checkpoint under the names that the file gives them; containers around them are opened.

    Raises ValueError, in one line, for a file that is missing, damaged, of another kind, or that could only be
    read by running code it brings along.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"cannot read {path}: there is no such file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    raise ValueError(f"{path} is not a checkpoint that is known by its name: expected {SUFFIXES}")


def _read_safetensors(path: Path) -> Arrays:
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except Exception as error:  # safetensors raises its own error for truncated and foreign files
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from error


def _read_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        if "allow_pickle" in str(error):
            raise ValueError(f"{path} holds pickled objects, which could run code: refused; save plain arrays") from error
        raise ValueError(f"{path} is damaged or not an .npz file: {error}") from error


def _read_torch(path: Path) -> Arrays:
    try:
        import torch
    except ImportError:
        raise ValueError(
            f"reading {path} takes PyTorch: pip install 'hrnet-tf[torch]', or save its state dict as .safetensors"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_unpickling_message(path, error)) from error
    except Exception as error:  # PyTorch raises many kinds for truncated and foreign files
        raise ValueError(f"{path} is damaged or not a PyTorch checkpoint: {str(error).splitlines()[0]}") from error
    tensors = _state_dict(content, path)
    return {
        name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor)
    }


def _unpickling_message(path: Path, error: Exception) -> str:
    """What the refused file holds, from PyTorch's long explanation."""
    text = str(error)
    if "GLOBAL" not in text and "global" not in text:
        return f"{path} is damaged or not a PyTorch checkpoint: {text.splitlines()[0]}"
    words = text.split("GLOBAL ")
    culprit = words[1].split()[0].rstrip(".,") if len(words) > 1 else "objects"
    return (
        f"{path} holds more than arrays ({culprit}), which takes unpickling that could run code: refused; "
        "save its state dict alone, or as .safetensors, where you trust the file"
    )


def _state_dict(content: Any, path: Path) -> Mapping[str, Any]:
    for _ in range(len(CONTAINERS)):
        inner = next((content[key] for key in CONTAINERS if isinstance(content, Mapping) and key in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path} holds no state dict: expected a mapping of names to tensors, got {type(content).__name__}")
    return content
