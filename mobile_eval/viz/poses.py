"""Keypoints and skeletons: as SVG over a cutout, for reports, and drawn into images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mobile_eval.datasets.coco.categories import KeypointCategory
from mobile_eval.image.geometry import Array, Image
from mobile_eval.viz.cutout import Cutout
from mobile_eval.viz.masks import class_colors
from mobile_eval.viz.svg import element

LEFT_COLOR, RIGHT_COLOR, CENTER_COLOR, WRONG_COLOR = "#39b6ff", "#ff8b3d", "#7be08a", "#ff2d55"
HALO = "#10151d"
DRAWN_SCORE = 0.2  # keypoints with a lower score are faint in SVG, and not drawn into images
FAINT_OPACITY = 0.35


def joint_colors(category: KeypointCategory) -> list[str]:
    """Return a color for each keypoint: blue for left, orange for right, green for the others."""
    colors = [CENTER_COLOR] * len(category.joints)
    for left, right in category.flip_pairs or ():
        colors[left], colors[right] = LEFT_COLOR, RIGHT_COLOR
    return colors


def bone_colors(category: KeypointCategory) -> list[str]:
    """Return a color for each bone: that of its ends, or green if they differ."""
    colors = joint_colors(category)
    return [colors[first] if colors[first] == colors[second] else CENTER_COLOR for first, second in category.skeleton]


def skeleton_svg(keypoints: Array, category: KeypointCategory, cutout: Cutout, wrong: NDArray[np.bool_] | None = None) -> str:
    """Draw a skeleton over a cutout.

    Args:
        keypoints: Keypoints (K, 3): x and y in image pixels, and visibility or score.
        category: Names, bones and sides of the keypoints.
        cutout: The part of the image.
        wrong: Which keypoints (K,) get a red ring.

    Returns:
        SVG elements.
    """
    points = _points_in_cutout(keypoints, cutout)
    opacities = np.where(keypoints[:, 2] <= 0, 0.0, np.where(keypoints[:, 2] > DRAWN_SCORE, 1.0, FAINT_OPACITY))
    parts = _bones_svg(points, opacities, category)
    colors = joint_colors(category)
    for joint, (name, (x, y)) in enumerate(zip(category.joints, points, strict=True)):
        if opacities[joint] > 0:
            title = f"{name.replace('_', ' ')}, {keypoints[joint, 2]:.2f}"
            center = {"cx": float(x), "cy": float(y)}
            if wrong is not None and wrong[joint]:
                parts.append(element("circle", {**center, "r": 7.5, "fill": "none", "stroke": WRONG_COLOR, "stroke-width": 2.5}))
            dot = {**center, "r": 3.5, "fill": colors[joint], "stroke": HALO, "opacity": float(opacities[joint])}
            parts.append(element("circle", dot, title=title))
    return "".join(parts)


def _bones_svg(points: Array, opacities: Array, category: KeypointCategory) -> list[str]:
    parts = []
    for colors, width in (([HALO] * len(category.skeleton), 4.5), (bone_colors(category), 2.5)):
        for (first, second), color in zip(category.skeleton, colors, strict=True):
            opacity = min(opacities[first], opacities[second])
            if opacity > 0:
                (x1, y1), (x2, y2) = points[first].tolist(), points[second].tolist()
                stroke = {"stroke": color, "stroke-width": width, "stroke-linecap": "round", "opacity": float(opacity)}
                parts.append(element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, **stroke}))
    return parts


def points_svg(keypoints: Array, category: KeypointCategory, cutout: Cutout) -> str:
    """Draw keypoints (K, 3) in image pixels as small dots over a cutout, where their visibility or score is above 0."""
    points = _points_in_cutout(keypoints, cutout)
    parts = []
    for name, (x, y), score in zip(category.joints, points, keypoints[:, 2], strict=True):
        if score > 0:
            dot = {"cx": float(x), "cy": float(y), "r": 1.8, "fill": CENTER_COLOR, "stroke": HALO, "stroke-width": 0.6}
            parts.append(element("circle", dot, title=name.replace("_", " ")))
    return "".join(parts)


def _points_in_cutout(keypoints: Array, cutout: Cutout) -> Array:
    """Return the points (K, 2) of keypoints (K, 3) in pixels of the cutout, whose corner is at 0."""
    return np.asarray((keypoints[:, :2] + 0.5 - cutout.origin) * cutout.scale, np.float64)


def draw_skeleton(image: Image, keypoints: Array, category: KeypointCategory, min_score: float = DRAWN_SCORE) -> Image:
    """Draw a skeleton into a copy of an image.

    Args:
        image: Image (H, W, 3), RGB.
        keypoints: Keypoints (K, 3): x, y and score.
        category: Bones and sides of the keypoints.
        min_score: Keypoints are drawn if their score is higher.
    """
    drawn = image.copy()
    confident = keypoints[:, 2] > min_score
    extent = np.ptp(keypoints[confident, :2], axis=0).max() if confident.any() else 0
    thickness = max(2, round(float(extent) / 80))
    for halo in (2, 0):
        for (first, second), color in zip(category.skeleton, bone_colors(category), strict=True):
            if confident[first] and confident[second]:
                ends = (_pixel(keypoints[first]), _pixel(keypoints[second]))
                cv2.line(drawn, *ends, _rgb(HALO if halo else color), thickness + halo, cv2.LINE_AA)
    for joint, color in enumerate(joint_colors(category)):
        if confident[joint]:
            cv2.circle(drawn, _pixel(keypoints[joint]), round(thickness * 1.4) + 1, _rgb(HALO), -1, cv2.LINE_AA)
            cv2.circle(drawn, _pixel(keypoints[joint]), round(thickness * 1.4), _rgb(color), -1, cv2.LINE_AA)
    return drawn


def draw_identity(image: Image, box: Array, identity: int) -> Image:
    """Write an identity at the top of a box (x, y, width, height) into a copy of an image (H, W, 3), in its color."""
    drawn = image.copy()
    color = class_colors(identity + 1)[identity].tolist()
    corner = (max(round(float(box[0])), 0), max(round(float(box[1])), 0))
    (width, height), _ = cv2.getTextSize(str(identity), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    cv2.rectangle(drawn, corner, (corner[0] + width + 4, corner[1] + height + 6), color, -1)
    place = (corner[0] + 2, corner[1] + height + 3)
    cv2.putText(drawn, str(identity), place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _rgb(HALO), 1, cv2.LINE_AA)
    return drawn


def _pixel(keypoint: Array) -> tuple[int, int]:
    return round(float(keypoint[0])), round(float(keypoint[1]))


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
