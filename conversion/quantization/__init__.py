"""Calibration data, ranges and per-layer settings of post-training quantization."""
