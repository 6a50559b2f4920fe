"""COCO files: keypoints, instances and detections."""
