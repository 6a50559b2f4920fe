"""Drawing a figure with OpenCV as tapered capsules in the order of their depth, and which joints they hide.

Image coordinates are OpenCV's: (x, y), whole numbers at the centres of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.synthetic.figure import HEAD_RADIUS, JOINTS, Array, Point

Image = NDArray[np.uint8]
FRACTION_BITS = 4  # OpenCV's fixed-point polygons: sixteenths of a pixel
_ARC = np.linspace(-1, 1, 9)  # points of each end's arc


@dataclass(frozen=True)
class Part:
    """A tapered capsule: its ends and their radii in units of the body's height.

    `of` are the joints that it shows wherever it is on top, `over` those that it shows unless they lie behind it.
    """

    name: str
    start: Point
    end: Point
    radii: tuple[float, float]
    of: tuple[Point, ...] = ()
    over: tuple[Point, ...] = ()


_TRUNK_JOINTS = (Point.LEFT_SHOULDER, Point.RIGHT_SHOULDER, Point.LEFT_HIP, Point.RIGHT_HIP)
_FACE_JOINTS = (Point.NOSE, Point.LEFT_EYE, Point.RIGHT_EYE, Point.LEFT_EAR, Point.RIGHT_EAR)
_R = HEAD_RADIUS


def _side(name: str, index: int) -> tuple[Part, ...]:
    """The limbs of one side; `index` 0 is left, 1 right."""
    shoulder, elbow, wrist, hip, knee, ankle, fingers, toes = (
        Point(first + index)
        for first in (
            Point.LEFT_SHOULDER, Point.LEFT_ELBOW, Point.LEFT_WRIST, Point.LEFT_HIP, Point.LEFT_KNEE, Point.LEFT_ANKLE,
            Point.LEFT_FINGERS, Point.LEFT_TOES,
        )
    )  # fmt: skip
    return (
        Part(f"{name}_upper_arm", shoulder, elbow, (0.034, 0.025), of=(shoulder, elbow)),
        Part(f"{name}_forearm", elbow, wrist, (0.025, 0.019), of=(elbow, wrist)),
        Part(f"{name}_hand", wrist, fingers, (0.019, 0.021), of=(wrist,)),
        Part(f"{name}_thigh", hip, knee, (0.056, 0.037), of=(hip, knee)),
        Part(f"{name}_shin", knee, ankle, (0.037, 0.023), of=(knee, ankle)),
        Part(f"{name}_foot", ankle, toes, (0.023, 0.019), of=(ankle,)),
    )


PARTS = (
    Part("torso", Point.NECK, Point.NECK, (0.05, 0.05), over=_TRUNK_JOINTS),  # first, and no capsule: see _TORSO
    Part("placket", Point.COLLAR, Point.BUCKLE, (0.006, 0.006), over=_TRUNK_JOINTS),
    Part("pelvis", Point.LEFT_HIP, Point.RIGHT_HIP, (0.056, 0.056), over=_TRUNK_JOINTS),
    Part("neck", Point.NECK, Point.HEAD, (0.032, 0.028)),
    Part("face", Point.FACE, Point.FACE, (0.94 * _R, 0.94 * _R), over=_FACE_JOINTS),
    Part("hair", Point.HAIR, Point.HAIR, (1.02 * _R, 1.02 * _R), over=_FACE_JOINTS),
    Part("tail", Point.HAIR, Point.HAIR_TIP, (0.85 * _R, 0.5 * _R)),
    Part("nose", Point.NOSE, Point.NOSE, (0.16 * _R, 0.16 * _R), of=(Point.NOSE,), over=_FACE_JOINTS),
    Part("left_eye", Point.LEFT_EYE, Point.LEFT_EYE, (0.15 * _R, 0.15 * _R), of=(Point.LEFT_EYE,), over=_FACE_JOINTS),
    Part("right_eye", Point.RIGHT_EYE, Point.RIGHT_EYE, (0.15 * _R, 0.15 * _R), of=(Point.RIGHT_EYE,), over=_FACE_JOINTS),
    Part("mouth", Point.LEFT_MOUTH, Point.RIGHT_MOUTH, (0.08 * _R, 0.08 * _R), over=_FACE_JOINTS),
    Part("left_ear", Point.LEFT_EAR, Point.LEFT_EAR, (0.2 * _R, 0.2 * _R), of=(Point.LEFT_EAR,), over=_FACE_JOINTS),
    Part("right_ear", Point.RIGHT_EAR, Point.RIGHT_EAR, (0.2 * _R, 0.2 * _R), of=(Point.RIGHT_EAR,), over=_FACE_JOINTS),
    *_side("left", 0),
    *_side("right", 1),
)
PART = {part.name: index for index, part in enumerate(PARTS)}
_STARTS = np.array([part.start for part in PARTS])
_ENDS = np.array([part.end for part in PARTS])
_FINE = np.array([part.name in ("placket", "mouth", "nose", "left_eye", "right_eye", "left_ear", "right_ear") for part in PARTS])
# The torso is the hull of these four circles.
_TORSO = ((Point.LEFT_SHOULDER, 0.04), (Point.RIGHT_SHOULDER, 0.04), (Point.LEFT_HIP, 0.052), (Point.RIGHT_HIP, 0.052))
_OUTLINE_ENDS = np.array([(part.start, part.end) for part in PARTS] + [(point, point) for point, _ in _TORSO])
_RADII = np.array([part.radii for part in PARTS] + [(radius, radius) for _, radius in _TORSO])
_LEAST_RADII_PX = np.array([[0.5 if fine else 1.3] for fine in _FINE] + [[1.3]] * len(_TORSO))
# Shown at a joint by the part on top of it: 0 never, 1 always, 2 where the joint is not behind the part.
_SHOWS = np.zeros((len(JOINTS), len(PARTS)), np.int8)
for _index, _part in enumerate(PARTS):
    _SHOWS[list(_part.over), _index] = 2
    _SHOWS[list(_part.of), _index] = 1
_BEHIND = 0.012  # of the body's height: a joint this much behind the middle of a part is hidden by it


@dataclass(frozen=True)
class Wardrobe:
    """Colours (RGB, 0..255) of every part (len(PARTS), 3), which parts are worn, and the build that scales radii."""

    colours: Array
    worn: NDArray[np.bool_]
    build: float


@dataclass(frozen=True)
class Body:
    """A figure in an image: points (len(Point), 3) in pixels (z too), its parts' outlines and their order of drawing."""

    points: Array
    scale: float
    outlines: list[NDArray[np.int32]]
    order: NDArray[np.intp]
    box: Array  # (x0, y0, x1, y1) of all that is drawn, before the image's border cuts it

    def moved(self, offset: Array) -> Body:
        """Return the body moved by `offset` (x, y) pixels."""
        fixed = _fixed(offset)  # rounded once, so that joints and outlines stay together
        offset = fixed / 2**FRACTION_BITS
        points = self.points + np.append(offset, 0.0)
        return Body(points, self.scale, [o + fixed for o in self.outlines], self.order, self.box + np.tile(offset, 2))


