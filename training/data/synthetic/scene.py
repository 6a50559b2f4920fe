"""Pictures of people: background, bodies from far to near, objects in front, and camera noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.data.synthetic.body import PARTS, Body, Image, Wardrobe, draw_body, joint_visibility, place_body, random_wardrobe
from training.data.synthetic.figure import JOINTS, Array, random_figure

OCCLUDER = 255  # in the label map
MAX_PEOPLE = 3  # of a scene by default
MOST_PEOPLE = 6
_MIN_JOINTS = 8  # of a person inside the image
_MAX_OVERLAP = 0.35  # of two people, as a fraction of the smaller box
_TRIES = 6  # to place one more person
# Lowest and highest height of people, as a fraction of the picture's, by their number.
_HEIGHTS = ((0.6, 1.05), (0.45, 0.85), (0.35, 0.7), (0.3, 0.6), (0.28, 0.52), (0.26, 0.48))


@dataclass(frozen=True, eq=False)
class DrawnPerson:
    """Ground truth of a person, in pixels.

    Args:
        keypoints: Keypoints (17, 3): x, y and visibility.
        box: Box (x, y, width, height).
        area: Drawn area.
        points: All points of the figure (len(Point), 3); z points towards the viewer.
    """

    keypoints: Array
    box: tuple[float, float, float, float]
    area: int
    points: Array


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its ground truth.

    Args:
        image: Picture (H, W, 3), RGB.
        labels: What each pixel (H, W) shows: 0 for the background, OCCLUDER, or a part of a body as `draw_body` numbers it.
        people: The people.
    """

    image: Image
    labels: Image
    people: list[DrawnPerson]


def draw_scene(rng: np.random.Generator, image_size: tuple[int, int], max_people: int = MAX_PEOPLE) -> Scene:
    """Draw a picture of a size (height, width) with one to three people, or up to `max_people`."""
    image = background(rng, image_size)
    labels = np.zeros(image_size, np.uint8)
    light = float(rng.uniform(0.75, 1.1))
    people = _people(rng, image_size, max_people)
    areas = []
    for index, (body, wardrobe) in enumerate(people):
        draw_body(image, labels, body, wardrobe, index, light)
        first = index * len(PARTS) + 1
        areas.append(int(np.count_nonzero((labels >= first) & (labels < first + len(PARTS)))))
    for body, _ in people:
        if rng.random() < 0.3:
            _put_in_front(rng, image, labels, body)
    truth = [true_person(body, labels, index, areas[index]) for index, (body, _) in enumerate(people)]
    return Scene(_camera(rng, image), labels, truth)


def true_person(body: Body, labels: Image, index: int, area: int) -> DrawnPerson:
    """Return the ground truth of a body.

    Args:
        body: The body.
        labels: What each pixel (H, W) of the finished picture shows, see `Scene.labels`.
        index: Number of the person in the labels.
        area: Drawn area in pixels.
    """
    height, width = labels.shape
    visibility = joint_visibility(body, labels, index)
    keypoints = np.asarray(
        np.column_stack([body.points[: len(JOINTS), :2].round(2), visibility]) * (visibility > 0)[:, None], np.float64
    )
    x0, y0, x1, y1 = np.clip(body.box, 0, [width - 1, height - 1] * 2).tolist()
    box = (round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2))
    return DrawnPerson(keypoints, box, area, body.points)


def _people(rng: np.random.Generator, image_size: tuple[int, int], max_people: int) -> list[tuple[Body, Wardrobe]]:
    """Place people, far (small) ones first, without much overlap and mostly inside the picture."""
    height, width = image_size
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]) if max_people == MAX_PEOPLE else rng.integers(1, max_people + 1))
    low, high = _HEIGHTS[count - 1]
    people: list[tuple[Body, Wardrobe]] = []
    for scale in np.sort(rng.uniform(low, high, count)) * height:
        wardrobe = random_wardrobe(rng)
        figure = random_figure(rng, wardrobe.build)
        body = place_body(figure, wardrobe, float(scale))
        free = np.array([width, height]) - body.box[2:] + body.box[:2]
        for _ in range(_TRIES):
            slack = rng.uniform(-0.12, 0.12, 2) * scale * (rng.random() < 0.5)  # over the border, half of the time
            place = rng.uniform(0, 1, 2) * np.maximum(free, 0) + np.minimum(free, 0) / 2
            moved = body.moved(place - body.box[:2] + slack)
            if _fits(moved, [other for other, _ in people], image_size):
                people.append((moved, wardrobe))
                break
    return people or _people(rng, image_size, max_people)


def _fits(body: Body, others: list[Body], image_size: tuple[int, int]) -> bool:
    x, y = body.points[: len(JOINTS), :2].T
    inside = (x >= 0) & (x <= image_size[1] - 1) & (y >= 0) & (y <= image_size[0] - 1)
    return int(inside.sum()) >= _MIN_JOINTS and all(_overlap(body.box, other.box) < _MAX_OVERLAP for other in others)


