"""A random human figure in three dimensions: joint angles within anatomical limits, seen from any side.

Camera frame: x right, y down, z towards the viewer, in units of the body's height. A figure that faces the
viewer has its left side at positive x. A limb hangs along +y; rotations are named by what they do to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from hrnet_tf.spec.keypoint_categories import COCO_PERSON

Array = NDArray[np.float64]

JOINTS = tuple(COCO_PERSON["keypoints"])


class Point(IntEnum):
    """Rows of a figure: COCO's 17 joints in COCO's order, then what only drawing needs."""

    NOSE = 0
    LEFT_EYE = 1
    RIGHT_EYE = 2
    LEFT_EAR = 3
    RIGHT_EAR = 4
    LEFT_SHOULDER = 5
    RIGHT_SHOULDER = 6
    LEFT_ELBOW = 7
    RIGHT_ELBOW = 8
    LEFT_WRIST = 9
    RIGHT_WRIST = 10
    LEFT_HIP = 11
    RIGHT_HIP = 12
    LEFT_KNEE = 13
    RIGHT_KNEE = 14
    LEFT_ANKLE = 15
    RIGHT_ANKLE = 16
    LEFT_FINGERS = 17
    RIGHT_FINGERS = 18
    LEFT_TOES = 19
    RIGHT_TOES = 20
    NECK = 21
    HEAD = 22
    FACE = 23
    HAIR = 24
    HAIR_TIP = 25
    LEFT_MOUTH = 26
    RIGHT_MOUTH = 27
    COLLAR = 28
    BUCKLE = 29


HEAD_RADIUS = 0.068
# Places on the head in units of its radius: (to the left, down, forward).
_HEAD_PLACES = {
    Point.NOSE: (0.0, 0.12, 0.98), Point.LEFT_EYE: (0.36, -0.14, 0.82), Point.RIGHT_EYE: (-0.36, -0.14, 0.82),
    Point.LEFT_EAR: (0.95, 0.0, 0.0), Point.RIGHT_EAR: (-0.95, 0.0, 0.0), Point.FACE: (0.0, 0.12, 0.12),
    Point.HAIR: (0.0, -0.16, -0.24), Point.LEFT_MOUTH: (0.22, 0.52, 0.78), Point.RIGHT_MOUTH: (-0.22, 0.52, 0.78),
}  # fmt: skip
_ARM_STYLES = np.array([  # low and high of abduction, flexion, twist, elbow in degrees
    [(3, 30), (-30, 30), (-50, 30), (0, 70)],    # hanging
    [(40, 165), (-20, 25), (-90, 90), (0, 130)],  # to the side, raised
    [(0, 30), (30, 165), (-50, 30), (0, 130)],   # forward, up
    [(30, 60), (-25, 10), (-110, -80), (80, 120)],  # hand at the hip
])  # fmt: skip
_LEG_STYLES = np.array([  # low and high of abduction, flexion, twist, knee in degrees
    [(0, 10), (-8, 12), (-10, 25), (0, 12)],     # standing
    [(0, 10), (-30, 45), (-10, 15), (0, 65)],    # walking, running
    [(10, 45), (-10, 25), (-5, 35), (0, 40)],    # wide
    [(0, 25), (35, 100), (-10, 25), (30, 115)],  # raised, crouching
])  # fmt: skip
_LEG_CHANCE = ((0.85, 0.05, 0.1, 0.0), (0.2, 0.7, 0.0, 0.1), (0.2, 0.0, 0.8, 0.0), (0.35, 0.15, 0.1, 0.4))
DOWN = np.array([0.0, 1.0, 0.0])
_FORWARD = np.array([0.0, 0.0, 1.0])


def _flex(angle: float) -> Array:
    """Rotation (3, 3) by `angle` radians that swings a hanging limb forward."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _abduct(angle: float, side: int) -> Array:
    """Rotation (3, 3) that swings a hanging limb outwards; `side` is 1 for left, -1 for right."""
    cos, sin = np.cos(angle), side * np.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def _turn(angle: float) -> Array:
    """Rotation (3, 3) about the vertical axis that turns what faces the viewer to positive x."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _limb(angles: Array, side: int, bend: int) -> tuple[Array, Array]:
    """Frames (3, 3) of a limb's upper and lower part from abduction, flexion, twist and the hinge's angle (radians)."""
    upper = _abduct(angles[0], side) @ _flex(angles[1]) @ _turn(side * angles[2])
    return upper, upper @ _flex(bend * angles[3])


def _between(rng: np.random.Generator, low_high: Array) -> Array:
    """Angles in radians, uniform between bounds (N, 2) in degrees."""
    return np.asarray(np.radians(rng.uniform(low_high[:, 0], low_high[:, 1])), np.float64)


def _yaw(rng: np.random.Generator) -> float:
    """Draw the direction of view in radians: mostly front and back, sometimes sides, and anything between."""
    towards = rng.choice([0.0, 180.0, 90.0, -90.0], p=[0.45, 0.25, 0.15, 0.15])
    return float(np.radians(towards + rng.normal(0, 22)))


@dataclass(frozen=True)
class Posture:
    """Angles in radians and proportions of a figure.

    Attributes:
        stretch: Lengths (6,) relative to the average: trunk, upper arms, forearms, thighs, shins, head.
        roll: Lean of the figure to its side.
        tilt: Lean towards the viewer.
        yaw: Direction that it faces: 0 towards the viewer, a quarter turn towards positive x.
        trunk: Twist, bend and side bend (3,) of the trunk.
        head: Turn, nod and side bend (3,) of the head.
        arms: Abduction, flexion, twist and elbow (2, 4) of the left and the right arm.
        legs: Abduction, flexion, twist and knee (2, 4) of the left and the right leg.
    """

    stretch: Array
    roll: float
    tilt: float
    yaw: float
    trunk: Array
    head: Array
    arms: Array
    legs: Array


def random_posture(rng: np.random.Generator) -> Posture:
    """Draw a posture."""
    stretch = 1 + 0.07 * np.clip(rng.standard_normal(6), -2, 2)
    roll = np.radians(np.clip(rng.normal(0, 9), -30, 30))
    tilt, yaw = np.radians(rng.normal(0, 7)), _yaw(rng)
    trunk = np.array([np.radians(rng.normal(0, 10)), np.radians(rng.uniform(-35, 8)), rng.normal(0, 0.1)])
    head = np.radians(np.clip(rng.normal(0, (28, 12, 8)), (-70, -35, -20), (70, 35, 20)))
    leg_chance = _LEG_CHANCE[rng.choice(4, p=[0.4, 0.3, 0.15, 0.15])]
    arms, legs = np.zeros((2, 4)), np.zeros((2, 4))
    for index in range(2):
        arms[index] = _between(rng, _ARM_STYLES[rng.choice(4, p=[0.35, 0.3, 0.25, 0.1])])
        legs[index] = _between(rng, _LEG_STYLES[rng.choice(4, p=leg_chance)])
    return Posture(stretch, float(roll), float(tilt), yaw, trunk, head, arms, legs)


def random_figure(rng: np.random.Generator, build: float) -> Array:
    """Return the points (len(Point), 3) of a random figure in the camera frame, about 1 high, with its pelvis at the origin.

    Args:
        rng: Source of randomness.
        build: Width of shoulders and hips relative to the average.
    """
    return figure_of(random_posture(rng), build)


def figure_of(posture: Posture, build: float) -> Array:
    """Return the points (len(Point), 3) of a figure in the camera frame, about 1 high, with its pelvis at the origin.

    Args:
        posture: Its angles and proportions.
        build: Width of shoulders and hips relative to the average.
    """
    points = np.zeros((len(Point), 3))
    stretch = posture.stretch
    view = _abduct(posture.roll, 1) @ _flex(posture.tilt) @ _turn(posture.yaw)
    torso = view @ _turn(posture.trunk[0]) @ _flex(posture.trunk[1]) @ _abduct(posture.trunk[2], 1)
    _place_trunk(points, posture, view, torso, build)
    for index, side in enumerate((1, -1)):
        upper, lower = _limb(posture.arms[index], side, bend=1)
        points[Point.LEFT_ELBOW + index] = points[Point.LEFT_SHOULDER + index] + torso @ upper @ DOWN * 0.165 * stretch[1]
        direction = torso @ lower @ DOWN
        points[Point.LEFT_WRIST + index] = points[Point.LEFT_ELBOW + index] + direction * 0.145 * stretch[2]
        points[Point.LEFT_FINGERS + index] = points[Point.LEFT_WRIST + index] + direction * 0.045
        upper, lower = _limb(posture.legs[index], side, bend=-1)
        points[Point.LEFT_KNEE + index] = points[Point.LEFT_HIP + index] + view @ upper @ DOWN * 0.235 * stretch[3]
        points[Point.LEFT_ANKLE + index] = points[Point.LEFT_KNEE + index] + view @ lower @ DOWN * 0.225 * stretch[4]
        toes = 0.07 * _FORWARD + 0.025 * DOWN
        points[Point.LEFT_TOES + index] = points[Point.LEFT_ANKLE + index] + view @ lower @ toes
    return points


def _place_trunk(points: Array, posture: Posture, view: Array, torso: Array, build: float) -> None:
    """Place hips, shoulders, neck and head."""
    left, stretch = np.array([1.0, 0.0, 0.0]), posture.stretch
    points[Point.NECK] = torso @ -DOWN * 0.285 * stretch[0]
    for index, side in enumerate((1, -1)):
        points[Point.LEFT_HIP + index] = view @ left * side * 0.06 * build
        points[Point.LEFT_SHOULDER + index] = points[Point.NECK] + torso @ (side * 0.112 * build * left + 0.02 * DOWN)
    points[Point.COLLAR] = points[Point.NECK] + torso @ (0.05 * _FORWARD + 0.03 * DOWN)
    points[Point.BUCKLE] = torso @ (0.055 * _FORWARD - 0.02 * DOWN)
    turn, nod, tilt = posture.head
    head = torso @ _turn(turn) @ _flex(nod) @ _abduct(tilt, 1)
    points[Point.HEAD] = points[Point.NECK] - 0.5 * (torso + head) @ DOWN * 0.095
    radius = HEAD_RADIUS * stretch[5]
    for place, offset in _HEAD_PLACES.items():
        points[place] = points[Point.HEAD] + radius * head @ np.array(offset)
    points[Point.HAIR_TIP] = points[Point.NECK] + torso @ (0.02 * DOWN - 0.045 * _FORWARD)