def random_wardrobe(rng: np.random.Generator) -> Wardrobe:
    """Clothes, skin and hair by chance: sleeves and trousers long or short, hair long or short."""
    skin = np.array([255.0, 214, 180]) * rng.uniform(0.42, 1) + rng.normal(0, 5, 3)
    shirt, trousers, shoes = rng.uniform(20, 245, (3, 3))
    hair = np.array([[35.0, 28, 24], [92, 60, 36], [205, 170, 105], [150, 80, 45], [170, 168, 165]])[rng.integers(5)]
    sleeve, leg = rng.choice(3, p=[0.45, 0.4, 0.15]), rng.random()
    colours = np.tile(skin, (len(PARTS), 1))
    colours[PART["torso"]] = shirt
    colours[PART["placket"]] = shirt * 0.7
    colours[PART["pelvis"]] = trousers
    colours[[PART["hair"], PART["tail"]]] = hair
    colours[[PART["left_eye"], PART["right_eye"]]] = (25, 25, 30)
    colours[PART["nose"]] = skin * 0.8
    colours[[PART["left_ear"], PART["right_ear"]]] = skin * 0.9
    colours[PART["mouth"]] = skin * 0.5 + (70, 10, 15)
    for side in ("left", "right"):
        colours[PART[f"{side}_upper_arm"]] = skin if sleeve == 2 else shirt
        colours[PART[f"{side}_forearm"]] = shirt if sleeve == 0 else skin
        colours[PART[f"{side}_thigh"]] = trousers
        colours[PART[f"{side}_shin"]] = trousers if leg < 0.65 else skin
        colours[PART[f"{side}_foot"]] = shoes
    worn = np.ones(len(PARTS), bool)
    worn[PART["tail"]] = rng.random() < 0.4
    worn[PART["placket"]] = rng.random() < 0.7
    return Wardrobe(np.clip(colours, 0, 255), worn, float(rng.uniform(0.8, 1.3)))


def _capsules(points: Array, radii: Array) -> Array:
    """Outlines (N, 2 * arc points, 2) of capsules; points (N, 2 ends, 2), radii (N, 2), all in pixels."""
    delta = points[:, 1] - points[:, 0]
    length = np.maximum(np.hypot(delta[:, 0], delta[:, 1]), 1e-6)
    # The tangents that touch both circles leave the axis by this angle.
    lean = np.arccos(np.minimum(np.maximum((radii[:, 0] - radii[:, 1]) / length, -1), 1))
    direction = np.arctan2(delta[:, 1], delta[:, 0])
    middle = np.stack([direction + np.pi, direction], axis=1)  # where each end's arc is centred, (N, 2)
    half = np.stack([np.pi - lean, lean], axis=1)
    angles = middle[:, :, None] + half[:, :, None] * _ARC
    circles = np.stack([np.cos(angles), np.sin(angles)], axis=3) * radii[:, :, None, None]
    return np.asarray((points[:, :, None] + circles).reshape(len(points), -1, 2), np.float64)


def _fixed(pixels: Array) -> NDArray[np.int32]:
    return np.asarray(np.rint(pixels * 2**FRACTION_BITS), np.int32)


