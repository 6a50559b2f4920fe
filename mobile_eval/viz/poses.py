"""A person with a skeleton, as SVG over the photograph (for reports) and drawn into the image (for files)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.errors import HRNetError
from mobile_eval.image.geometry import Array
from mobile_eval.viz.svg import element

LEFT_COLOR, RIGHT_COLOR, CENTER_COLOR, WRONG_COLOR = "#39b6ff", "#ff8b3d", "#7be08a", "#ff2d55"
HALO = "#10151d"
DRAWN_SCORE = 0.2  # joints the model is less sure of are drawn faintly, or not at all into files
PICTURE_HEIGHT, MOST_WIDTH = 216, 168
JPEG_QUALITY = 85
MARGIN = 0.15  # of the box, on each side


@dataclass(frozen=True)
class Cutout:
    """A part of a photograph as a JPEG data URI, and where it was: `origin` (x, y) in the image, `scale` cutout / image."""

    uri: str
    width: int
    height: int
    origin: tuple[float, float]
    scale: float


def cut_out(image: NDArray[np.uint8], box: tuple[float, float, float, float]) -> Cutout:
    """The person in `box` (x, y, width, height) with a margin, scaled for a report; `image` (H, W, 3) RGB."""
    x, y, width, height = box
    around = MARGIN * max(width, height)
    left, top = max(int(x - around), 0), max(int(y - around), 0)
    right, bottom = min(int(np.ceil(x + width + around)), image.shape[1]), min(int(np.ceil(y + height + around)), image.shape[0])
    if right <= left or bottom <= top:
        raise HRNetError(f"box {list(box)} lies outside its {image.shape[1]}x{image.shape[0]} image")
    part = image[top:bottom, left:right]
    scale = min(PICTURE_HEIGHT / part.shape[0], MOST_WIDTH / part.shape[1])
    size = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
    resized = cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    uri = f"data:image/jpeg;base64,{base64.b64encode(encode_image(np.asarray(resized, np.uint8), '.jpg')).decode('ascii')}"
    return Cutout(uri, size[0], size[1], (left, top), scale)


def encode_image(image: NDArray[np.uint8], suffix: str) -> bytes:
    """(H, W, 3) RGB as the bytes of a .jpg or .png file."""
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise HRNetError(f"opencv cannot write images as {suffix!r}; use .jpg or .png")
    return bytes(data.tobytes())


def joint_colors(category: KeypointCategory) -> list[str]:
    """Of each joint: left blue, right orange, the rest green."""
    colors = [CENTER_COLOR] * len(category.joints)
    for left, right in category.flip_pairs or ():
        colors[left], colors[right] = LEFT_COLOR, RIGHT_COLOR
    return colors


def bone_colors(category: KeypointCategory) -> list[str]:
    """Of each bone: that of the side it is on; green where its ends differ."""
    colors = joint_colors(category)
    return [colors[first] if colors[first] == colors[second] else CENTER_COLOR for first, second in category.skeleton]


def skeleton_svg(keypoints: Array, category: KeypointCategory, cutout: Cutout, wrong: NDArray[np.bool_] | None = None) -> str:
    """Keypoints (K, 3) in image pixels (x, y, visibility or score) as SVG over a cutout; `wrong` (K,) get a red ring."""
    points = (keypoints[:, :2] + 0.5 - cutout.origin) * cutout.scale
    strength = np.where(keypoints[:, 2] <= 0, 0.0, np.where(keypoints[:, 2] > DRAWN_SCORE, 1.0, 0.35))
    parts = []
    for colors, width in (([HALO] * len(category.skeleton), 4.5), (bone_colors(category), 2.5)):
        for (first, second), color in zip(category.skeleton, colors, strict=True):
            opacity = min(strength[first], strength[second])
            if opacity > 0:
                ends = {"x1": points[first, 0], "y1": points[first, 1], "x2": points[second, 0], "y2": points[second, 1]}
                stroke = {"stroke": color, "stroke-width": width}
                parts.append(element("line", {**_plain(ends), **stroke, "stroke-linecap": "round", "opacity": float(opacity)}))
    dots = joint_colors(category)
    for joint, (name, (x, y)) in enumerate(zip(category.joints, points, strict=True)):
        if strength[joint] > 0:
            title = f"{name.replace('_', ' ')}, {keypoints[joint, 2]:.2f}"
            place = _plain({"cx": x, "cy": y})
            dot = {**place, "r": 3.5, "fill": dots[joint], "stroke": HALO, "opacity": float(strength[joint])}
            if wrong is not None and wrong[joint]:
                parts.append(element("circle", {**place, "r": 7.5, "fill": "none", "stroke": WRONG_COLOR, "stroke-width": 2.5}))
            parts.append(element("circle", dot, title=title))
    return "".join(parts)


def points_svg(keypoints: Array, category: KeypointCategory, cutout: Cutout) -> str:
    """Keypoints (K, 3) in image pixels (x, y, visibility or score) as small dots over a cutout, where above 0."""
    points = (keypoints[:, :2] + 0.5 - cutout.origin) * cutout.scale
    parts = []
    for name, (x, y), score in zip(category.joints, points, keypoints[:, 2], strict=True):
        if score > 0:
            dot = {**_plain({"cx": x, "cy": y}), "r": 1.8, "fill": CENTER_COLOR, "stroke": HALO, "stroke-width": 0.6}
            parts.append(element("circle", dot, title=name.replace("_", " ")))
    return "".join(parts)


def _plain(values: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def draw_skeleton(image: NDArray[np.uint8], keypoints: Array, category: KeypointCategory) -> NDArray[np.uint8]:
    """A copy of `image` (H, W, 3) RGB with the skeleton of keypoints (K, 3) drawn in; joints of low score are left out."""
    drawn = image.copy()
    sure = keypoints[:, 2] > DRAWN_SCORE
    size = np.ptp(keypoints[sure, :2], axis=0).max() if sure.any() else 0
    thick = max(2, round(float(size) / 80))
    for halo in (2, 0):
        for (first, second), color in zip(category.skeleton, bone_colors(category), strict=True):
            if sure[first] and sure[second]:
                ends = (_pixel(keypoints[first]), _pixel(keypoints[second]))
                cv2.line(drawn, *ends, _rgb(HALO if halo else color), thick + halo, cv2.LINE_AA)
    for joint, color in enumerate(joint_colors(category)):
        if sure[joint]:
            cv2.circle(drawn, _pixel(keypoints[joint]), round(thick * 1.4) + 1, _rgb(HALO), -1, cv2.LINE_AA)
            cv2.circle(drawn, _pixel(keypoints[joint]), round(thick * 1.4), _rgb(color), -1, cv2.LINE_AA)
    return drawn


def _pixel(keypoint: Array) -> tuple[int, int]:
    return round(float(keypoint[0])), round(float(keypoint[1]))


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
