"""Bad input of the commands that need TensorFlow: one line of error, exit code 2, and no output."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path

import pytest

from hrnet_tf.models.build import build_model
from hrnet_tf.runs.ranking import Ranking, save_ranking
from hrnet_tf.runs.run import Run, save_run
from hrnet_tf.runs.weights import model_weights, save_weights
from hrnet_tf.spec.network import HRNetSpec
from tests.support.program import Completed, Hrnet
from training.config import TrainingConfig


@pytest.fixture(scope="module")
def stored(spec: HRNetSpec, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights and a ranking."""
    category = json.loads(config.data.train.path("annotations").read_text())["categories"][0]
    run = Run(tmp_path_factory.mktemp("stored") / "run", "train", spec, category, config.to_json())
    save_run(run)
    save_weights(run.weights_path, model_weights(build_model(spec)))
    scores = {"leave-one-out": dict.fromkeys(spec.links, 1.0)}
    save_ranking(run.path, Ranking(spec, 24, 0, scores, {"leave-one-out": None}, {}))
    return run.path


@pytest.fixture
def trained(stored: Path, tmp_path: Path) -> Path:
    """A copy of the run, which a test may damage."""
    return Path(shutil.copytree(stored, tmp_path / "run"))


def error_line(ended: Completed) -> str:
    """The only line on stderr of a command that ended with exit code 2."""
    assert ended.code == 2
    [line] = ended.err.strip().splitlines()
    return line


def data(drawn: Path, annotations: Path | None = None) -> str:
    return f"--train-annotations {annotations or drawn / 'person_keypoints_train.json'} --images {drawn / 'images'}"


