"""Heatmaps to keypoints, on images and videos."""
