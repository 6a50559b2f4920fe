"""The keypoint categories of the published pose networks, in COCO's format (skeletons are 1-based)."""

from __future__ import annotations

from hrnet_tf.spec.architectures import Network
from hrnet_tf.spec.network import HEATMAP_HEADS
from mobile_eval.typed import JsonObject

COCO_PERSON: JsonObject = {
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

MPII_PERSON: JsonObject = {
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


def category_for(spec: Network) -> JsonObject:
    """Return the category of a network that was not trained here.

    Returns:
        COCO's or MPII's category for a pose network with their number of joints; else one with numbered names.
    """
    if spec.task == "pose":
        known = next((category for category in (COCO_PERSON, MPII_PERSON) if len(category["keypoints"]) == spec.classes), None)
        if known is not None:
            return known
    if spec.head_kind in HEATMAP_HEADS:
        name = {"pose": "person", "landmarks": "face"}.get(spec.task, spec.task)
        return {"name": name, "keypoints": [f"{spec.task}_{index}" for index in range(spec.classes)], "skeleton": []}
    return {"name": spec.task, "classes": [f"class_{index}" for index in range(spec.classes)]}
