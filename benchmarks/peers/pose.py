"""MoveNet Lightning int8 beside pose files of this package: PCK@0.1 in the same boxes, and processor time in turns.

    python benchmarks/peers/pose.py FILE.tflite ... --train TRAIN.json --val VAL.json --images IMAGES [--json FILE]

MoveNet is pretrained, on other data. PCK is of the joints that it shares with the annotations (12 of LSPET's 14). It gets the
square around the longer side of each box, larger by a padding factor. The factor is the best one for people of the training set,
or `--padding`. Differences have 95 % intervals, paired over people. Times are processor time of one thread, which other programs
change less than the latency; on an idle machine it is the latency (`hrnet benchmark`).

The file (2.9 MB, Apache License 2.0, public test data of google-coral) is downloaded to `--movenet` if it is not there.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from mobile_eval.benchmark.bootstrap import Interval, difference_of_scores
from mobile_eval.benchmark.interleaved import BenchmarkResult
from mobile_eval.benchmark.latency import bench_interleaved
from mobile_eval.datasets.coco.keypoints import KeypointDataset, load_keypoint_dataset
from mobile_eval.errors import HRNetError
from mobile_eval.files import sha256, short_names, write_bytes, write_json
from mobile_eval.image.geometry import Array, Image, crop_matrix, expand_box
from mobile_eval.image.image_file import BoxedItem, read_item
from mobile_eval.image.prefetch import prefetch
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.keypoints.decode import keypoints_in_image
from mobile_eval.metrics.pck import correct_keypoints
from mobile_eval.progress import tracked
from mobile_eval.runtime.interpreter import invoke, make_interpreter
from mobile_eval.runtime.tflite_model import TFLiteModel
from mobile_eval.tasks.pose.evaluate import evaluate_pose
from mobile_eval.tasks.report import ratio

COMMIT = "104342d2d3480b3e66203073dac24f4e2dbb4c41"
URL = f"https://raw.githubusercontent.com/google-coral/test_data/{COMMIT}/movenet_single_pose_lightning_ptq.tflite"
SHA256 = "cd7cc22fa946e5d146a7b98d496853e1923e22828d3972d579973f27f91bb105"
SIDE = 192  # pixels of MoveNet Lightning's input
JOINTS: Sequence[str] = COCO_PERSON["keypoints"]
PADDINGS = (0.9, 1.0, 1.05, 1.1, 1.25, 1.4, 1.6)
Network = Callable[[Image], Array]  # crop (SIDE, SIDE, 3) -> (17, 3): y and x as fractions of the side, and score


def download(path: Path) -> None:
    """Download MoveNet's file, and check that it is the one that was measured."""
    try:
        with urllib.request.urlopen(URL) as response:
            data = response.read()
    except OSError as error:
        raise HRNetError(f"cannot download {URL} ({error}); give `movenet`, a copy of it") from error
    if sha256(data) != SHA256:
        raise HRNetError(f"{URL} has the SHA-256 {sha256(data)}, expected {SHA256}")
    write_bytes(path, data)


def load_movenet(path: Path) -> Network:
    """MoveNet's network on one thread."""
    interpreter = make_interpreter(path)
    tensors = *interpreter.get_input_details(), *interpreter.get_output_details()
    shapes = [tuple(map(int, tensor["shape"])) for tensor in tensors]
    if shapes != [(1, SIDE, SIDE, 3), (1, 1, len(JOINTS), 3)]:
        raise HRNetError(f"`movenet` must be MoveNet Lightning of a single pose: {path} has the tensors {shapes}")
    source, target = tensors

    def run(crop: Image) -> Array:
        interpreter.set_tensor(source["index"], crop[None].astype(source["dtype"]))
        invoke(interpreter, path)
        return interpreter.get_tensor(target["index"])[0, 0].astype(np.float64)

    return run


def square_crop(instance: BoxedItem, padding: float) -> tuple[Image, Array]:
    """The square around the longer side of a box, `padding` times as large, and the matrix (2, 3) from image to crop."""
    size = (SIDE, SIDE)
    matrix = crop_matrix(*expand_box(instance.box, size, padding), size)
    return warp_crop(read_item(instance), matrix, size), matrix


def predict(network: Network, instances: Sequence[BoxedItem], padding: float) -> Array:
    """Keypoints (N, 17, 3) of all instances: x and y in image pixels, and score."""
    crops = prefetch(partial(square_crop, padding=padding), instances)
    matrices, outputs = [], []
    for crop, matrix in tracked(crops, f"MoveNet, padding {padding:g}", total=len(instances)):
        matrices.append(matrix)
        outputs.append(network(crop)[:, [1, 0, 2]])
    return keypoints_in_image(np.stack(outputs), np.stack(matrices), pixel=SIDE)


