"""Facial landmarks: heatmaps, NME."""