TRAIN = "train pose-small-v1 --input-size 64x64 --epochs 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train pose-w99 {data} --output {out}", "'pose-w99'"),
        ("train pose-small-v1 {data} --input-size 100x64 --output {out}", "multiples of 32"),
        (
            "train pose-small-v1 {data} --input-size big --output {out}",
            "must be HEIGHTxWIDTH in pixels, such as 256x192, got 'big'",
        ),
        (TRAIN + " {data} --batch-size 5000 --output {out}", "give a smaller --batch-size"),
        (
            "train pose-w32 {data} --epochs 30 --output {out}",
            "170, 200 for 30 epochs",
        ),
        (
            TRAIN + " {data} --recipe big --output {out}",
            "'big'; there are coco, coco-384x288, ",
        ),
        (TRAIN + " {data} --recipe {drawn}/none.yaml --output {out}", "none.yaml: No such file"),
        (
            TRAIN + " {data} --lr-milestones late --output {out}",
            "got 'late'",
        ),
        (TRAIN + " {data} --targets exact --output {out}", "targets must be one of official, dark, udp, got 'exact'"),
        (TRAIN + " {data} --loss l1 --output {out}", "loss must be one of mse, ohkm, got 'l1'"),
        (TRAIN + " {data} --flip-probability 3 --output {out}", "flip-probability must be between 0 and 1, got 3"),
        (TRAIN + " {data} --learning-rate 0 --output {out}", "learning-rate must be above 0"),
        (TRAIN + " --train-annotations {drawn}/none.json --images {drawn}/images --output {out}", "none.json: No such file"),
        (TRAIN + " --train-annotations {drawn}/person_keypoints_val.json --images {drawn}/no --output {out}", "does not exist"),
        ("rank {drawn} --annotations {drawn}/person_keypoints_val.json --images {drawn}/images", "is not a run folder"),
        ("prune {run} {data} --keep-macs 0.01 --output {out}", "multiply-adds, not 0.01: one link must stay; with --blocks"),
        ("prune {run} {data} --keep-links 0.01 --output {out}", "links, not 0.01"),
        (
            "prune {run} {data} --output {out}",
            "--keep-latency, --keep-macs, --keep-links, --max-drop; got none",
        ),
        ("prune {run} {data} --keep-macs 0.5 --max-drop 0.1 --output {out}", "got --keep-macs and --max-drop"),
        ("prune {run} {data} --keep-latency 7 --output {out}", "--keep-latency must be between 0 and 1, got 7"),
        ("prune {run} {data} --keep-macs 0.9 --blocks --output {out}", "/run --blocks`"),
        ("prune {run} {data} --keep-macs 0.9 --method taylor --output {out}", "not ranked by 'taylor', only by leave-one-out"),
        (
            "prune {run} {data} --keep-macs 0.9 --epochs 1 --rounds 2 --output {out}",
            "at least --rounds, 2, got 1",
        ),
        ("prune {run} {data} --max-drop 0.1 --rounds 2 --output {out}", "--rounds 1, got 2"),
        ("prune {run} {data} --keep-macs 0.9", "give --output"),
        ("prune {run} {data} --keep-latency 0.9 --profile {run}/spec.json --output {out}", "spec.json: not a profile"),
        ("prune {run} {data} --keep-latency 0.9 --profile {drawn}/no.json --output {out}", "no.json: No such file"),
        ("rank {run} --annotations {drawn}/person_keypoints_val.json --images {drawn}/images --method luck", "got 'luck'"),
        ("build pose-w32 --links-from {run} --output {out}", "pose-w32"),
        ("build simple-baseline-r50 --links-from {run} --output {out}", "simple-baseline-r50 has no fusion links"),
        ("train pose-small-v1 {data} --links-from {run} --width-like {run} --output {out}", "leave --links-from out"),
        (TRAIN + " {data} --link-dropout 1 --output {out}", "link-dropout must be at least 0 and below 1, got 1"),
        ("study --preset huge --output {out}", "'huge'"),
        ("study --preset lspet --output {out}", "--preset lspet"),
        ("study --images {drawn}/images --output {out}", "data need all of --train-annotations"),
        ("study --hold-out 1.5 --output {out}", "--hold-out must be between 0 and 1, got 1.5"),
        ("study --precision float8 --output {out}", "'float8'"),
        ("study --executor condor --output {out}", "'condor'"),
        ("study --output {out} --collect", "no finished arm"),
        (
            "data split {drawn}/person_keypoints_train.json --fraction 2 --output {out}",
            "--fraction must be between 0 and 1, got 2",
        ),
        (
            "restore {drawn}/no.tflite --annotations {drawn}/person_keypoints_val.json --images {drawn}/images --output {out}",
            "cannot read",
        ),
        ("convert {run} --format int4 --output {out}", "got 'int4'"),
        ("convert {run} --input-type rgb --output {out}", "got 'rgb'"),
        ("convert {run} --quantization-recipe {drawn}/none.json --output {out}", "none.json"),
        ("convert {run} --format float16 --debug-quantization --output {out}", "needs --format int8, got float16"),
        ("convert {run} --output {drawn}", "it is a folder; give the name of a file"),
        ("target edgetpu {drawn}/person_keypoints_val.json", "is not a TFLite model"),
        ("target ethosu {drawn}/person_keypoints_val.json", "is not a TFLite model"),
        ("target ethosu {drawn}/person_keypoints_val.json --accelerator npu", "got 'npu'"),
        (
            "convert {run} --annotations {drawn}/person_keypoints_val.json --output {out}",
            "--annotations and --images",
        ),
        (TRAIN + " {data} --masks {drawn} --output {out}", "--masks cannot be used for pose"),
        (
            TRAIN + " --images {drawn}/images --output {out}",
            "pose needs --train-annotations and --images: ",
        ),
        (TRAIN + " {data} --val-images {drawn}/images --output {out}", "--val-images needs --val-annotations"),
        ("train simple-baseline-r50 {data} --width 8 --output {out}", "simple-baseline-r50"),
    ],
)
def test_error_is_one_line_with_exit_code_2(
    command: str,
    message: str,
    trained: Path,
    drawn: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    out = tmp_path / "out"
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    line = error_line(hrnet(command.format(data=data(drawn), drawn=drawn, run=trained, out=out)))
    assert line.startswith("error: ")
    assert message in line
    assert not out.exists()
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def changed_annotations(drawn: Path, tmp_path: Path, **change: object) -> Path:
    """The training annotations with a change to their first annotation."""
    coco = json.loads((drawn / "person_keypoints_train.json").read_text())
    coco["annotations"][0] |= change
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [9999.0, 5.0, 2] * 17}, "lies outside the 160x192 image"),
        ({"keypoints": [5.0, 5.0, 2] * 14}, "42 keypoint numbers, expected 3 x 17"),
        ({"bbox": [500.0, 5.0, 10.0, 30.0], "keypoints": [5.0, 5.0, 2] * 17}, "lies outside the 160x192 image"),
        ({"bbox": [5.0, 5.0, 0.0, 3.0], "keypoints": [5.0, 5.0, 2] * 17}, "has no area"),
    ],
)
def test_bad_annotations(
    change: dict[str, object],
    message: str,
    drawn: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    path = changed_annotations(drawn, tmp_path, **change)
    line = error_line(hrnet(f"{TRAIN} {data(drawn, path)} --output {tmp_path / 'out'}"))
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_run_with_other_keypoints(trained: Path, drawn: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    description = json.loads((trained / "run.json").read_text())
    description["category"]["keypoints"][0] = "chin"
    (trained / "run.json").write_text(json.dumps(description))
    line = error_line(hrnet(f"quantize {trained} {data(drawn)} --output {tmp_path / 'out'}"))
    assert "17 keypoints of 'person'" in line
    assert not (tmp_path / "out").exists()


def test_damaged_weights(trained: Path, drawn: Path, hrnet: Hrnet) -> None:
    weights = trained / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    line = error_line(hrnet(f"convert {trained} --format float32 --output {trained / 'm.tflite'}"))
    assert "weights.safetensors is damaged" in line
    assert not (trained / "m.tflite").exists()


@pytest.mark.slow
def test_file_size_limit(drawn: Path, tmp_path: Path, hrnet: Hrnet) -> None:
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # smaller than the weights, larger than the JSON files
    try:
        line = error_line(hrnet(f"{TRAIN} {data(drawn)} --batch-size 8 --modules 1 --width 4 --output {out}"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in line
    assert "weights.safetensors: File too large" in line
    assert not out.exists()  # the command can be repeated


DETECT = "train detect-small-v1 --input-size 64x96 --epochs 1 --batch-size 4"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (DETECT + " --images {shapes}/images --output {out}", "detection needs --train-annotations and --images: "),
        (DETECT + " {boxes} --masks {shapes} --output {out}", "--masks cannot be used for detection"),
        (
            DETECT + " --train-annotations {drawn}/person_keypoints_train.json --images {drawn}/images --output {out}",
            "person_keypoints_train.json is a COCO keypoint file; detection takes a COCO instances file",
        ),
        (TRAIN + " {boxes} --output {out}", "train.json has no category with keypoints"),
        (DETECT + " {boxes} --norm batch --output {out}", "norm must be one of frozen, updated, got 'batch'"),
        (
            DETECT + " {boxes} --recipe coco --output {out}",
            "named 'coco'; there are centers, coco-1x, coco-2x, small",
        ),
        (DETECT + " {boxes} --input-size 100x64 --output {out}", "multiples of 32"),
        (DETECT + " --train-annotations {flat} --images {shapes}/images --output {out}", "bbox [5, 5, 0, 9] has no area"),
        (
            DETECT + " --train-annotations {foreign} --images {shapes}/images --output {out}",
            "category_id 5 is not among",
        ),
    ],
)
def test_bad_input_of_detection(
    command: str,
    message: str,
    drawn: Path,
    shapes: Path,
    tmp_path: Path,
    hrnet: Hrnet,
) -> None:
    content = json.loads((shapes / "train.json").read_text())
    first, *others = content["annotations"]
    annotations = {
        "flat": [{**first, "bbox": [5, 5, 0, 9]}, *others],
        "foreign": [{**first, "category_id": 5}, *others],
    }
    for name, entries in annotations.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({**content, "annotations": entries}))
    files = {name: tmp_path / f"{name}.json" for name in annotations}
    boxes, out = f"--train-annotations {shapes}/train.json --images {shapes}/images", tmp_path / "out"
    line = error_line(hrnet(command.format(boxes=boxes, shapes=shapes, drawn=drawn, out=out, **files)))
    assert message in line
    assert not out.exists()