def shared_joints(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices of the joints that the annotations share with MoveNet: in `names`, and in its outputs."""
    shared = [name for name in names if name in JOINTS]
    if not shared:
        raise HRNetError(f"the annotations have none of MoveNet's joints {', '.join(JOINTS)}: {', '.join(names)}")
    return list(map(names.index, shared)), list(map(JOINTS.index, shared))


def joint_counts(keypoints: Array, dataset: KeypointDataset) -> Array:
    """Numbers (N, 2) of correct and of labelled shared joints of each person, for predictions (N, shared, 3) of these."""
    truth = np.stack([instance.keypoints for instance in dataset.instances])[:, shared_joints(dataset.names)[0]]
    correct = correct_keypoints(keypoints, truth, [instance.box for instance in dataset.instances])
    return np.column_stack([correct.sum(axis=1), (truth[..., 2] > 0).sum(axis=1)]).astype(np.float64)


def movenet_counts(network: Network, dataset: KeypointDataset, padding: float) -> Array:
    return joint_counts(predict(network, dataset.instances, padding)[:, shared_joints(dataset.names)[1]], dataset)


def file_counts(path: Path, dataset: KeypointDataset) -> Array:
    keypoints = evaluate_pose(TFLiteModel(path), dataset, progress=True).keypoints
    return joint_counts(keypoints[:, shared_joints(dataset.names)[0]], dataset)


def score(counts: Array) -> float:
    """PCK over all people."""
    return float(ratio(counts.sum(axis=0)))


def padding_scores(network: Network, dataset: KeypointDataset) -> dict[float, float]:
    """PCK by padding factor."""
    return {padding: score(movenet_counts(network, dataset, padding)) for padding in PADDINGS}


def every(dataset: KeypointDataset, people: int) -> KeypointDataset:
    """About `people` instances, from all over the data set."""
    if people < 1:
        raise HRNetError(f"`train_people` must be at least 1, got {people}")
    return dataset.part(slice(None, None, max(len(dataset) // people, 1)))


@dataclass(frozen=True)
class Row:
    """A file's PCK, and its difference to MoveNet's with the 95 % interval; None for MoveNet."""

    name: str
    pck: float
    difference: float | None = None
    interval: Interval | None = None

    def line(self, times: BenchmarkResult, index: int) -> str:
        interval, ratio_interval = self.interval, times.ratio_interval(index)
        difference = f"{self.difference:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]" if interval else "–"
        milliseconds = f"{times[index].p50_ms:.2f} / {times[index].p90_ms:.2f}"
        ratios = f"{times.ratio(index):.3f} [{ratio_interval.low:.3f}, {ratio_interval.high:.3f}]" if ratio_interval else "1"
        return f"| {self.name} | {self.pck:.4f} | {difference} | {milliseconds} | {ratios} |"


def accuracy(counts: Mapping[str, Array]) -> list[Row]:
    """The rows of all files; the first one is MoveNet's."""
    (name, reference), *others = counts.items()
    intervals = {name: difference_of_scores(values, reference, ratio) for name, values in others}
    rows = [Row(name, score(values), score(values) - score(reference), intervals[name]) for name, values in others]
    return [Row(name, score(reference)), *rows]


def arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="Pose files whose joints are those of the annotations.")
    parser.add_argument("--val", required=True, help="COCO keypoint JSON of the validation set.")
    parser.add_argument("--images", required=True, help="Folder of the images.")
    padding = parser.add_mutually_exclusive_group(required=True)
    padding.add_argument("--train", help="COCO keypoint JSON of a training set, on which MoveNet's padding is chosen.")
    padding.add_argument("--padding", type=float, help="Side of MoveNet's crop in longer sides of the box.")
    parser.add_argument("--train-people", type=int, default=1000)
    parser.add_argument("--movenet", type=Path, default=Path("movenet_single_pose_lightning_ptq.tflite"))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    return parser, parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    if not options.movenet.exists():
        download(options.movenet)
    network, scores, padding = load_movenet(options.movenet), {}, options.padding
    if padding is None:
        people = every(load_keypoint_dataset(options.train, options.images), options.train_people)
        scores = padding_scores(network, people)
        padding = max(scores, key=lambda value: scores[value])
        listed = ", ".join(f"{value:g}: {pck:.4f}" for value, pck in scores.items())
        print(f"PCK@0.1 of MoveNet on {len(people)} training people by padding: {listed}")
    if not padding > 0:
        raise HRNetError(f"`padding` must be above 0, got {padding:g}")
    dataset, paths = load_keypoint_dataset(options.val, options.images), [options.movenet, *options.files]
    values = [movenet_counts(network, dataset, padding), *(file_counts(path, dataset) for path in options.files)]
    rows = accuracy(dict(zip(short_names(paths), values, strict=True)))
    times = BenchmarkResult(tuple(bench_interleaved(paths, rounds=options.rounds, progress=True, clock=time.thread_time)))
    print(f"{len(dataset)} people, {len(shared_joints(dataset.names)[0])} joints, padding {padding:g} for MoveNet")
    print(f"{times[0].runtime}, 1 thread, {times[0].after.processor}: {options.rounds} rounds")
    print("| file | PCK@0.1 | difference to MoveNet | processor time, p50 / p90 ms | ratio to MoveNet |\n|---|---|---|---|---|")
    for index, row in enumerate(rows):
        print(row.line(times, index))
    if options.json:
        results = {"padding": padding, "training_pck_by_padding": scores, "accuracy": list(map(dataclasses.asdict, rows))}
        write_json(options.json, {**results, "people": len(dataset), "processor_time": times.to_json()})


def main() -> None:
    parser, options = arguments()
    try:
        measure(options)
    except HRNetError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
