"""COCO files: keypoints, instances and detection results."""
