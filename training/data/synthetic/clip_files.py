"""Clips of drawn people on disk: videos, and one file of annotations in COCO's form with `video_id` and `track_id`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import Progress

from hrnet_tf.spec.keypoint_categories import COCO_PERSON
from mobile_eval.errors import HRNetError
from mobile_eval.files import complete_folder, write_json
from training.data.synthetic.clip import ClipFrame, draw_clip
from training.data.synthetic.dataset import MIN_SIZE, SETTINGS_FILE, is_complete
from training.data.synthetic.layouts import VERSION

ANNOTATIONS = "clips.json"
FRAME_RATE = 25.0  # per second
CODEC = "MJPG"  # every frame by itself, so that nothing moves between frames


def write_synthetic_clips(
    folder: Path | str,
    clips: int = 10,
    *,
    frames: int = 90,
    people: int = 4,
    seed: int = 0,
    image_size: tuple[int, int] = (240, 320),
) -> None:
    """Draw clips of people who cross and hide each other, with exact joints, boxes and identities.

    The folder has `clip_000.avi` and so on, and `clips.json`: COCO key points whose images have `video_id` and `frame_id` (from
    0) and whose annotations have `track_id`, the identity in the clip, and `visible`, the share of the person that nothing
    hides. The same arguments draw the same clips. The folder is written completely or not at all; one that is complete is kept.

    Args:
        folder: Folder to write.
        clips: Number of clips.
        frames: Number of frames of a clip.
        people: Number of people in a clip.
        seed: Seed of everything random.
        image_size: Height and width in pixels.

    Raises:
        HRNetError: An argument is out of range, or the folder holds something else.
    """
    folder = Path(folder)
    if clips < 1 or min(image_size) < MIN_SIZE or seed < 0:
        raise HRNetError(
            f"expected `clips` of at least 1, `image_size` of at least {MIN_SIZE}x{MIN_SIZE} and `seed` of at least 0, "
            f"got {clips}, {image_size[0]}x{image_size[1]} and {seed}"
        )
    counts = {"clips": clips, "frames": frames, "people": people}
    settings = {"version": VERSION, **counts, "seed": seed, "image_size": list(image_size)}
    if is_complete(folder, settings):
        return
    content: dict[str, Any] = {"videos": [], "images": [], "annotations": [], "categories": [{"id": 1, **COCO_PERSON}]}
    with complete_folder(folder) as draft, Progress() as progress:
        for index in progress.track(range(clips), description="Drawing clips"):
            name = f"clip_{index:03d}.avi"
            video = {"id": index + 1, "name": name, "height": image_size[0], "width": image_size[1], "fps": FRAME_RATE}
            content["videos"].append(video)
            writer = cv2.VideoWriter(str(draft / name), cv2.VideoWriter.fourcc(*CODEC), FRAME_RATE, image_size[::-1])
            for number, frame in enumerate(draw_clip(np.random.default_rng((seed, index)), image_size, frames, people)):
                writer.write(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
                _annotate(content, video, number, frame)
            writer.release()
        write_json(draft / ANNOTATIONS, content)
        write_json(draft / SETTINGS_FILE, settings)


def _annotate(content: dict[str, Any], video: dict[str, Any], number: int, frame: ClipFrame) -> None:
    """Add a frame and its people."""
    image = {"id": len(content["images"]) + 1, "file_name": video["name"], "video_id": video["id"], "frame_id": number}
    content["images"].append({**image, "height": video["height"], "width": video["width"]})
    for entry in frame.people:
        keypoints = entry.person.keypoints
        content["annotations"].append(
            {
                "id": len(content["annotations"]) + 1,
                "image_id": image["id"],
                "category_id": 1,
                "track_id": entry.identity,
                "iscrowd": 0,
                "bbox": list(entry.person.box),
                "area": entry.person.area,
                "visible": round(entry.visible, 3),
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "keypoints": [int(v) if i % 3 == 2 else float(v) for i, v in enumerate(keypoints.ravel())],
            }
        )