def place_body(figure: Array, wardrobe: Wardrobe, scale: float) -> Body:
    """Return a figure (len(Point), 3) at `scale` pixels of height with its pelvis at (0, 0)."""
    points = figure * scale
    thickness = scale * wardrobe.build**0.5
    radii = np.maximum(_RADII * thickness, _LEAST_RADII_PX)
    flat = points[:, :2]
    outlines = _fixed(_capsules(flat[_OUTLINE_ENDS], radii))
    torso = cv2.convexHull(outlines[len(PARTS) :].reshape(-1, 2))[:, 0]
    parts = [np.asarray(torso, np.int32), *outlines[1 : len(PARTS)]]
    depth, shown = _depths(points, scale)
    order = np.argsort(depth, kind="stable")
    order = order[(shown & wardrobe.worn)[order]]
    drawn = np.concatenate([parts[i] for i in order]) / 2**FRACTION_BITS
    return Body(points, scale, parts, order, np.concatenate([drawn.min(axis=0), drawn.max(axis=0)]))


def _depths(points: Array, scale: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the depth of each part in pixels, larger when nearer, and whether it faces the viewer."""
    z = points[:, 2]
    depth = (z[_STARTS] + z[_ENDS]) / 2
    shown = np.ones(len(PARTS), bool)
    trunk = float(z[list(_TRUNK_JOINTS)].mean())
    forward = z[Point.COLLAR] + z[Point.BUCKLE] - z[Point.NECK]
    depth[PART["torso"]], depth[PART["placket"]], depth[PART["pelvis"]] = trunk, trunk + 0.001 * scale, trunk + 0.002 * scale
    shown[PART["placket"]] = forward > 0.03 * scale
    head = float(z[Point.HEAD])
    facing = (z[Point.NOSE] - head) / (HEAD_RADIUS * scale)
    tiny = 1e-4 * scale
    depth[PART["face"]] = head
    depth[PART["hair"]] = head + (-tiny if facing > -0.3 else tiny)
    depth[PART["tail"]] = min(head, trunk) - 0.03 * scale if facing > -0.3 else max(head, trunk) + 0.03 * scale
    depth[PART["neck"]] = head - 2 * tiny
    for name, near in (("nose", 0.0), ("left_eye", 0.0), ("right_eye", 0.0), ("left_ear", -0.3), ("right_ear", -0.3)):
        point = PARTS[PART[name]].start
        shown[PART[name]] = z[point] - head > near * HEAD_RADIUS * scale - 0.1 * tiny
        depth[PART[name]] = head + 2 * tiny
    shown[PART["mouth"]] = facing > 0.25
    depth[PART["mouth"]] = head + 2 * tiny
    return depth, shown


def draw_body(image: Image, labels: Image, body: Body, wardrobe: Wardrobe, person: int, light: float) -> None:
    """Draw a body.

    Args:
        image: Picture (H, W, 3), RGB, to draw into.
        labels: Labels (H, W); pixels of a part get the number `person * len(PARTS) + part + 1`.
        body: The body.
        wardrobe: Its colours.
        person: Index of the person.
        light: Factor on the colours.
    """
    depth = (body.points[_STARTS, 2] + body.points[_ENDS, 2]) / 2
    shades = light * np.clip(1 + 0.9 * depth / body.scale, 0.7, 1.12)
    for part in body.order:
        colour = np.minimum(wardrobe.colours[part] * shades[part], 255).tolist()
        outline = body.outlines[part]
        if not _FINE[part]:
            edge = [0.72 * channel for channel in colour]
            cv2.polylines(image, [outline], True, edge, 1, cv2.LINE_AA, FRACTION_BITS)
        cv2.fillConvexPoly(image, outline, colour, cv2.LINE_AA, FRACTION_BITS)
        cv2.fillConvexPoly(labels, outline, person * len(PARTS) + int(part) + 1, cv2.LINE_8, FRACTION_BITS)


def joint_visibility(body: Body, labels: Image, person: int) -> NDArray[np.int64]:
    """Return COCO's visibility (17,) of the joints: 0 outside the image, 1 hidden by the body or by objects, 2 visible."""
    height, width = labels.shape
    joints = body.points[: len(JOINTS)]
    x, y = np.round(joints[:, :2]).astype(int).T
    inside = (joints[:, 0] >= 0) & (joints[:, 0] <= width - 1) & (joints[:, 1] >= 0) & (joints[:, 1] <= height - 1)
    part = labels[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(int) - 1 - person * len(PARTS)
    is_body = (part >= 0) & (part < len(PARTS))
    part = np.where(is_body, part, 0)
    shows = np.where(is_body, _SHOWS[np.arange(len(JOINTS)), part], 0)
    middle = np.full(len(JOINTS), body.points[list(_TRUNK_JOINTS), 2].mean())
    middle[list(_FACE_JOINTS)] = body.points[Point.HEAD, 2]
    in_front = joints[:, 2] >= middle - _BEHIND * body.scale
    return np.where(inside, np.where((shows == 1) | ((shows == 2) & in_front), 2, 1), 0)
