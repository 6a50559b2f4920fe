"""Pose: heatmaps of joints, PCK."""
