"""Test vectors for a port: every step from an image to keypoints, for a few instances, in files that any language reads.

vectors.json          the model's contract, and the cases with their numbers
README.md             the steps as formulas, with the numbers of this model
0/image.png           the image, RGB, upright
0/crop.png            the pixels that the network sees
0/input.bin           the input tensor as it is stored, row by row, little-endian
0/output_heatmaps.bin each output tensor likewise
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder, read_bytes, sha256, write_bytes, write_json, write_text
from mobile_eval.image.geometry import BOX_PADDING, UDP, Array, box_matrix, heatmap_pixel
from mobile_eval.image.image_file import BoxedItem, read_item
from mobile_eval.image.preprocess import warp_crop
from mobile_eval.keypoints.decode import keypoints_in_image
from mobile_eval.model.description import HEATMAPS, TensorFormat
from mobile_eval.progress import tracked
from mobile_eval.runtime.tflite_model import Stored, TFLiteModel
from mobile_eval.tasks.pose.predictions import check_finds_keypoints
from mobile_eval.typed import JsonObject
from mobile_eval.viz.cutout import encode_image

VECTORS_FILE = "vectors.json"
FORMAT_VERSION = 1


def write_vectors(
    model: TFLiteModel, instances: Sequence[BoxedItem], output: Path | str, *, progress: bool = False
) -> JsonObject:
    """Write test vectors of a model.

    Args:
        model: A pose or landmarks model.
        instances: Boxes in images.
        output: Folder to write. It must not exist, or be empty; it is written whole or not at all.
        progress: Whether to show progress.

    Returns:
        What `vectors.json` holds.

    Raises:
        HRNetError: The model finds no keypoints, there are no instances, an image cannot be read, or the folder has files.

    Example:
        >>> write_vectors(TFLiteModel("pose.tflite"), people[:3], "vectors")["cases"][0]["box"]  # doctest: +SKIP
        [81.0, 44.5, 120.0, 260.0]
    """
    output = Path(output)
    check_finds_keypoints(model)
    if not instances:
        raise HRNetError("`instances` must have at least one box, got none")
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise HRNetError(f"{output} exists already and is not empty: give another `output`")
    with complete_folder(output) as folder:
        cases = [
            _write_case(model, instance, folder, str(number))
            for number, instance in enumerate(tracked(instances, "vectors", len(instances), show=progress))
        ]
        vectors = {**contract(model), "cases": cases}
        write_json(folder / VECTORS_FILE, vectors)
        write_text(folder / "README.md", readme(vectors))
    return vectors


def contract(model: TFLiteModel) -> JsonObject:
    """Return all that a port needs to know about a pose or landmarks model, as plain data."""
    description, outputs = model.description, []
    stored = model.run(model.to_input(np.zeros((1, *model.input_size, 3), np.uint8)))
    for name, values in zip(model.output_names, stored, strict=True):
        is_real = values.dtype == np.dtype(description.output.tensor.dtype)  # locations are plain integers
        tensor = description.output.tensor if is_real else TensorFormat("float32")
        scale = {"scale": tensor.scale, "zero_point": tensor.zero_point}
        outputs.append({"name": name, "shape": list(values.shape), "dtype": values.dtype.name, **scale})
    return {
        "format_version": FORMAT_VERSION,
        "model": model.path.name,
        "sha256": sha256(read_bytes(model.path, "model")),
        "input": {**description.input.to_json(), "box_padding": BOX_PADDING},
        "outputs": outputs,
        "decoding": {"kind": description.output.kind, "geometry": description.input.geometry, **description.decoding},
        "joints": list(description.category.joints),
        "skeleton": [list(bone) for bone in description.category.skeleton],
    }


def _write_case(model: TFLiteModel, instance: BoxedItem, folder: Path, name: str) -> JsonObject:
    """Write the files of an instance, and return its numbers."""
    geometry = model.description.input.geometry
    image = read_item(instance)
    matrix = box_matrix(instance.box, model.input_size, geometry)
    crop = warp_crop(image, matrix, model.input_size)
    stored = model.to_input(crop[None])
    outputs = model.run(stored)
    decoded = model.decode(outputs)
    shifted = decoded.copy()
    shifted[..., :2] += model.description.output.offset
    pixel = heatmap_pixel(model.input_size, geometry, model.description.output.stride)
    keypoints = keypoints_in_image(shifted, matrix[None], pixel)[0]
    (folder / name).mkdir()
    for file, picture in (("image.png", image), ("crop.png", crop)):
        write_bytes(folder / name / file, encode_image(picture, ".png"))
    files = {"input": "input.bin", **{output: f"output_{output}.bin" for output in model.output_names}}
    for file, values in zip(files.values(), [stored, *outputs], strict=True):
        write_bytes(folder / name / file, _little_endian(values))
    return {
        "folder": name,
        "image_size": list(image.shape[:2]),
        "box": [float(number) for number in instance.box],
        "matrix": matrix.tolist(),
        "files": files,
        "heatmap_keypoints": decoded[0].tolist(),
        "keypoints": keypoints.tolist(),
    }


def _little_endian(values: Stored) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()


def read_tensor(folder: Path | str, case: Mapping[str, object], name: str, vectors: JsonObject) -> NDArray[np.generic]:
    """Read a tensor of a case.

    Args:
        folder: The folder of the vectors.
        case: The case, an entry of "cases".
        name: "input", or the name of an output.
        vectors: What `vectors.json` holds.

    Returns:
        The tensor as it is stored, with its shape.
    """
    if name == "input":
        dtype, shape = vectors["input"]["dtype"], [1, *vectors["input"]["size"], 3]
    else:
        [entry] = [entry for entry in vectors["outputs"] if entry["name"] == name]
        dtype, shape = entry["dtype"], entry["shape"]
    files: Mapping[str, str] = case["files"]  # type: ignore[assignment]
    data = read_bytes(Path(folder) / str(case["folder"]) / files[name], "tensor")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def largest_difference(keypoints: Array, expected: Array, least_score: float = 0.0) -> float:
    """Return the largest distance between the keypoints of a port and those of a case, in image pixels.

    Args:
        keypoints: Keypoints (K, 3) of the port: x, y and score.
        expected: Keypoints (K, 3) of the case.
        least_score: Score below which a keypoint does not count: where the network sees nothing, a rounding error moves the
            maximum anywhere.
    """
    counted = expected[:, 2] > least_score
    distances = np.linalg.norm(keypoints[counted, :2] - expected[counted, :2], axis=1)
    return float(distances.max(initial=0.0))


README = """# Test vectors of {model}

