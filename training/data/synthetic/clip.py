"""Clips of walking people who cross and hide each other, with exact joints, boxes and identities in every frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mobile_eval.errors import HRNetError
from training.data.synthetic.body import PARTS, Body, Image, Wardrobe, draw_body, place_body, random_wardrobe
from training.data.synthetic.figure import Array, Posture, figure_of, random_posture
from training.data.synthetic.scene import OCCLUDER, DrawnPerson, background, camera_light, camera_noise, true_person

MAX_PEOPLE = 8  # labels of parts fit into a byte
STRIDE = 0.62  # of the body's height: length of two steps
_FACING = np.pi / 2 - 0.35  # a walking person's yaw


@dataclass(frozen=True, eq=False)
class TrackedPerson:
    """Ground truth of a person in one frame.

    Args:
        identity: Number of the person in the clip, from 1 on.
        person: Keypoints, box and area, in pixels.
        visible: Share of the person's drawn pixels that nothing hides, 0 to 1.
    """

    identity: int
    person: DrawnPerson
    visible: float


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """A frame and its ground truth.

    Args:
        image: Picture (H, W, 3), RGB.
        people: The people in the frame, with at least one joint inside it.
    """

    image: Image
    people: list[TrackedPerson]


@dataclass(frozen=True, eq=False)
class _Walker:
    """A person who walks through the picture at a constant speed.

    Args:
        identity: Number of the person.
        posture: Proportions and habit; arms and legs swing around it.
        wardrobe: Colours.
        scale: Height in pixels.
        start: Pelvis (x, y) in the first frame, in pixels.
        speed: Pixels per frame along x; its sign is the direction.
        phase: Phase of the step in the first frame, in radians.
    """

    identity: int
    posture: Posture
    wardrobe: Wardrobe
    scale: float
    start: Array
    speed: float
    phase: float

    def body(self, frame: int) -> Body:
        """The body in a frame."""
        phase = self.phase + 2 * np.pi * abs(self.speed) * frame / (STRIDE * self.scale)
        swing, sides = np.sin(phase), np.array([1.0, -1.0])
        legs, arms = self.posture.legs.copy(), self.posture.arms.copy()
        legs[:, 1] = 0.5 * swing * sides  # flexion
        legs[:, 3] = 0.25 + 0.35 * np.maximum(np.cos(phase) * sides, 0)  # the knee bends as the leg swings forward
        arms[:, 1] = -0.45 * swing * sides
        posture = replace(self.posture, legs=legs, arms=arms)
        body = place_body(figure_of(posture, self.wardrobe.build), self.wardrobe, self.scale)
        bounce = 0.015 * self.scale * abs(np.cos(phase))
        return body.moved(self.start + np.array([self.speed * frame, bounce]))


def draw_clip(rng: np.random.Generator, image_size: tuple[int, int], frames: int, people: int) -> Iterator[ClipFrame]:
    """Draw a clip in which everybody crosses somebody, and posts hide people for a while.

    The same arguments draw the same clip.

    Args:
        rng: Source of randomness.
        image_size: Height and width in pixels.
        frames: Number of frames.
        people: Number of people, at most 8.

    Yields:
        The frames.

    Raises:
        HRNetError: The number of frames or people is out of range.
    """
    if frames < 1 or not 1 <= people <= MAX_PEOPLE:
        raise HRNetError(f"`frames` must be at least 1 and `people` 1 to {MAX_PEOPLE}, got {frames} and {people}")
    backdrop, light = background(rng, image_size), camera_light(rng, image_size)
    walkers = _walkers(rng, image_size, frames, people)
    posts = _posts(rng, image_size, 1 + people // 3)
    noise = int(rng.integers(3, 10))
    for frame in range(frames):
        image, labels = backdrop.copy(), np.zeros(image_size, np.uint8)
        bodies = [walker.body(frame) for walker in walkers]
        areas = []
        for index, (walker, body) in enumerate(zip(walkers, bodies, strict=True)):
            draw_body(image, labels, body, walker.wardrobe, index, 1.0)
            areas.append(_pixels(labels, index))
        for corners, colour in posts:
            cv2.fillConvexPoly(image, corners, colour.tolist(), cv2.LINE_AA)
            cv2.fillConvexPoly(labels, corners, OCCLUDER, cv2.LINE_8)
        truth = []
        for index, (walker, body) in enumerate(zip(walkers, bodies, strict=True)):
            person = true_person(body, labels, index, areas[index])
            if (person.keypoints[:, 2] > 0).any():
                visible = _pixels(labels, index) / max(areas[index], 1)
                truth.append(TrackedPerson(walker.identity, person, visible))
        yield ClipFrame(camera_noise(rng, image, light, noise), truth)


def _pixels(labels: Image, index: int) -> int:
    """Number of pixels that show a person."""
    first = index * len(PARTS) + 1
    return int(np.count_nonzero((labels >= first) & (labels < first + len(PARTS))))


def _walkers(rng: np.random.Generator, image_size: tuple[int, int], frames: int, people: int) -> list[_Walker]:
    """People on their ways, far ones first; neighbors in depth walk in opposite directions and meet inside the picture."""
    height, width = image_size
    walkers = []
    scales = np.sort(rng.uniform(0.42, 0.62, people)) * height
    first_direction = rng.choice([-1, 1])
    for index, scale in enumerate(scales.tolist()):
        direction = first_direction * (1 if index % 2 else -1)
        meeting = rng.uniform(0.3, 0.7) * width
        when = rng.uniform(0.3, 0.7) * frames
        speed = direction * rng.uniform(0.55, 1.0) * width / frames
        posture = random_posture(rng)
        posture = replace(
            posture,
            roll=0.3 * posture.roll,
            yaw=direction * (_FACING + float(rng.normal(0, 0.15))),
            trunk=0.4 * posture.trunk,
            arms=np.array([[0.12, 0, 0, 0.5]] * 2) + rng.normal(0, 0.05, (2, 4)),
            legs=np.array([[0.04, 0, 0, 0.3]] * 2) + rng.normal(0, 0.02, (2, 4)),
        )
        start = np.array([meeting - speed * when, height * 0.92 - 0.5 * scale - (len(scales) - index) * 0.015 * height])
        walkers.append(_Walker(index + 1, posture, random_wardrobe(rng), scale, start, speed, float(rng.uniform(0, 6))))
    return walkers


def _posts(rng: np.random.Generator, image_size: tuple[int, int], count: int) -> list[tuple[Image, Array]]:
    """Upright posts in front of everybody: corners (4, 2) in pixels, and colours."""
    height, width = image_size
    posts = []
    for _ in range(count):
        x, half = rng.uniform(0.1, 0.9) * width, rng.uniform(0.012, 0.03) * width
        corners = np.array([[x - half, 0.15 * height], [x + half, 0.15 * height], [x + half, height], [x - half, height]])
        posts.append((np.rint(corners).astype(np.int32), rng.uniform(0, 255, 3)))
    return posts
