"""Pose in numpy and a TFLite runtime, without hrnet_tf: what to copy to a Raspberry Pi, or to port to another language.

    python pose_in_numpy.py model.tflite vectors.json photo.jpg [x y width height]

`hrnet vectors` writes vectors.json for a model, and the files of every step that a port is checked with. This port is for models
that were not trained with UDP, and whose heatmaps are decoded here.
"""

import json
import sys
from pathlib import Path

import numpy as np


def box_matrix(box, contract):
    """From a box (x, y, width, height) to the matrix (2, 3) from image to crop pixels."""
    x, y, box_width, box_height = box
    height, width = contract["input"]["size"]
    extent = max(box_width, box_height * width / height) * contract["input"]["box_padding"]
    scale = width / extent
    center = np.array([x + box_width / 2, y + box_height / 2])
    return np.column_stack([scale * np.eye(2), np.array([width, height]) / 2 - scale * center])


def warp(image, matrix, size):
    """Cut a crop (height, width, 3) out of an image (H, W, 3), uint8: bilinear, black outside."""
    height, width = size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    x, y = np.tensordot(np.linalg.inv(matrix[:, :2]), np.stack([u, v]) - matrix[:, 2, None, None], 1)
    padded = np.pad(image, ((1, 2), (1, 2), (0, 0))).astype(np.float64)
    x, y = np.clip(x, -1, image.shape[1]) + 1, np.clip(y, -1, image.shape[0]) + 1
    left, top = x.astype(int), y.astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = padded[top, left] * (1 - fx) + padded[top, left + 1] * fx
    lower = padded[top + 1, left] * (1 - fx) + padded[top + 1, left + 1] * fx
    return np.rint(upper * (1 - fy) + lower * fy).astype(np.uint8)


def to_input(crop, contract):
    """From a crop (height, width, 3), uint8 RGB, to the input tensor (1, height, width, 3) as it is stored."""
    source = contract["input"]
    values = (crop / np.float32(255) - np.float32(source["mean"])) / np.float32(source["std"])
    if source["scale"]:
        limits = np.iinfo(source["dtype"])
        values = np.clip(np.rint(values / source["scale"]) + source["zero_point"], limits.min, limits.max)
    return values.astype(source["dtype"])[None]


def decode(stored, contract):
    """From the heatmaps (1, H, W, K) as they are stored to keypoints (K, 3): x and y in heatmap pixels, and score."""
    tensor, (_, height, width, joints) = contract["outputs"][0], stored.shape
    keypoints = np.zeros((joints, 3))
    for joint in range(joints):
        heatmap = stored[0, :, :, joint].astype(np.float64)
        y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
        score = (heatmap[y, x] - (tensor["zero_point"] or 0)) * (tensor["scale"] or 1)
        if score > 0:
            dx = dy = 0.0
            if 1 < x < width - 1 and 1 < y < height - 1:
                dx = np.sign(heatmap[y, x + 1] - heatmap[y, x - 1]) / 4
                dy = np.sign(heatmap[y + 1, x] - heatmap[y - 1, x]) / 4
            keypoints[joint] = x + dx, y + dy, score
        keypoints[joint, 2] = score
    return keypoints


def to_image(keypoints, matrix, contract):
    """From heatmap pixels to image pixels, both (K, 3)."""
    points = (keypoints[:, :2] + contract["decoding"]["offset"]) * contract["decoding"]["heatmap_pixel"]
    points = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return np.column_stack([points, keypoints[:, 2]])


def predict(interpreter, image, box, contract):
    """From an image (H, W, 3), uint8 RGB, and a box to keypoints (K, 3): x and y in image pixels, and score."""
    matrix = box_matrix(box, contract)
    stored = to_input(warp(image, matrix, contract["input"]["size"]), contract)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored)
    interpreter.invoke()
    heatmaps = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return to_image(decode(heatmaps, contract), matrix, contract)


def main():
    """Print the keypoints of a photo."""
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image

    model, vectors, photo, *box = sys.argv[1:]
    contract = json.loads(Path(vectors).read_text())
    image = np.asarray(Image.open(photo).convert("RGB"))
    interpreter = Interpreter(model)
    interpreter.allocate_tensors()
    box = [float(number) for number in box] or [0, 0, image.shape[1], image.shape[0]]
    for name, (x, y, score) in zip(contract["joints"], predict(interpreter, image, box, contract), strict=True):
        print(f"{name:20} {x:7.1f} {y:7.1f}  {score:.2f}")


if __name__ == "__main__":
    main()
