"""Read checkpoint files as numpy arrays by name, without running code from them."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import read_bytes

AnyArray: TypeAlias = NDArray[Any]
Arrays = dict[str, AnyArray]
TorchTensor: TypeAlias = Any

TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".bin", ".ckpt")
CONTAINERS = (
    "state_dict", "best_state_dict", "model_state", "model_state_dict", "model", "module", "net", "network", "ema_state_dict",
    "state_dict_ema", "ema",
)  # fmt: skip
SAFETENSORS_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4",
    "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
INDEX_SUFFIX = ".index"  # of a TensorFlow checkpoint, whose values are in .data-00000-of-00001 beside it
TRAINING_STATE = re.compile(r"(.*/)?(global_step|Momentum|Adam(_1)?|RMSProp(_1)?|ExponentialMovingAverage)")  # no weights
SUFFIXES = ".pth, .pt, .pth.tar, .safetensors, .npz or .index"


def read_checkpoint(path: Path | str) -> Arrays:
    """Read all arrays of a checkpoint.

    Args:
        path: A .pth, .pt, .pth.tar, .safetensors or .npz file, or the .index of a TensorFlow checkpoint. Containers such as
            "state_dict" are opened.

    Returns:
        The arrays by their names in the file; floating-point tensors of PyTorch files become float32, arrays of TensorFlow
        checkpoints have PyTorch's order of axes.

    Raises:
        HRNetError: If the file is missing, damaged, of another format, or needs unpickling that could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise HRNetError(f"cannot read {path}: the file does not exist")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == INDEX_SUFFIX:
        return _read_tensorflow(path)
    if path.suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    raise HRNetError(f"{path} is not a checkpoint: its name must end in {SUFFIXES}")


def _read_safetensors(path: Path) -> Arrays:
    from safetensors import SafetensorError, deserialize

    data = read_bytes(path, "checkpoint")
    try:
        tensors = deserialize(data)
    except SafetensorError as error:
        raise HRNetError(f"{path} is damaged or not a safetensors file: {_first_line(error)}") from error
    return {name: _decode(tensor["data"], tensor["dtype"], tensor["shape"], f"{path}: {name}") for name, tensor in tensors}


def _decode(data: bytes, dtype: str, shape: list[int], place: str) -> AnyArray:
    """A tensor of a safetensors file; bfloat16, which numpy lacks, as float32, of which it is the upper half."""
    if dtype == "BF16":
        halves = np.frombuffer(data, "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    if dtype not in SAFETENSORS_DTYPES:
        raise HRNetError(f"{place} has dtype {dtype}, expected BF16, {', '.join(SAFETENSORS_DTYPES)}; save it as F32")
    return np.frombuffer(data, SAFETENSORS_DTYPES[dtype]).reshape(shape)


def _read_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise HRNetError(f"{path} is damaged or not an .npz file: its list of arrays is missing")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # zipfile and numpy raise errors of many types for damaged files
        if "allow_pickle" in str(error):
            raise HRNetError(f"{path} contains pickled objects, which could run code: save plain arrays") from error
        raise HRNetError(f"{path} is damaged or not an .npz file: {_first_line(error)}") from error
    invalid = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
    if invalid is not None:
        raise HRNetError(f"{path} contains {invalid!r}, which is not an array")
    return arrays


def _read_tensorflow(path: Path) -> Arrays:
    """The variables of a TensorFlow checkpoint, those of optimizers aside, with PyTorch's order of axes."""
    from hrnet_tf.backend.keras_module import tf

    try:
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        names = [name for name in reader.get_variable_to_shape_map() if not TRAINING_STATE.fullmatch(name)]
        arrays = {name: np.asarray(reader.get_tensor(name)) for name in names}
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise HRNetError(f"{path} is damaged, its data file is missing, or it is not a TensorFlow checkpoint") from error
    return {name: _channels_first(name, array) for name, array in arrays.items()}


def _channels_first(name: str, array: AnyArray) -> AnyArray:
    if array.ndim == 4:
        return array.transpose((2, 3, 0, 1) if name.endswith("depthwise_weights") else (3, 2, 0, 1))
    return array.T


def _read_torch(path: Path) -> Arrays:
    try:
        import torch
    except ImportError:
        raise HRNetError(
            f"reading {path} needs PyTorch: pip install 'hrnet-tf[torch]', or save its state dict as .safetensors"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise HRNetError(_unpickling_message(path, error)) from error
    except Exception as error:  # PyTorch raises errors of many types for truncated and invalid files
        raise HRNetError(f"{path} is damaged or not a PyTorch checkpoint: {_first_line(error)}") from error
    tensors = _state_dict(content, path)
    return {name: _dense(tensor, f"{path}: {name}") for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}


def _dense(tensor: TorchTensor, place: str) -> AnyArray:
    """The values of a tensor of any storage; floating point as float32."""
    if tensor.is_meta:
        raise HRNetError(f"{place} is a meta tensor, which has no values; save the state dict of a loaded model")
    try:
        values = tensor.detach()
        values = values.dequantize() if values.is_quantized else values.to_dense()
        return np.asarray((values.float() if values.is_floating_point() else values).numpy())
    except (RuntimeError, TypeError, NotImplementedError) as error:  # PyTorch's, for storages without a dense form
        raise HRNetError(f"{place} cannot be read as an array: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """The first line of an error's message, or its type if it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _unpickling_message(path: Path, error: Exception) -> str:
    """The reason why PyTorch refused a file, from its long explanation."""
    text = str(error)
    if "GLOBAL" not in text and "global" not in text:
        return f"{path} is damaged or not a PyTorch checkpoint: {_first_line(error)}"
    words = text.split("GLOBAL ")
    culprit = words[1].split()[0].rstrip(".,") if len(words) > 1 else "objects"
    return (
        f"{path} contains more than arrays ({culprit}), and unpickling these could run code; "
        "if you trust the file, save its state dict alone, or as .safetensors"
    )


def _state_dict(content: object, path: Path) -> Mapping[str, object]:
    for _ in range(len(CONTAINERS)):
        inner = next((content[key] for key in CONTAINERS if isinstance(content, Mapping) and key in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise HRNetError(f"{path} has no state dict: expected a mapping of names to tensors, got {type(content).__name__}")
    return content