A port is right if each step gives what the files of each case hold. `vectors.json` has every number at full precision.

## 1. Box to matrix

Extend the box (x, y, w, h) around its center to the aspect ratio {width}:{height}, and multiply both sides by {padding:g}:
`extent = (max(w, h * {width} / {height}), max(h, w * {height} / {width})) * {padding:g}`.

{matrix}

## 2. Crop

Bilinear, black outside. Crop pixel (u, v) is image pixel (x, y) with `(u, v) = matrix * (x, y, 1)`; centers of pixels have
whole coordinates. OpenCV's `warpAffine` made `crop.png`; its fixed-point weights differ from exact ones by a few of 255.

## 3. Input tensor

{input_shape} {input_type}, RGB. `value = (byte / 255 - mean) / std` with mean {mean} and std {std}{quantized}.

## 4. Run

{outputs}

## 5. Decode

{decoding}

## 6. Heatmap to image

`(u, v) = ((x, y) + {offset:g}) * ({pixel[0]:g}, {pixel[1]:g})`, then the inverse of the matrix of step 1.

The joints, in order: {joints}. `skeleton` in vectors.json has pairs of their positions in this order, counted from 0.
"""
STANDARD_MATRIX = (
    """`scale = {width} / extent_x`, the same in x and y. The matrix maps the center of the box to ({x:g}, {y:g})."""
)
UDP_MATRIX = """`scale = ({last_x} / extent_x, {last_y} / extent_y)`: the edges of the extended box become the centers of the
outermost pixels. The matrix maps the center of the box to ({x:g}, {y:g})."""
IN_GRAPH = "The graph decodes: locations are x and y in quarters of a heatmap pixel, and scores belong to them."
UDP_DECODING = """The maximum of each heatmap, moved by one Newton step on the logarithm of the blurred map (arXiv 1911.07524).
Its value is the score. Without a positive score the position is (0, 0)."""
QUARTER_DECODING = """The maximum (x, y) of each heatmap, the first one of several. If `1 < x < width - 1` and
`1 < y < height - 1`, move x by a quarter pixel towards the higher of its two neighbors in x, and y likewise; not if these are
equal. The maximum is the score. Without a positive score the position is (0, 0)."""


def readme(vectors: JsonObject) -> str:
    """Return the steps from an image to keypoints as text, with the numbers of the model."""
    source, decoding = vectors["input"], vectors["decoding"]
    height, width = source["size"]
    is_udp = decoding["geometry"] == UDP
    last_x, last_y = width - 1, height - 1
    x, y = (last_x / 2, last_y / 2) if is_udp else (width / 2, height / 2)
    matrix = (UDP_MATRIX if is_udp else STANDARD_MATRIX).format(width=width, last_x=last_x, last_y=last_y, x=x, y=y)
    steps = (UDP_DECODING if is_udp else QUARTER_DECODING) if decoding["kind"] == HEATMAPS else IN_GRAPH
    return README.format(
        model=vectors["model"],
        width=width,
        height=height,
        padding=source["box_padding"],
        matrix=matrix,
        input_shape=_shape([1, height, width, 3]),
        input_type=_stored(source),
        mean=source["mean"],
        std=source["std"],
        quantized=", then `stored = round(value / scale) + zero_point`, clipped to the type" if source["scale"] else "",
        outputs="\n".join(f"- `{entry['name']}`: {_shape(entry['shape'])} {_stored(entry)}" for entry in vectors["outputs"]),
        decoding=steps,
        offset=decoding["offset"],
        pixel=decoding["heatmap_pixel"],
        joints=", ".join(vectors["joints"]),
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _stored(entry: JsonObject) -> str:
    scale = f", value = {entry['scale']!r} * (stored - {entry['zero_point']})" if entry.get("scale") else ""
    return f"{entry['dtype']}{scale}"
