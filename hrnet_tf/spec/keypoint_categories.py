"""The keypoint categories of the published pose networks, as COCO writes one (skeleton 1-based)."""

from __future__ import annotations

from typing import Any

COCO_PERSON: dict[str, Any] = {
    "name": "person",
    "keypoints": [
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ],
    "skeleton": [
        [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9], [8, 10], [9, 11],
        [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7],
    ],
}  # fmt: skip

MPII_PERSON: dict[str, Any] = {
    "name": "person",
    "keypoints": [
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ],
    "skeleton": [
        [1, 2], [2, 3], [3, 7], [7, 4], [4, 5], [5, 6], [7, 8], [8, 9], [9, 10], [8, 13], [13, 12], [12, 11], [8, 14],
        [14, 15], [15, 16],
    ],
}  # fmt: skip


def category_for(task: str, classes: int) -> dict[str, Any]:
    """The category of a published network with that many answers; numbered where names are not known."""
    if task == "pose":
        known = next((c for c in (COCO_PERSON, MPII_PERSON) if len(c["keypoints"]) == classes), None)
        if known is not None:
            return known
    if task in ("pose", "landmarks"):
        name = "person" if task == "pose" else "face"
        return {"name": name, "keypoints": [f"{task}_{index}" for index in range(classes)], "skeleton": []}
    return {"name": task, "classes": [f"class_{index}" for index in range(classes)]}
