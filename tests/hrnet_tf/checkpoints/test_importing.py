"""Import and export of checkpoints. For damaged files, nothing is written."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hrnet_tf.checkpoints.from_torch import NORM_SCALE_FLOOR, import_checkpoint
from hrnet_tf.checkpoints.to_torch import export_run
from hrnet_tf.checkpoints.torch_reader import Arrays, read_checkpoint
from hrnet_tf.runs.run import Run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError

Make = Callable[[Network], Arrays]
Micro = Callable[..., HRNetSpec]


def save(path: Path, arrays: Arrays) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        save_file(arrays, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_import_then_export_is_bit_identical(micro: Micro, checkpoint: Make, tmp_path: Path, suffix: str) -> None:
    arrays = checkpoint(micro("landmarks"))
    run, report = import_checkpoint(save(tmp_path / f"checkpoint{suffix}", arrays), tmp_path / "run", input_size=(64, 64))
    assert Run.load(run.path) == run
    assert run.category["keypoints"][:2] == ["landmarks_0", "landmarks_1"]
    assert json.loads((run.path / "import.json").read_text())["loaded"] == list(report.loaded)
    assert export_run(run, tmp_path / f"exported{suffix}") == len(arrays)
    exported = read_checkpoint(tmp_path / f"exported{suffix}")
    assert set(exported) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(exported[name], array, err_msg=name, strict=True)


@pytest.mark.slow
def test_pose_network_from_an_imagenet_trunk(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    path = save(tmp_path / "imagenet.npz", checkpoint(micro("classification", stages=micro("pose").stages)))
    run, report = import_checkpoint(path, tmp_path / "run", micro("pose"))
    assert report.missing == ("final_layer.weight", "final_layer.bias")
    assert "classifier.weight" in report.unexpected
    assert "stage4.0.fuse_layers.1.0.0.0.weight" in report.unexpected  # the last pose module only fuses into branch 0
    weights = load_weights(run.weights_path)
    expected = np.load(path)["stage4.0.fuse_layers.0.3.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(weights["stage4_module0_link3to0_conv1/kernel"], expected)
    assert "2 missing, initial weights kept: final_layer.weight, final_layer.bias" in str(report)


@pytest.mark.slow
def test_names_of_known_keypoints(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    for classes, first in ((17, "nose"), (16, "right_ankle")):
        path = save(tmp_path / f"{classes}.npz", checkpoint(micro("pose", classes=classes)))
        run, _ = import_checkpoint(path, tmp_path / f"run{classes}", micro("pose", classes=1))
        assert run.category["keypoints"][0] == first
        assert run.spec.classes == classes


@pytest.mark.slow
def test_inplace_abn_scales_become_positive(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    arrays = checkpoint(micro("segmentation"))
    arrays["bn1.weight"] = -arrays["bn1.weight"]
    with_counters = save(tmp_path / "with_counters.npz", arrays)
    arrays_without_counters = {f"model.{name}": array for name, array in arrays.items() if not name.endswith("tracked")}
    without_counters = save(tmp_path / "without_counters.npz", arrays_without_counters)
    for path, option, changed in (
        (with_counters, None, False),
        (without_counters, None, True),
        (without_counters, False, False),
        (with_counters, True, True),
    ):
        output = tmp_path / f"{path.stem}-{option}"
        run, report = import_checkpoint(path, output, inplace_abn=option)
        expected = np.abs(arrays["bn1.weight"]) + NORM_SCALE_FLOOR if changed else arrays["bn1.weight"]
        np.testing.assert_allclose(load_weights(run.weights_path)["stem_bn1/gamma"], expected, rtol=1e-6)
        assert bool(report.notes) == changed


def _drop(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: [arrays.pop(key) for key in list(arrays) if key.startswith(name)].clear()


def _set_nan(arrays: Arrays) -> None:
    arrays["layer1.0.conv2.weight"][0, 0, 0, 0] = np.nan


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("stage3.0.branches.1"), r"stage3\.0\.branches\.1\.0\.conv1\.weight.*\(8, 8, 3, 3\)"),
        (_drop("stage4.0.fuse_layers.0.3"), r"stage4\.0\.fuse_layers\.0\.3\.0\.weight"),
        (_set_nan, r"layer1\.0\.conv2\.weight.*NaN"),
        (_drop("final_layer"), "`model`"),
        (lambda arrays: arrays.update({"bn2.bias": np.zeros(9, np.float32)}), r"bn2\.bias.*\(9,\).*\(8,\)"),
        (lambda arrays: arrays.clear(), "entries: none"),
    ],
)
def test_damaged_checkpoints(
    micro: Micro, checkpoint: Make, tmp_path: Path, damage: Callable[[Arrays], None], message: str
) -> None:
    arrays = {name: array.copy() for name, array in checkpoint(micro("pose")).items()}
    damage(arrays)
    with pytest.raises(HRNetError, match=message):
        import_checkpoint(save(tmp_path / "checkpoint.npz", arrays), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.slow
def test_checkpoint_of_another_network(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoint.npz", checkpoint(micro("pose")))
    with pytest.raises(HRNetError, match=r"conv1\.weight.*\(8, 3, 3, 3\).*\(64, 3, 3, 3\)"):
        import_checkpoint(path, tmp_path / "run", preset("pose-small-v1"))
    with pytest.raises(HRNetError, match=r"transition1\.0\.0\.weight.*\(4, 16, 3, 3\).*\(6, 16, 3, 3\)"):
        import_checkpoint(path, tmp_path / "run", micro("pose", width=6))
    with pytest.raises(HRNetError, match=r"pose, .* segmentation"):
        import_checkpoint(path, tmp_path / "run", micro("segmentation"))
    with pytest.raises(HRNetError, match=r"pose, .* simple-baseline-r50"):
        import_checkpoint(path, tmp_path / "run", preset("simple-baseline-r50"))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("x")
    with pytest.raises(HRNetError, match="`output`"):
        import_checkpoint(path, tmp_path / "run")


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1/0",)


@pytest.mark.slow
def test_invalid_files(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    content = save(tmp_path / "complete.safetensors", checkpoint(micro("pose"))).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: len(content) // 2])
    (tmp_path / "cut.npz").write_bytes(save(tmp_path / "complete.npz", checkpoint(micro("pose"))).read_bytes()[:5000])
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "pickled.npz", conv1=np.array([Payload()], dtype=object))
    (tmp_path / "model.h5").write_bytes(b"")
    for name, message in {
        "absent.pth": "absent.pth",
        "cut.safetensors": "cut.safetensors is damaged",
        "cut.npz": "cut.npz is damaged",
        "text.npz": "text.npz is damaged",
        "pickled.npz": "pickled.npz contains pickled objects",
        "model.h5": "model.h5",
    }.items():
        with pytest.raises(HRNetError, match=message):
            import_checkpoint(tmp_path / name, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_invalid_exports(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    run, _ = import_checkpoint(save(tmp_path / "checkpoint.npz", checkpoint(micro("pose"))), tmp_path / "run")
    with pytest.raises(HRNetError, match="'timm'"):
        export_run(run, tmp_path / "out.npz", "timm")
    with pytest.raises(HRNetError, match=r"out\.h5"):
        export_run(run, tmp_path / "out.h5")


def test_pytorch_files(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    arrays = checkpoint(micro("pose"))
    tensors = {f"module.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"epoch": 7, "state_dict": tensors, "perf": 0.7}, tmp_path / "checkpoint.pth.tar")
    run, report = import_checkpoint(tmp_path / "checkpoint.pth.tar", tmp_path / "run")
    assert (report.missing, report.unexpected) == ((), ())
    export_run(run, tmp_path / "exported.pth")
    exported = torch.load(tmp_path / "exported.pth", weights_only=True)
    assert all(torch.equal(exported[name], torch.from_numpy(array)) for name, array in arrays.items())

    torch.save({"state_dict": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(HRNetError, match=r"evil\.pth contains .*\(eval"):
        read_checkpoint(tmp_path / "evil.pth")
    content = (tmp_path / "exported.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps([1, 2, 3]))
    for name in ("cut.pth", "pickle.pth"):
        with pytest.raises(HRNetError, match=f"{name} (is damaged|has no state dict)"):
            read_checkpoint(tmp_path / name)


def test_pytorch_files_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "model.pth").write_bytes(b"PK")
    with pytest.raises(HRNetError, match=r"'hrnet-tf\[torch\]'"):
        read_checkpoint(tmp_path / "model.pth")