def _overlap(a: Array, b: Array) -> float:
    """Intersection of two boxes (x0, y0, x1, y1) as a fraction of the smaller one."""
    common = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(common / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))


def _smooth(rng: np.random.Generator, cells: tuple[int, int], image_size: tuple[int, int], low: float, high: float) -> Image:
    """Draw random colours on a coarse grid, interpolated between."""
    coarse = rng.uniform(low, high, (*cells, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, image_size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def background(rng: np.random.Generator, image_size: tuple[int, int]) -> Image:
    """Draw a gradient with objects, some of them like limbs in shape and colour."""
    height, width = image_size
    middle = rng.uniform(40, 215)
    image = _smooth(rng, (2 + int(rng.integers(3)), 2), image_size, max(middle - 70, 0), min(middle + 70, 255))
    if rng.random() < 0.5:  # a floor
        horizon = int(rng.uniform(0.5, 0.9) * height)
        image[horizon:] = image[horizon:] // 2 + (rng.uniform(10, 110, 3)).astype(np.uint8)
    for _ in range(int(rng.integers(2, 14))):
        colour = np.array([225.0, 180, 150]) * rng.uniform(0.5, 1.1) if rng.random() < 0.2 else rng.uniform(0, 255, 3)
        _thing(rng, image, colour, rng.uniform(0, (width, height)), float(rng.uniform(0.04, 0.25)) * height)
    if rng.random() < 0.4:
        image = np.asarray(cv2.blur(image, (5, 5)), np.uint8)
    return image


def _thing(rng: np.random.Generator, image: Image, colour: Array, center: Array, size: float) -> None:
    """Draw a box, an ellipse or a bar of about `size` pixels."""
    shade = np.clip(colour, 0, 255).tolist()
    angle = float(rng.uniform(0, 180))
    kind = rng.integers(3)
    if kind == 0:
        axes = (np.array([size, size]) * rng.uniform(0.2, 0.6, 2)).astype(int) + 1
        cv2.ellipse(image, center.astype(int).tolist(), axes.tolist(), angle, 0, 360, shade, -1, cv2.LINE_AA)
        return
    shape = rng.uniform(0.4, 1.2, 2) * size if kind == 1 else (rng.uniform(0.05, 0.2) * size, rng.uniform(0.8, 2.2) * size)
    corners = cv2.boxPoints((tuple(center), tuple(shape), angle if rng.random() < 0.6 else 0.0))
    cv2.fillConvexPoly(image, np.round(corners * 16).astype(np.int32), shade, cv2.LINE_AA, 4)


def _put_in_front(rng: np.random.Generator, image: Image, labels: Image, body: Body) -> None:
    """Draw a box or a post that covers a part of a body."""
    x0, y0, x1, y1 = body.box
    center = rng.uniform((x0, y0), (x1, y1))
    size = (y1 - y0) * rng.uniform(0.08, 0.2, 2)
    if rng.random() < 0.4:
        size = np.array([rng.uniform(0.03, 0.06), rng.uniform(0.6, 1.4)]) * (y1 - y0)
    corners = np.round(cv2.boxPoints((tuple(center), tuple(size), float(rng.uniform(0, 180)))) * 16).astype(np.int32)
    cv2.fillConvexPoly(image, corners, rng.uniform(0, 255, 3).tolist(), cv2.LINE_AA, 4)
    cv2.fillConvexPoly(labels, corners, OCCLUDER, cv2.LINE_8, 4)


def _camera(rng: np.random.Generator, image: Image) -> Image:
    """Add uneven light, sometimes blur, and noise."""
    light = camera_light(rng, (image.shape[0], image.shape[1]))
    blurred = rng.random() < 0.25
    return camera_noise(rng, image, light, int(rng.integers(3, 16)), blurred=blurred)


def camera_light(rng: np.random.Generator, image_size: tuple[int, int]) -> Image:
    """Draw uneven light (H, W, 3); 232 leaves a pixel as it is."""
    return _smooth(rng, (4, 3), image_size, 200, 255)


def camera_noise(rng: np.random.Generator, image: Image, light: Image, strength: int, *, blurred: bool = False) -> Image:
    """Light a picture, and add noise.

    Args:
        rng: Source of randomness.
        image: Picture (H, W, 3), RGB.
        light: Light (H, W, 3), see `camera_light`.
        strength: Largest change of a value.
        blurred: Whether it is out of focus.
    """
    lit = cv2.multiply(image, light, scale=1 / 232)
    if blurred:
        lit = cv2.GaussianBlur(lit, (3, 3), 0)
    noise = rng.integers(0, 2 * strength + 1, image.shape, dtype=np.uint8)
    return np.asarray(cv2.subtract(cv2.add(lit, noise), np.full_like(lit, strength)), np.uint8)
