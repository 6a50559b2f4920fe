"""Files made into runs, and what is refused with nothing written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hrnet_tf.checkpoints.from_torch import NORM_SCALE_FLOOR, import_checkpoint
from hrnet_tf.checkpoints.to_torch import export_run
from hrnet_tf.checkpoints.torch_reader import Arrays, read_checkpoint
from hrnet_tf.runs.run import load_run
from hrnet_tf.runs.weights import load_weights
from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HRNetSpec
from hrnet_tf.spec.presets import preset
from mobile_eval.errors import HRNetError

Make = Callable[[Network], Arrays]
Micro = Callable[..., HRNetSpec]


def written(path: Path, arrays: Arrays) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        save_file(arrays, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_import_then_export_is_bit_identical(micro: Micro, checkpoint: Make, tmp_path: Path, suffix: str) -> None:
    arrays = checkpoint(micro("landmarks"))
    run, report = import_checkpoint(written(tmp_path / f"given{suffix}", arrays), tmp_path / "run", input_size=(64, 64))
    assert load_run(run.path) == run
    assert run.category["keypoints"][:2] == ["landmarks_0", "landmarks_1"]
    assert json.loads((run.path / "import.json").read_text())["loaded"] == list(report.loaded)
    assert export_run(run, tmp_path / f"back{suffix}") == len(arrays)
    back = read_checkpoint(tmp_path / f"back{suffix}")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name, strict=True)


def test_an_imagenet_trunk_starts_a_pose_network(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    given = written(tmp_path / "imagenet.npz", checkpoint(micro("classification")))
    run, report = import_checkpoint(given, tmp_path / "run", micro("pose"))
    assert report.missing == ("final_layer.weight", "final_layer.bias")
    assert "classifier.weight" in report.unexpected
    assert "stage4.0.fuse_layers.1.0.0.0.weight" in report.unexpected  # pose's last module only fuses into branch 0
    weights = load_weights(run.weights_path)
    expected = np.load(given)["stage4.0.fuse_layers.0.3.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(weights["stage4_module0_link3to0_conv1/kernel"], expected)
    assert "2 missing, left as initialised: final_layer.weight, final_layer.bias" in str(report)


def test_known_joints_get_their_names(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    for classes, first in ((17, "nose"), (16, "right_ankle")):
        given = written(tmp_path / f"{classes}.npz", checkpoint(micro("pose", classes=classes)))
        run, _ = import_checkpoint(given, tmp_path / f"run{classes}", micro("pose", classes=1))
        assert run.category["keypoints"][0] == first
        assert run.spec.classes == classes


def test_inplace_abn_scales_become_positive(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    arrays = checkpoint(micro("segmentation"))
    arrays["bn1.weight"] = -arrays["bn1.weight"]
    counted = written(tmp_path / "counted.npz", arrays)
    plain = written(tmp_path / "plain.npz", {f"model.{n}": a for n, a in arrays.items() if not n.endswith("tracked")})
    for path, option, changed in ((counted, None, False), (plain, None, True), (plain, False, False), (counted, True, True)):
        output = tmp_path / f"{path.stem}-{option}"
        run, report = import_checkpoint(path, output, inplace_abn=option)
        expected = np.abs(arrays["bn1.weight"]) + NORM_SCALE_FLOOR if changed else arrays["bn1.weight"]
        np.testing.assert_allclose(load_weights(run.weights_path)["stem_bn1/gamma"], expected, rtol=1e-6)
        assert bool(report.notes) == changed


def _drop(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: [arrays.pop(key) for key in list(arrays) if key.startswith(name)].clear()


def _set_nan(arrays: Arrays) -> None:
    arrays["layer1.0.conv2.weight"][0, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop("stage3.0.branches.1"), r"has no stage3.0.branches.1.0.conv1.weight, expected with shape \(8, 8, 3, 3\)"),
        (_drop("stage4.0.fuse_layers.0.3"), "has no stage4.0.fuse_layers.0.3.0.weight"),
        (_set_nan, "layer1.0.conv2.weight holds values that are not finite"),
        (_drop("final_layer"), "the checkpoint is of trunk|has no head"),
        (lambda arrays: arrays.update({"bn2.bias": np.zeros(9, np.float32)}), r"bn2.bias has shape \(9,\), expected \(8,\)"),
        (lambda arrays: arrays.clear(), "of no layout that is known"),
    ],
)
def test_damaged_checkpoints_are_refused(
    micro: Micro, checkpoint: Make, tmp_path: Path, damage: Callable[[Arrays], None], message: str
) -> None:
    arrays = {name: array.copy() for name, array in checkpoint(micro("pose")).items()}
    damage(arrays)
    with pytest.raises(HRNetError, match=message):
        import_checkpoint(written(tmp_path / "given.npz", arrays), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["given.npz"]


def test_another_network_is_refused_by_its_first_entry(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    given = written(tmp_path / "given.npz", checkpoint(micro("pose")))
    with pytest.raises(HRNetError, match=r"conv1.weight has shape \(8, 3, 3, 3\), expected \(64, 3, 3, 3\)"):
        import_checkpoint(given, tmp_path / "run", preset("pose-small-v1"))
    with pytest.raises(HRNetError, match=r"transition1.0.0.weight has shape \(4, 16, 3, 3\), expected \(6, 16, 3, 3\)"):
        import_checkpoint(given, tmp_path / "run", micro("pose", width=6))
    with pytest.raises(HRNetError, match="the checkpoint is of pose, but micro is of segmentation"):
        import_checkpoint(given, tmp_path / "run", micro("segmentation"))
    with pytest.raises(HRNetError, match="the checkpoint is of pose, but simple-baseline-r50 is of simple-baseline"):
        import_checkpoint(given, tmp_path / "run", preset("simple-baseline-r50"))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    with pytest.raises(HRNetError, match="run exists already"):
        import_checkpoint(given, tmp_path / "run")


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1/0",)


def test_files_that_are_no_checkpoints_are_refused(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.safetensors", checkpoint(micro("pose"))).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.npz").write_bytes(written(tmp_path / "whole.npz", checkpoint(micro("pose"))).read_bytes()[:5000])
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "pickled.npz", conv1=np.array([Payload()], dtype=object))
    (tmp_path / "model.h5").write_bytes(b"")
    for name, message in {
        "absent.pth": "there is no such file",
        "cut.safetensors": "damaged or not a safetensors file",
        "cut.npz": "damaged or not an .npz file",
        "text.npz": "not an .npz file|pickled",
        "pickled.npz": "pickled objects, which could run code: refused",
        "model.h5": "expected .pth, .pt, .pth.tar, .safetensors or .npz",
    }.items():
        with pytest.raises(HRNetError, match=message):
            import_checkpoint(tmp_path / name, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_exports_that_cannot_be_are_refused(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    run, _ = import_checkpoint(written(tmp_path / "given.npz", checkpoint(micro("pose"))), tmp_path / "run")
    with pytest.raises(HRNetError, match="no layout named 'timm'"):
        export_run(run, tmp_path / "out.npz", "timm")
    with pytest.raises(HRNetError, match=r"ends in \.safetensors, \.npz or \.pth"):
        export_run(run, tmp_path / "out.h5")


def test_pytorch_files(micro: Micro, checkpoint: Make, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    arrays = checkpoint(micro("pose"))
    tensors = {f"module.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"epoch": 7, "state_dict": tensors, "perf": 0.7}, tmp_path / "checkpoint.pth.tar")
    run, report = import_checkpoint(tmp_path / "checkpoint.pth.tar", tmp_path / "run")
    assert (report.missing, report.unexpected) == ((), ())
    export_run(run, tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert all(torch.equal(back[name], torch.from_numpy(array)) for name, array in arrays.items())

    torch.save({"state_dict": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(HRNetError, match=r"evil.pth holds more than arrays .*refused"):
        read_checkpoint(tmp_path / "evil.pth")
    whole = (tmp_path / "back.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps([1, 2, 3]))
    for name in ("cut.pth", "pickle.pth"):
        with pytest.raises(HRNetError, match=f"{name} (is damaged|holds no state dict)"):
            read_checkpoint(tmp_path / name)


def test_pytorch_files_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "model.pth").write_bytes(b"PK")
    with pytest.raises(HRNetError, match=r"takes PyTorch: pip install 'hrnet-tf\[torch\]'"):
        read_checkpoint(tmp_path / "model.pth")
