"""Reading checkpoints: dtypes, wrapped networks, PyTorch tensors and damaged files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from hrnet_tf.checkpoints.from_torch import import_checkpoint
from hrnet_tf.checkpoints.layer_names import official_names
from hrnet_tf.checkpoints.torch_reader import Arrays, read_checkpoint
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from mobile_eval.errors import HRNetError

Make = Callable[[Network], Arrays]
Micro = Callable[..., HRNetSpec]


CODES = {"bfloat16": "BF16", "float16": "F16", "float64": "F64", "uint8": "U8"}


def save_as(dtype: str, arrays: Arrays, path: Path, code: str = "") -> None:
    """Write a safetensors file byte by byte: length of the header, header, arrays."""
    stored = {name: array.astype(dtype).tobytes() for name, array in arrays.items()}
    header: dict[str, Any] = {}
    end = 0
    for name, data in stored.items():
        header[name] = {"dtype": code or CODES[dtype], "shape": arrays[name].shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(stored.values()))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_safetensors_of_other_dtypes(micro: Micro, checkpoint: Make, tmp_path: Path, dtype: str) -> None:
    arrays = checkpoint(micro("pose"))
    save_as(dtype, arrays, tmp_path / "checkpoint.safetensors")
    run, report = import_checkpoint(tmp_path / "checkpoint.safetensors", tmp_path / "run", input_size=(64, 64))
    assert report.missing == ()
    expected = arrays["conv2.weight"].astype(np.dtype(dtype)).astype(np.float32).transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(load_weights(run.weights_path)["stem_conv2/kernel"], expected)


def test_bfloat16_equals_ml_dtypes(tmp_path: Path) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    save_as("bfloat16", {"all": bits.view(ml_dtypes.bfloat16)}, tmp_path / "all.safetensors")
    np.testing.assert_array_equal(
        read_checkpoint(tmp_path / "all.safetensors")["all"], bits.view(ml_dtypes.bfloat16).astype(np.float32)
    )


@pytest.mark.parametrize(
    "wrapper",
    [
        "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.{}", "net.{}", "ema.{}", "ema.module.{}", "model._orig_mod.{}",
        "module.model.{}", "network.{}", "ema_model.module.{}", "model.backbone._orig_mod.{}", "backbone.{}",
        "_fsdp_wrapped_module.{}", "module.net.{}",
    ],
)  # fmt: skip
def test_wrappers_are_stripped(wrapper: str) -> None:
    names = ("conv1.weight", "stage2.0.branches.0.0.conv1.weight", "layer1.0.bn1.num_batches_tracked")
    arrays = {wrapper.format(name): np.full(3, index) for index, name in enumerate(names)}
    assert set(official_names(arrays)) == set(names[:2])


def test_wrappers_inside_a_name_are_stripped() -> None:
    assert set(official_names({"stage2._orig_mod.0.branches.0.module.0.conv1.weight": np.zeros(3)})) == {
        "stage2.0.branches.0.0.conv1.weight"
    }


def test_two_networks_in_one_file() -> None:
    with pytest.raises(HRNetError, match=r"model\.conv1\.weight and ema\.conv1\.weight"):
        official_names({"model.conv1.weight": np.zeros(3), "ema.conv1.weight": np.ones(3)})


def npz(path: Path, header: bytes) -> Path:
    """An .npz file of one array with the given header."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("conv1.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return path


HEADERS = {
    "cut": b"{'descr': '<f4', 'fortran_order': False, 'shape': (4",
    "no-dtype": b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (4,), }",
    "negative": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
    "text-shape": b"{'descr': '<f4', 'fortran_order': False, 'shape': ('a',), }",
    "deep": b"(" * 5000,
    "huge": b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "larger-than-file": b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000,), }",
    "not-latin": bytes(range(128, 256)),
    "object": b"{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
}


@pytest.mark.parametrize("header", HEADERS)
def test_damaged_npz_headers(header: str, tmp_path: Path) -> None:
    path = npz(tmp_path / f"{header}.npz", HEADERS[header])
    with pytest.raises(HRNetError, match=rf"{header}\.npz (is damaged|contains pickled objects)") as raised:
        read_checkpoint(path)
    assert "\n" not in str(raised.value)


def test_npz_without_arrays(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive.npz", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(HRNetError, match=r"archive\.npz .*'readme\.txt'"):
        read_checkpoint(tmp_path / "archive.npz")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("conv1.weight", np.zeros((8, 0, 3, 3), np.float32), r"conv1\.weight .*\(8, 0, 3, 3\)"),
        ("bn1.bias", np.full(8, 1e300), r"bn1\.bias .*not finite"),
        ("bn1.bias", np.array(["a"] * 8), r"bn1\.bias .*<U1"),
        ("conv1.weight", np.float32(1), r"conv1\.weight .*single number"),
        ("stage2.999999999.branches.0.0.conv1.weight", np.zeros(3), "999999999"),
    ],
)
def test_invalid_arrays(micro: Micro, checkpoint: Make, tmp_path: Path, name: str, array: Any, message: str) -> None:
    np.savez(tmp_path / "checkpoint.npz", **{**checkpoint(micro("pose")), name: array})  # type: ignore[arg-type]
    with pytest.raises(HRNetError, match=rf"checkpoint\.npz: .*{message}"):
        import_checkpoint(tmp_path / "checkpoint.npz", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dtype_unknown_to_numpy(tmp_path: Path) -> None:
    save_as("uint8", {"conv1.weight": np.zeros(4)}, tmp_path / "eight.safetensors", "F8_E4M3")
    with pytest.raises(HRNetError, match=r"eight\.safetensors: conv1\.weight .*F8_E4M3"):
        read_checkpoint(tmp_path / "eight.safetensors")


def test_every_kind_of_pytorch_tensor(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor([[0.0, 1.5], [0.0, -2.0]])
    tensors = {
        "trained": values.clone().requires_grad_(),
        "parameter": torch.nn.Parameter(values),
        "sparse": values.to_sparse(),
        "compressed": values.to_sparse_csr(),
        "quantized": torch.quantize_per_tensor(values, 0.5, 0, torch.qint8),
        "half": values.to(torch.bfloat16),
        "double": values.double(),
        "transposed": values.T.contiguous().T,
    }
    torch.save({"state_dict": tensors}, tmp_path / "checkpoint.pth")
    arrays = read_checkpoint(tmp_path / "checkpoint.pth")
    assert set(arrays) == set(tensors)
    for name, array in arrays.items():
        assert array.dtype == np.float32, name
        np.testing.assert_array_equal(array, values.numpy(), err_msg=name)


def test_pytorch_files_without_values(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(HRNetError, match=r"empty\.pth is damaged"):
        read_checkpoint(tmp_path / "empty.pth")
    torch.save({"conv1.weight": torch.zeros(3, device="meta")}, tmp_path / "meta.pth")
    with pytest.raises(HRNetError, match=r"meta\.pth: conv1\.weight"):
        read_checkpoint(tmp_path / "meta.pth")


def test_truncated_checkpoints(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **checkpoint(micro("pose")))  # type: ignore[arg-type]
    content = buffer.getvalue()
    for length in (0, 1, 30, 500, len(content) // 2, len(content) - 1):
        path = tmp_path / f"{length}.npz"
        path.write_bytes(content[:length])
        with pytest.raises(HRNetError, match=rf"{length}\.npz is damaged") as raised:
            read_checkpoint(path)
        assert "\n" not in str(raised.value)
